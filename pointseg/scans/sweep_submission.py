"""The zip that servers of LiDAR sweeps want: written so that it is right, and checked for known mistakes.

A test split has tens of thousands of sweeps: one is in memory at a time.
"""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace, id_counts
from pointseg.formats.archive import BAD_ARCHIVE, BAD_MEMBER, foreign_method, is_unsafe, write_archive
from pointseg.formats.id_diagnosis import diagnose_ids
from pointseg.formats.submission import SubmissionCheck, existing_zip, foreign_archive
from pointseg.formats.submission_problems import Findings
from pointseg.scans.submission_kinds import SWEEP_KINDS
from pointseg.scans.sweep_layouts import SweepLayout

_ENCRYPTED = 0x1
#: A further file is text of a few lines.
_MAX_FURTHER = 1_000_000


def write_sweeps(
    path: Path,
    layout: SweepLayout,
    scenes: Sequence[str],
    predictions: Iterable[tuple[str, npt.NDArray[np.int32]]],
) -> None:
    """Write the archive; the same predictions give the same bytes, and the file is whole or absent.

    Args:
        path: the zip file.
        layout: of the server.
        scenes: that will come.
        predictions: (scene, (P,) raw ids) pairs, consumed one by one.

    Raises:
        ValueError: for a scene that is no plain name, or that comes twice.
    """

    def files() -> Iterator[tuple[str, bytes]]:
        yield from ((folder, b"") for folder in layout.folders(scenes))
        yield from layout.further.items()
        yield from ((layout.member(scene), layout.encode(raw_id)) for scene, raw_id in predictions)

    write_archive(path, files(), folders=True)


def check_sweeps(
    path: Path,
    label_space: LabelSpace,
    point_counts: Mapping[str, int],
    layout: SweepLayout,
) -> SubmissionCheck:
    """Find everything that is wrong with an archive; nothing is unpacked to disk.

    Args:
        path: the zip file.
        label_space: the classes that may occur.
        point_counts: the expected scenes and their numbers of points.
        layout: of the server.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = existing_zip(path)
    findings = Findings(SWEEP_KINDS)
    # What `pointseg submit` has written lies there until it is checked.
    if not (name := path.name.removesuffix(".rejected")).endswith(".zip"):
        findings.add("zip_name", name)
    counts: Counter[int] = Counter()
    num_read = 0
    try:
        with zipfile.ZipFile(path) as archive:
            found = _sort(archive, point_counts, layout, findings)
            for scene, member in found.items():
                raw_id = _read(archive, member, point_counts[scene], layout, findings)
                if raw_id is not None:
                    num_read += 1
                    values, numbers = id_counts(raw_id)
                    counts.update(dict(zip(values.tolist(), numbers.tolist(), strict=True)))
    except BAD_ARCHIVE as error:
        findings.add("not_a_zip", foreign_archive(path) or str(error))
    merged: Counter[int] = Counter()
    for raw, number in counts.items():
        merged[layout.merged.get(raw, raw)] += number
    if (diagnosis := diagnose_ids(merged, label_space)) is not None:
        # Small ids that the server takes for others may be train indices: asked before they are merged.
        as_written = diagnose_ids(counts, label_space)
        if as_written is not None and as_written[0] == "train_indices":
            diagnosis, merged = as_written, counts
        findings.add(*diagnosis)
    return SubmissionCheck(
        findings.problems(),
        label_space,
        len(point_counts),
        id_counts=dict(sorted(merged.items())),
        num_scenes=num_read,
        members="sweeps",
        unit="points",
    )


def _sort(
    archive: zipfile.ZipFile, point_counts: Mapping[str, int], layout: SweepLayout, findings: Findings
) -> dict[str, zipfile.ZipInfo]:
    """Expected scene -> its member; everything else becomes a finding."""
    members = archive.infolist()
    if len(members) > 10 * len(point_counts) + 100:
        findings.add("too_many_files", f"{len(members):,} files for {len(point_counts):,} sweeps")
        return {}
    scene_at = {layout.member(scene): scene for scene in point_counts}
    known = (*layout.further, *layout.optional)
    names = Counter(member.filename for member in members)
    scenes: dict[str, zipfile.ZipInfo] = {}
    for member in members:
        name = member.filename
        inner = _within_folder(name, scene_at)
        if is_unsafe(member):
            findings.add("unsafe_name", name)
        elif member.is_dir():
            continue
        elif names[name] > 1:
            findings.add("duplicate_name", f"{name} ({names[name]} times)")
            names[name] = 0  # Told once.
        elif name in scene_at:
            scenes[scene_at[name]] = member
        elif inner is not None:
            findings.add("enclosing_folder", name)
            scenes.setdefault(scene_at[inner], member)
        elif name in known:
            _check_further(archive, member, layout, findings)
        else:
            kind = "extra_sweep" if name.endswith(layout.suffix) else "other_file"
            findings.add(kind, name)
    for scene in point_counts:
        if scene not in scenes:
            findings.add("missing_sweep", layout.member(scene))
    for name in (*layout.folders(point_counts), *layout.further):
        if name not in names:
            findings.add("missing_folder" if name.endswith("/") else "missing_file", name)
    return scenes


def _within_folder(name: str, scene_at: Mapping[str, str]) -> str | None:
    """The expected place that a name has within another folder, or None."""
    parts = PurePosixPath(name).parts
    return next((inner for i in range(1, len(parts)) if (inner := "/".join(parts[i:])) in scene_at), None)


def _check_further(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, layout: SweepLayout, findings: Findings
) -> None:
    try:
        with archive.open(member) as handle:
            content = handle.read(_MAX_FURTHER)
    except BAD_MEMBER as error:
        findings.add("corrupt", f"{member.filename}: {error}")
        return
    if fault := layout.fault(member.filename, content):
        findings.add("further_file", fault)


def _read(
    archive: zipfile.ZipFile,
    member: zipfile.ZipInfo,
    num_points: int,
    layout: SweepLayout,
    findings: Findings,
) -> npt.NDArray[np.int64] | None:
    """(P,) raw ids of a member, or None and a finding."""
    name, size = member.filename, np.dtype(layout.dtype).itemsize
    if member.flag_bits & _ENCRYPTED:
        findings.add("encrypted", name)
        return None
    if method := foreign_method(member):
        findings.add("compression", f"{name} ({method})")
    if member.file_size != size * num_points:
        findings.add(
            "file_size",
            f"{name}: {member.file_size:,} bytes for {num_points:,} points, not {size * num_points:,}",
        )
        return None
    try:
        # The declared size may lie; reading stops at the limit, not where the data ends.
        with archive.open(member) as handle:
            content = handle.read(size * num_points)
        return layout.decode(content)
    except (*BAD_MEMBER, ValueError) as error:
        findings.add("corrupt", f"{name}: {error}")
    return None
