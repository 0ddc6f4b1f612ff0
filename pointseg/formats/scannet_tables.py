"""The tables around raw ScanNet scenes: raw categories -> raw ids, split lists, and where scenes lie."""

from __future__ import annotations

import csv
import difflib
import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pointseg.core.labels import LabelSpace, resource_path
from pointseg.formats.scannet import MESH_SUFFIX, SCENE_NAME
from pointseg.formats.text import read_text, refuse_utf16

LABEL_TABLE_NAME = "scannetv2-labels.combined.tsv"
SPLITS = ("train", "val", "test")

#: Column of the label table that holds the raw ids of a label set, and those that hold the classes' names.
_ID_COLUMN = {"scannet200": "id", "scannet20": "nyu40id"}
_NAME_COLUMNS = {"id": ("raw_category", "category"), "nyu40id": ("nyu40class",)}


@dataclass(frozen=True)
class LabelTable:
    """Raw category -> raw id of one label set; categories outside the set lead to its unlabelled id.

    Args:
        category_ids: the mapping; exact and case-sensitive, the first row of a category counts.
        column: the column that the ids come from.
        sha256: hash of the rows' text, the same for every line ending.
    """

    category_ids: dict[str, int]
    column: str
    sha256: str


def read_label_table(path: Path, label_space: LabelSpace) -> LabelTable:
    """Read ``scannetv2-labels.combined.tsv`` of any of its versions.

    Copies come with LF, CRLF and CRCRLF line ends, with and without a last one, and with empty cells.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it lacks a column or its ids are not those of the label set.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no label table here; {LABEL_TABLE_NAME} comes with ScanNet.")
    if label_space.name not in _ID_COLUMN:
        raise ValueError(f"ScanNet has labels {', '.join(_ID_COLUMN)}; got {label_space.name!r}.")
    column = _ID_COLUMN[label_space.name]
    refuse_utf16(path, path.read_bytes())
    lines = [x for x in re.split(r"[\r\n]+", path.read_bytes().decode("utf-8-sig", "replace")) if x.strip()]
    header = lines[0].split("\t") if lines else []
    missing = {"raw_category", column, *_NAME_COLUMNS[column]} - set(header)
    if missing:
        raise ValueError(
            f"{path}: no column {sorted(missing)}; it has {header[:8]}. It is not the ScanNet v2 label table "
            f"({LABEL_TABLE_NAME}), perhaps that of another version."
        )
    rows = [dict(zip(header, line.split("\t"), strict=False)) for line in lines[1:]]
    names: dict[int, set[str]] = defaultdict(set)
    category_ids: dict[str, int] = {}
    for number, row in enumerate(rows, start=2):
        raw_id = _id_of(path, number, column, row.get(column, ""), label_space.unlabelled_raw_id)
        names[raw_id] |= {row.get(c, "").strip() for c in _NAME_COLUMNS[column]}
        kept = raw_id if raw_id in label_space.raw_ids else label_space.unlabelled_raw_id
        category_ids.setdefault(row.get("raw_category", ""), kept)
    _check_version(path, label_space, names, column)
    return LabelTable(category_ids, column, hashlib.sha256("\n".join(lines).encode()).hexdigest())


def _id_of(path: Path, number: int, column: str, cell: str, unlabelled_raw_id: int) -> int:
    if not cell.strip():
        return unlabelled_raw_id
    try:
        return int(cell)
    except ValueError:
        raise ValueError(f"{path}: row {number}: column {column!r} must be a number; got {cell!r}.") from None


def _check_version(path: Path, label_space: LabelSpace, names: dict[int, set[str]], column: str) -> None:
    """Ids that mean other things than in the label set would give wrong labels without any error."""
    present = [(i, n) for i, n in zip(label_space.raw_ids, label_space.names, strict=True) if i in names]
    other = [f"{i} is {sorted(names[i])[0]!r}, not {n!r}" for i, n in present if n not in names[i]]
    # One name in twenty may differ: the released table spells "refridgerator".
    if not present or len(other) * 20 > len(present):
        found = "; ".join(other[:3]) if present else "none of the classes is in it"
        raise ValueError(
            f"{path}: column {column!r} does not hold the ids of {label_space.name}: {found}. "
            "It is a label table of another version."
        )


def near_category(category: str, known: Iterable[str]) -> str | None:
    """The category of the table that a foreign one most likely is: "trashcan" of ScanNet v1 is "trash can".

    Args:
        category: a category that the table does not have.
        known: those of the table.
    """

    def plain(name: str) -> str:
        return re.sub(r"[^a-z0-9]", "", name.lower()).removesuffix("s")

    same = [name for name in known if plain(name) == plain(category)]
    return same[0] if same else next(iter(difflib.get_close_matches(category, known, n=1, cutoff=0.85)), None)


def shipped_label_table() -> Path:
    """The label table of the ScanNet200 era, which comes with the package."""
    return resource_path("scannet200", LABEL_TABLE_NAME)


def shipped_splits() -> Path:
    """Folder of the official split lists, which come with the package."""
    return resource_path("scannet200", "splits")


def has_split_lists(folder: Path) -> bool:
    return any((folder / f"scannetv2_{split}.txt").is_file() for split in SPLITS)


def read_split_lists(folder: Path) -> dict[str, str]:
    """Scene name -> split, from ``scannetv2_{train,val,test}.txt``; missing lists are empty.

    Raises:
        ValueError: if there is no list at all, or a scene stands in two.
    """
    if not has_split_lists(folder):
        raise ValueError(f"{folder}: no split list; expected scannetv2_train.txt, _val.txt or _test.txt.")
    split_of: dict[str, str] = {}
    for split in SPLITS:
        file = folder / f"scannetv2_{split}.txt"
        for name in read_text(file).split() if file.is_file() else []:
            if split_of.setdefault(name, split) != split:
                raise ValueError(f"{file}: scene {name} is in the list of split {split_of[name]!r} as well.")
    return split_of


def find_scene_folders(raw: Path) -> dict[str, Path]:
    """Scene name -> folder with its files, for ``scans/``, ``scans_test/`` and flat layouts.

    Raises:
        ValueError: if ``raw`` is no folder or holds no scene.
    """
    if not raw.is_dir():
        raise ValueError(f"{raw}: no such folder; expected the raw scans.")
    found: dict[str, Path] = {}
    for parent in (raw / "scans", raw / "scans_test", raw):
        if parent.is_symlink() and not parent.exists():
            raise ValueError(f"{parent}: a link that leads nowhere; is the disk with the scans mounted?")
        for entry in sorted(parent.iterdir()) if parent.is_dir() else []:
            if entry.name.startswith("."):
                continue
            if entry.is_dir() or (entry.is_symlink() and not entry.exists() and _is_scene(entry.name)):
                name, folder = entry.name, entry
                whole = (folder / f"{name}{MESH_SUFFIX}").is_file()
                if not (whole or _is_scene(name)):
                    continue
            elif entry.name.endswith(MESH_SUFFIX):
                name, folder, whole = entry.name.removesuffix(MESH_SUFFIX), parent, True
            else:
                continue
            # A test scene can lie in both folders, empty in one: the one with the mesh counts.
            if name not in found or (whole and not (found[name] / f"{name}{MESH_SUFFIX}").is_file()):
                found[name] = folder
    if not found:
        raise ValueError(
            f"{raw}: no scene here. Expected scans/<scene>/<scene>{MESH_SUFFIX}, scans_test/..., or the "
            "scene folders themselves."
        )
    return dict(sorted(found.items()))


def _is_scene(name: str) -> bool:
    return SCENE_NAME.fullmatch(name) is not None


def shipped_vertex_counts() -> dict[str, int]:
    """Number of mesh vertices of the 1613 released scans."""
    with resource_path("scannet200", "scene_vertex_counts.csv").open(newline="", encoding="utf-8") as handle:
        return {row["scene"]: int(row["num_vertices"]) for row in csv.DictReader(handle)}
