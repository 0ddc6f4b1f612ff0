"""Verify a store: hashes, shapes, types, finite positions, counts, and ids of the label set.

    python data_prep/check.py STORE

Prints a summary; the exit code is 0 for a sound store, 1 for one with problems, 2 if there is no store.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.progress import track
from rich.table import Table

from pointseg.core.labels import GROUPS
from pointseg.core.scene import Scene
from pointseg.formats.sealed import read_sealed_json
from pointseg.scans.store import Store, count_classes
from pointseg.scans.store_layout import SCENES, sha256_of


def scene_problems(store: Store, name: str) -> Iterator[str]:
    """Everything that is wrong with one scene of the store."""
    entry = store.entry(name)
    folder = store.path / SCENES / name
    yield from _file_problems(entry, folder)
    try:
        scene = store.load(name, verify=False)
    except ValueError as error:
        yield str(error)
        return
    if not bool(np.isfinite(scene.xyz_m).all()):
        yield "positions that are NaN or infinite"
    if scene.normal is not None:
        length = np.linalg.norm(np.asarray(scene.normal, dtype=np.float64), axis=1)
        if not bool(np.all((np.abs(length - 1) < 1e-3) | (length == 0))):
            yield "normals that are neither of length 1 nor zero"
    yield from _label_problems(store, entry, scene)


def _file_problems(entry: Mapping[str, Any], folder: Path) -> Iterator[str]:
    try:
        own = read_sealed_json(folder / "scene.json")
    except (OSError, ValueError) as error:
        yield f"scene.json cannot be read ({error})"
    else:
        if own != entry:
            yield "scene.json differs from the manifest"
    for array, file_entry in entry["files"].items():
        file = folder / f"{array}.npy"
        if file.is_file() and sha256_of(file) != file_entry["sha256"]:
            yield f"{file.name} has another hash than the manifest"
    extra = {file.stem for file in folder.glob("*.npy")} - set(entry["files"])
    if extra:
        yield f"files that the manifest does not list: {sorted(extra)}"


def _label_problems(store: Store, entry: Mapping[str, Any], scene: Scene) -> Iterator[str]:
    if scene.raw_label is None:
        if entry["split"] != "test":
            yield f"no labels, in split {entry['split']!r}"
        return
    ids, counts = np.unique(scene.raw_label, return_counts=True)
    found = {str(i): int(c) for i, c in zip(ids.tolist(), counts.tolist(), strict=True)}
    if found != entry["class_points"]:
        yield "class counts differ from the manifest"
    space = store.label_space
    # A store may keep ids that are left out of training, if its preparation has named them.
    allowed = {space.unlabelled_raw_id, *space.raw_ids, *store.options.get("ignored_raw_ids", [])}
    further = () if scene.further_label is None else np.unique(scene.further_label).tolist()
    outside = [i for i in sorted({*ids.tolist(), *further}) if i not in allowed]
    if outside:
        yield f"raw ids outside the label set {space.name}: {outside[:10]}"


def store_problems(store: Store) -> dict[str, list[str]]:
    """Problems by scene; scene folders that the manifest does not list count as well."""
    problems = {
        name: list(scene_problems(store, name))
        for name in track(sorted(store.entries), "checking scenes", console=Console(stderr=True))
    }
    scenes = store.path / SCENES
    for folder in sorted(scenes.iterdir()) if scenes.is_dir() else []:
        if folder.name not in store.entries:
            problems[folder.name] = ["not in the manifest; run `pointseg prepare` again to take it in"]
    return {name: found for name, found in problems.items() if found}


def summary(store: Store) -> Table:
    """Scenes, vertices, labelled share, classes seen, and the groups' shares of the labels, by split."""
    space = store.label_space
    table = Table(title=f"{space.name}, {space.num_classes} classes", box=None, padding=(0, 2, 0, 0))
    for column in ("split", "scenes", "vertices", "labelled", "classes", *GROUPS, "colour"):
        table.add_column(column, justify="left" if column == "split" else "right", no_wrap=True)
    for split, names in store.splits().items():
        statistics = count_classes([store.entry(name) for name in names], space)
        vertices = sum(store.num_vertices(name) for name in names)
        points = statistics.points.numpy()
        shares = [points[space.group_indices(g)].sum() / max(points.sum(), 1) for g in GROUPS]
        table.add_row(
            split,
            str(len(names)),
            f"{vertices:,}",
            f"{points.sum() / max(vertices, 1):.1%}",
            str(int((points > 0).sum())),
            *(f"{share:.1%}" if space.has_groups else "-" for share in shares),
            f"{sum(map(store.has_colors, names))}/{len(names)}",
        )
    return table


def main(arguments: Sequence[str] | None = None, *, prog: str = "data_prep/check.py") -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, prog=prog
    )
    parser.add_argument("store", type=Path, metavar="STORE")
    console = Console()
    try:
        store = Store.open(parser.parse_args(arguments).store)
        problems = store_problems(store)
    except (ValueError, OSError) as error:
        console.print(f"{prog}: {error}", markup=False, highlight=False, soft_wrap=True)
        return 2
    console.print(summary(store))
    for name, found in problems.items():
        for problem in found:
            console.print(f"{name}: {problem}", markup=False, highlight=False, soft_wrap=True)
    verdict = f"{len(problems)} scenes have problems" if problems else "every scene is sound"
    console.print(f"{len(store.entries)} scenes checked; {verdict}.", highlight=False)
    return 1 if problems else 0
