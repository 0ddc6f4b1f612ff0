"""What the ids of a submission say about how it was made: train indices, another label set, voxels."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from pointseg.core.labels import LabelSpace, load_label_space, shipped_label_sets

#: Vertices at voxel resolution are fewer than those of the mesh, but not by orders of magnitude.
VOXEL_RATIO = (0.01, 0.999)
#: What codebases write for "no label".
UNLABELLED = {0, -1, -100, 255}


def diagnose_ids(id_counts: Mapping[int, int], label_space: LabelSpace) -> tuple[str, str] | None:
    """The kind of mistake that explains the ids of all scenes together, and what is seen of it.

    Args:
        id_counts: id -> number of vertices.
        label_space: the label set that the submission should be in.

    Returns:
        None if every id is a class; else a kind of pointseg.scans.submission_kinds and the evidence.
    """
    used, valid = set(id_counts), set(label_space.raw_ids)
    invalid = used - valid
    if not invalid:
        # Two sets of a data set share their small ids. So many of one's ids, and no other, are no accident.
        sibling = _other_set_with(used, label_space, same_data=True)
        if sibling is not None and 2 * len(used) >= sibling.num_classes:
            return "wrong_label_set", f"all {len(used)} ids in use are ids of {sibling.name}"
        return None
    other = _other_set_with(used, label_space)
    share = sum(id_counts[i] for i in invalid) / sum(id_counts.values())
    evidence = f"{share:.1%} of the vertices carry {_listed(invalid)}"
    last = label_space.num_classes - 1
    if {0} < used <= set(range(last + 1)):
        return "train_indices", f"{evidence}, and every id lies in 0..{last}"
    if other is not None:
        return "wrong_label_set", f"{evidence}, and every id is one of {other.name}"
    if used <= set(range(1, last + 2)):
        return "train_indices", f"{evidence}, and every id lies in 1..{last + 1}"
    if invalid <= UNLABELLED:
        return "unlabelled", evidence
    wrapped = min(used) >= 0 and max(used) <= 255 < max(valid)
    return "invalid_ids", evidence + (
        "; no id is above 255: did an 8-bit array wrap them?" if wrapped else ""
    )


def _other_set_with(used: set[int], label_space: LabelSpace, *, same_data: bool = False) -> LabelSpace | None:
    """A shipped label set, other than ours and no part of it, that has every id in use.

    With ``same_data``, one of the same data set: those of others have small ids too, without a meaning here.
    """
    ours, shipped = set(label_space.raw_ids), shipped_label_sets()
    home = shipped[label_space.name].parent if label_space.name in shipped else None
    names = [name for name, table in shipped.items() if not same_data or table.parent == home]
    others = (load_label_space(name) for name in names)
    return next((o for o in others if used <= set(o.raw_ids) and not set(o.raw_ids) <= ours), None)


def diagnose_line_counts(found: Mapping[str, int], expected: Mapping[str, int]) -> list[tuple[str, str]]:
    """(kind, evidence) for each scene with another number of lines than vertices.

    When half of the scenes or more are too short, and none is too long, the predictions were most likely
    written for voxels.
    """
    wrong = {scene: lines for scene, lines in found.items() if lines != expected[scene]}
    low, high = VOXEL_RATIO
    voxels = 2 * len(wrong) >= len(found) and all(
        low <= lines / max(expected[scene], 1) <= high for scene, lines in wrong.items()
    )
    by_count: dict[int, str] = {count: scene for scene, count in expected.items()}
    findings = []
    for scene, lines in wrong.items():
        evidence = f"{scene}.txt has {lines:,} lines for {expected[scene]:,} vertices"
        if lines in by_count:
            evidence += f" (as many as {by_count[lines]} has)"
        findings.append(("voxel_resolution" if voxels and lines not in by_count else "line_count", evidence))
    return findings


def _listed(ids: Collection[int], limit: int = 8) -> str:
    shown = ", ".join(str(i) for i in sorted(ids)[:limit]) + (", ..." if len(ids) > limit else "")
    return (
        f"{'the id' if len(ids) == 1 else 'ids'} {shown}, which {'is' if len(ids) == 1 else 'are'} no class"
    )
