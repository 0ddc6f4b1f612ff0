"""What the line counts of a submission say about how it was made: for voxels, or cut."""

from __future__ import annotations

from collections.abc import Mapping

#: Vertices at voxel resolution are fewer than those of the mesh, but not by orders of magnitude.
VOXEL_RATIO = (0.01, 0.999)


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
