"""What the names in a submission's archive say: which scenes are there, and what should not be."""

from __future__ import annotations

import re
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath

from pointseg.formats.archive import is_unsafe
from pointseg.formats.submission_problems import Findings


def sort_members(
    members: Sequence[zipfile.ZipInfo],
    vertex_counts: Mapping[str, int],
    other_scenes: Mapping[str, str],
    findings: Findings,
    *,
    scene_name: str,
) -> dict[str, zipfile.ZipInfo]:
    """Expected scene -> its member, wherever in the archive it lies; everything else becomes a finding.

    Args:
        members: the archive's members.
        vertex_counts: the expected scenes.
        other_scenes: scene -> split, for known scenes that do not belong here.
        findings: gets the mistakes.
        scene_name: pattern of the names of the data set's scenes; the masks of the instance task are called
            ``<scene>_<number>.txt``.
    """
    mask = re.compile(rf"(?:{scene_name})_\d+\.txt")
    if len(members) > 10 * len(vertex_counts) + 100:
        masks = sum(bool(mask.fullmatch(PurePosixPath(m.filename).name)) for m in members)
        findings.add("too_many_files", f"{len(members):,} files ({masks:,} named like instance masks)")
        return {}
    for name, count in Counter(m.filename for m in members).items():
        if count > 1:
            findings.add("duplicate_name", f"{name} ({count} times)")
    scenes: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        kind = _kind_of(member, vertex_counts, other_scenes, scene_name, mask)
        path = PurePosixPath(member.filename)
        if kind is not None:
            split = other_scenes.get(path.stem)
            findings.add(kind, member.filename + (f" ({split})" if kind == "wrong_split" else ""))
        if kind in (None, "enclosing_folder"):
            scenes[path.stem] = member
    for scene in vertex_counts:
        if scene not in scenes:
            findings.add("missing_scene", f"{scene}.txt")
    return scenes


def _kind_of(
    member: zipfile.ZipInfo,
    vertex_counts: Mapping[str, int],
    other_scenes: Mapping[str, str],
    scene_name: str,
    mask: re.Pattern[str],
) -> str | None:
    """The mistake that a member's name is, or None for an expected scene at the root."""
    name = member.filename
    path = PurePosixPath(name)
    if is_unsafe(member):
        return "unsafe_name"
    if member.is_dir():
        return "directory_entry"
    if path.parts[0] == "__MACOSX" or path.name.startswith(".") or path.suffix != ".txt":
        return "other_file"
    # Expected scenes first: where no pattern is known, room_1 looks like a mask of room.
    is_expected = path.stem in vertex_counts and "predicted_masks" not in path.parts
    if is_expected:
        return None if len(path.parts) == 1 else "enclosing_folder"
    if mask.fullmatch(path.name) or "predicted_masks" in path.parts:
        return "instance_format"
    if path.stem in other_scenes:
        return "wrong_split"
    return "extra_scene" if re.fullmatch(scene_name, path.stem) else "other_text"
