"""What ``pointseg check-submission`` does with scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import LabelSpace
from pointseg.formats.submission import SubmissionCheck
from pointseg.scans.benchmark import Benchmark
from pointseg.scans.submission import check_submission


@dataclass(frozen=True)
class ScanSubmission:
    """Options of the check of a zip of scans.

    Args:
        labels: a shipped label set, or the path of a label_space.json.
        raw: folder of raw scans, generated ones for instance; vertex counts come from its meshes.
        scenes: file with the expected scene names, one per line.
    """

    suffix: ClassVar[str] = ".txt"

    labels: str = "scannet200"
    raw: Path | None = None
    scenes: Path | None = None

    def check(self, path: Path) -> SubmissionCheck:
        """Find every mistake, see :func:`pointseg.scans.submission.check_submission`."""
        label_space = find_label_space(self.labels)
        rules = Benchmark.of(label_space.name)
        result = check_by_rules(path, label_space, rules.expected(self.raw, self.scenes))
        if self.raw is not None:
            return result
        scenes = f"{rules.scored_split} split" if self.scenes is None else f"scenes of {self.scenes}"
        return replace(
            result,
            held_against=(
                f"Held against the official table of vertices for {label_space.name}, {scenes}. For generated"
                " or own scans: --raw DIR, the folder of the raw scans."
            ),
        )


def check_by_rules(path: Path, label_space: LabelSpace, expected: Mapping[str, int]) -> SubmissionCheck:
    """Check a zip against the rules of the benchmark that a label set belongs to.

    Args:
        path: the zip file.
        label_space: the classes that may occur.
        expected: scene -> vertices of what it must hold.
    """
    rules = Benchmark.of(label_space.name)
    result = check_submission(
        path,
        label_space,
        expected,
        other_scenes=rules.other_scenes(expected),
        scene_name=rules.scene_name,
    )
    return replace(result, remarks=rules.remarks(expected, path) if result.is_valid else ())
