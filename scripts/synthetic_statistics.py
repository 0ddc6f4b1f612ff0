"""Measure raw ScanNet scenes, generated or real, and print a table beside the numbers of a real one.

    python scripts/synthetic_statistics.py RAW [--scenes 12]

RAW is what `pointseg synthesize` wrote, or any folder with a `scans` folder of ScanNet v2.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from pointseg.formats.ply import read_ply
from pointseg.formats.scannet import (
    AGGREGATION_SUFFIX,
    MESH_SUFFIX,
    METADATA_SUFFIX,
    SEGMENTS_SUFFIX,
    align,
    axis_alignment,
    read_aggregation,
    read_metadata,
    read_segments,
)
from pointseg.synthetic.statistics import AnnotatedMesh, average, markdown_table, measure


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("raw", type=Path, help="folder that holds scans/")
    parser.add_argument("--scenes", type=int, default=12, help="measure this many scenes, evenly spread")
    arguments = parser.parse_args()
    folders = sorted(path for path in (arguments.raw / "scans").glob("scene*") if path.is_dir())
    if not folders:
        raise SystemExit(f"{arguments.raw / 'scans'}: no scene folder there.")
    chosen = np.linspace(0, len(folders) - 1, min(arguments.scenes, len(folders))).astype(int)
    measured = [measure(read(folders[i])) for i in chosen]
    print(f"Median over {len(measured)} of {len(folders)} labelled scenes.\n")
    print(markdown_table(average(measured)))


def read(folder: Path) -> AnnotatedMesh:
    """Mesh, segments and objects of one labelled raw scene, axis aligned."""
    name = folder.name
    mesh = read_ply(folder / f"{name}{MESH_SUFFIX}")
    if mesh.rgb is None or mesh.faces is None:
        raise SystemExit(f"{folder}: the mesh has no colours or no faces.")
    metadata_path = folder / f"{name}{METADATA_SUFFIX}"
    metadata = read_metadata(metadata_path)
    xyz = mesh.xyz
    if "axisAlignment" in metadata:
        xyz = align(xyz, axis_alignment(metadata_path, metadata["axisAlignment"]))
    segment = read_segments(folder / f"{name}{SEGMENTS_SUFFIX}", name)
    groups = read_aggregation(folder / f"{name}{AGGREGATION_SUFFIX}", name)
    owner = np.full(mesh.num_vertices, -1, dtype=np.int64)
    for position, group in enumerate(groups):
        owner[np.isin(segment, group.segments)] = position
    return AnnotatedMesh(xyz, mesh.rgb, mesh.faces, segment, owner, [group.category for group in groups])


if __name__ == "__main__":
    main()
