"""The zip that the test server wants: written so that it is right, and checked for every known mistake.

Files lie at the root of the archive, one `<scene>.txt` for each scan of the test split; each has one raw id
per line, or several with commas where the server takes several, one line per vertex of that scan's mesh, in
its order.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.formats.archive import BAD_ARCHIVE, BAD_MEMBER, foreign_method, write_archive
from pointseg.formats.id_diagnosis import diagnose_ids
from pointseg.formats.label_text import (
    LabelTextError,
    format_labels,
    format_ranked,
    parse_labels,
    parse_ranked,
)
from pointseg.formats.submission import SubmissionCheck, count_ids, existing_zip, foreign_archive
from pointseg.formats.submission_problems import Findings
from pointseg.scans.submission_kinds import KINDS, RANKED_KINDS
from pointseg.scans.submission_lines import diagnose_line_counts
from pointseg.scans.submission_names import sort_members

#: Bytes of text for one vertex that no honest file exceeds; savetxt's floats take 25.
MAX_BYTES_PER_VERTEX = 40
_ENCRYPTED = 0x1


def write_submission(path: Path, predictions: Iterable[tuple[str, npt.ArrayLike]]) -> None:
    """Write the archive; the same predictions give the same bytes, and the file is whole or absent.

    Args:
        path: the zip file.
        predictions: (scene, (P,) raw ids, or (P, n) with the most probable class first) pairs, consumed one
            by one.

    Raises:
        ValueError: for a scene name that is no plain file name, or that comes twice.
    """

    def text(raw_ids: npt.ArrayLike) -> bytes:
        ids = np.asarray(raw_ids)
        return format_ranked(ids) if ids.ndim == 2 else format_labels(ids)

    write_archive(path, ((f"{scene}.txt", text(raw_ids)) for scene, raw_ids in predictions))


def check_submission(
    path: Path,
    label_space: LabelSpace,
    vertex_counts: Mapping[str, int],
    *,
    other_scenes: Mapping[str, str] | None = None,
    scene_name: str = ".+",
    ranks: int = 1,
) -> SubmissionCheck:
    """Find everything that is wrong with an archive; nothing is unpacked to disk.

    Args:
        path: the zip file.
        label_space: the classes that may occur.
        vertex_counts: the expected scenes and their numbers of vertices.
        other_scenes: scene -> split, for scenes that are known and do not belong here.
        scene_name: pattern of the names of the data set's scenes.
        ranks: ids that a line may have, if not one.

    Raises:
        FileNotFoundError: if there is no such file.
    """
    path = existing_zip(path)
    findings = Findings(KINDS if ranks == 1 else RANKED_KINDS)
    found: dict[str, npt.NDArray[np.int64]] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            members = sort_members(
                archive.infolist(), vertex_counts, other_scenes or {}, findings, scene_name=scene_name
            )
            for scene, member in members.items():
                raw_id = _read_member(archive, member, vertex_counts[scene], ranks, findings)
                if raw_id is not None:
                    found[scene] = raw_id
    except BAD_ARCHIVE as error:
        findings.add("not_a_zip", foreign_archive(path) or str(error))
    _diagnose(found, count_ids(found.values()), label_space, vertex_counts, findings)
    return SubmissionCheck(
        findings.problems(),
        label_space,
        len(vertex_counts),
        # Of several classes of a vertex, the first is the prediction.
        id_counts=count_ids(raw_id[:, 0] for raw_id in found.values()),
        num_scenes=len(found),
    )


def _read_member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, num_vertices: int, ranks: int, findings: Findings
) -> npt.NDArray[np.int64] | None:
    """(P, 1) or (P, ranks) ids, or None and a finding."""
    name = member.filename
    limit = MAX_BYTES_PER_VERTEX * num_vertices + 4096
    if member.flag_bits & _ENCRYPTED:
        findings.add("encrypted", name)
        return None
    if method := foreign_method(member):
        findings.add("compression", f"{name} ({method})")
    if member.file_size > limit:
        findings.add("too_large", f"{name}: {member.file_size:,} bytes for {num_vertices:,} vertices")
        return None
    try:
        # The declared size may lie; reading stops at the limit, not where the data ends.
        with archive.open(member) as handle:
            content = handle.read(limit)
        return parse_labels(content, name)[:, None] if ranks == 1 else parse_ranked(content, name, ranks)
    except LabelTextError as error:
        findings.add(
            _KIND_OF_LINE.get(error.kind, "not_integers"),
            f"{error.source}: line {error.line}: {error.text!r}",
        )
    except BAD_MEMBER as error:
        findings.add("corrupt", f"{name}: {error}")
    return None


_KIND_OF_LINE = {
    "blank": "blank_line",
    "float": "float_text",
    "instance": "instance_format",
    "ranks": "ranks",
}


def _diagnose(
    found: Mapping[str, npt.NDArray[np.int64]],
    id_counts: Mapping[int, int],
    label_space: LabelSpace,
    vertex_counts: Mapping[str, int],
    findings: Findings,
) -> None:
    lines = {scene: len(raw_id) for scene, raw_id in found.items()}
    for kind, evidence in diagnose_line_counts(lines, vertex_counts):
        findings.add(kind, evidence)
    diagnosis = diagnose_ids(id_counts, label_space)
    if diagnosis is None:
        return
    kind, evidence = diagnosis
    guilty = [s for s, raw_id in found.items() if not np.isin(raw_id, label_space.raw_ids).all()]
    findings.add(kind, evidence + (f" (first in {guilty[0]}.txt)" if guilty else ""))
