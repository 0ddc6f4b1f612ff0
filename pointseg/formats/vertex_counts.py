"""How many vertices each scan has: the shipped table of ScanNet, or the headers of meshes on disk."""

from __future__ import annotations

import csv
from pathlib import Path

from pointseg.core.labels import resource_path
from pointseg.formats.text import read_lines

#: Folders of a ScanNet copy that hold scan folders; the copy itself may be one.
SCAN_FOLDERS = ("scans", "scans_test", ".")
MESH_SUFFIX = "_vh_clean_2.ply"
MAX_HEADER_BYTES = 65_536


def official_vertex_counts() -> dict[str, dict[str, int]]:
    """split -> scan -> vertices of its `_vh_clean_2.ply`, for all 1613 scans of ScanNet v2."""
    counts: dict[str, dict[str, int]] = {}
    table = resource_path("scannet200", "scene_vertex_counts.csv")
    with table.open(newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            counts.setdefault(row["split"], {})[row["scene"]] = int(row["num_vertices"])
    return counts


def find_mesh(raw: Path, scene: str) -> Path | None:
    """The mesh of a scan in a ScanNet copy, wherever the copy keeps it."""
    candidates = (Path(raw) / folder / scene / f"{scene}{MESH_SUFFIX}" for folder in SCAN_FOLDERS)
    return next((path for path in candidates if path.is_file()), None)


def ply_vertex_count(path: Path) -> int:
    """Number of vertices that the header of a PLY file announces; the data is not read.

    Raises:
        ValueError: if the file has no PLY header with a vertex element.
    """
    with Path(path).open("rb") as handle:
        header = handle.read(MAX_HEADER_BYTES).partition(b"end_header")[0].splitlines()
    if header[:1] == [b"ply"]:
        for line in header:
            words = line.split()
            if words[:2] == [b"element", b"vertex"] and len(words) == 3 and words[2].isdigit():
                return int(words[2])
    raise ValueError(f"{path}: expected the header of a PLY file with 'element vertex COUNT'.")


def raw_vertex_counts(raw: Path, scenes: list[str]) -> dict[str, int]:
    """Vertices of each scan, from the mesh headers of a ScanNet copy.

    Raises:
        ValueError: naming the scans whose mesh is not there.
    """
    meshes = {scene: find_mesh(raw, scene) for scene in scenes}
    absent = [scene for scene, mesh in meshes.items() if mesh is None]
    if absent:
        raise ValueError(
            f"{raw}: no {absent[0]}{MESH_SUFFIX} under {', '.join(SCAN_FOLDERS)} ({len(absent)} scans are "
            "missing). Give the folder that holds scans/ and scans_test/."
        )
    return {scene: ply_vertex_count(mesh) for scene, mesh in meshes.items() if mesh is not None}


def raw_test_scenes(raw: Path) -> list[str]:
    """Scans of the test split of a ScanNet copy, real or generated, sorted.

    The list in `scannetv2_test.txt` counts where there is one, then the folder `scans_test`, then the
    official test list (some copies keep the test scans under `scans`).

    Raises:
        ValueError: if there is none of them.
    """
    raw = Path(raw)
    for path in (raw / "scannetv2_test.txt", raw / "splits" / "scannetv2_test.txt"):
        if path.is_file():
            return read_scene_list(path)
    if (raw / "scans_test").is_dir():
        found = [folder.name for folder in (raw / "scans_test").iterdir() if find_mesh(raw, folder.name)]
    else:
        found = [scene for scene in official_vertex_counts()["test"] if find_mesh(raw, scene)]
    if not found:
        raise ValueError(
            f"{raw}: no test scan found; expected scannetv2_test.txt or "
            f"scans_test/<scene>/<scene>{MESH_SUFFIX}."
        )
    return sorted(found)


def read_scene_list(path: Path) -> list[str]:
    """Names of a split file, one per line, sorted.

    Raises:
        ValueError: if the file is empty or names a scene twice.
        FileNotFoundError: if there is no such file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"{path}: no such file; expected one scene name per line.")
    names = read_lines(Path(path))
    if not names or len(set(names)) != len(names):
        raise ValueError(f"{path}: expected different scene names, one per line; got {len(names)} lines.")
    return sorted(names)
