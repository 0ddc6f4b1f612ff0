"""Sizes of images, counts of their classes, and whether they are sound: found once for a data set, before the
first step of a training, and kept in the user's cache.
"""

from __future__ import annotations

import functools
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import track

from pointseg.core.durable import write_json
from pointseg.core.labels import LabelSpace
from pointseg.images.files import (
    check_same_size,
    decoded,
    id_counts,
    is_turned,
    open_image,
    read_label,
    upright_size,
)
from pointseg.images.layouts import Layout

#: Version of what the cache holds; part of its key.
_FORMAT = 4
#: Fewer images are counted before a progress bar would be read.
_MIN_FOR_PROGRESS = 500

Entries = Mapping[str, Mapping[str, Any]]
#: Height, width, whether EXIF turns it within these, and pixels by raw id; no ids where none were counted.
Count = tuple[int, int, bool, dict[str, int]]
Counts = dict[str, Count]


def with_counts(
    path: Path,
    space: LabelSpace,
    known: Mapping[int, int],
    entries: Entries,
    split: str,
    layout: Layout,
    *,
    checked_split: str | None = None,
) -> dict[str, dict[str, Any]]:
    """The entries with height, width and number of pixels, and class points of those of a split.

    ``turned`` says of a labelled image that its EXIF orientation turns it and leaves its size: nothing then
    shows whether its label was drawn before or after.

    Args:
        path: folder of the data set.
        space: its classes.
        known: every raw id that a label file may hold -> the raw id of its class.
        entries: for each image its split and files.
        split: split whose labels are counted.
        layout: how a label file is read.
        checked_split: split whose images are decoded too, and held against their labels: one bad image of
            validation would end a training when its steps are done.

    Raises:
        ValueError: naming the file, if one is missing, cannot be read, or holds an unknown id.
    """
    stamps = _stamps(path, entries, layout.hint)
    files = [(name, e["split"], e["image"], e["label"]) for name, e in entries.items()]
    asked = (split, checked_split)
    key = repr((_FORMAT, str(path.resolve()), space.to_dict(), list(known.items()), asked, files, stamps))
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pointseg"
    file = folder / f"classes-{hashlib.sha256(key.encode()).hexdigest()[:24]}.json"
    counts = _read_kept(file, entries)
    if counts is None:
        counts = _count(path, known, entries, asked, layout)
        _keep(file, counts)
    return {
        name: {
            **entry,
            "height": counts[name][0],
            "width": counts[name][1],
            "num_vertices": counts[name][0] * counts[name][1],
            "turned": counts[name][2],
            "class_points": counts[name][3],
        }
        for name, entry in entries.items()
    }


def _stamps(path: Path, entries: Entries, hint: str) -> list[tuple[int, int]]:
    """Size and time of change of every file."""
    # Joined as text: a Path of each of a quarter of a million files takes longer than its stat.
    folder, stamps, missing = str(path), [], []
    for name, entry in entries.items():
        for role in ("image", "label"):
            if entry[role] is not None:
                try:
                    found = os.stat(os.path.join(folder, entry[role]))  # noqa: PTH116, PTH118
                except (FileNotFoundError, NotADirectoryError):
                    missing.append((path / entry[role], role, name, entry["split"]))
                else:
                    stamps.append((found.st_size, found.st_mtime_ns))
    if missing:
        file, role, name, split = missing[0]
        more = f" {len(missing) - 1:,} other files are missing too." if len(missing) > 1 else ""
        raise ValueError(
            f"{file}: no such file; it is the {role} of {name!r} in split {split!r}.{more}"
            + (f" {hint}" if hint else "")
        )
    return stamps


def _count(
    path: Path, known: Mapping[int, int], entries: Entries, asked: tuple[str, str | None], layout: Layout
) -> Counts:
    """In threads: Pillow decodes without Python's lock, and a disk far away is waited for together."""
    one = functools.partial(_count_one, path, known=known, layout=layout, asked=asked)
    pool = ThreadPoolExecutor()
    try:
        results = track(
            pool.map(one, entries.values()),
            "counting classes",
            total=len(entries),
            console=Console(stderr=True),
            disable=len(entries) < _MIN_FOR_PROGRESS,
        )
        return dict(zip(entries, results, strict=True))
    finally:
        # After an error or Ctrl-C the images that are still to come are not counted.
        pool.shutdown(cancel_futures=True)


def _count_one(
    path: Path,
    entry: Mapping[str, Any],
    *,
    known: Mapping[int, int],
    layout: Layout,
    asked: tuple[str, str | None],
) -> Count:
    counted_split, checked_split = asked
    image_file = path / entry["image"]
    with open_image(image_file) as opened:
        stored, (width, height) = opened.size, upright_size(opened)
        turned = is_turned(opened) and stored == (width, height)
        if entry["split"] == checked_split:
            decoded(image_file, opened)
    if entry["split"] not in asked or entry["label"] is None:
        return height, width, False, {}
    file = path / entry["label"]
    raw = read_label(file, layout.read_label, known)
    check_same_size(file, raw.shape, image_file, (width, height), stored)
    if entry["split"] != counted_split:
        return height, width, turned, {}
    ids, points = id_counts(raw)
    return height, width, turned, dict(zip(map(str, ids.tolist()), points.tolist(), strict=True))


def _read_kept(file: Path, entries: Entries) -> Counts | None:
    """What the cache holds; None where there is nothing, or it is damaged and must be counted again."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        counts = {
            str(name): (int(height), int(width), bool(turned), {str(i): int(n) for i, n in points.items()})
            for name, (height, width, turned, points) in kept.items()
        }
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    return counts if counts.keys() == entries.keys() else None


def _keep(file: Path, counts: Counts) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_json(file, counts, indent=None)
    except OSError as error:
        warnings.warn(
            f"{file}: class counts cannot be kept ({error}); they are counted again at every start. Set "
            "XDG_CACHE_HOME to a folder that can be written.",
            stacklevel=2,
        )
