"""What ``pointseg check-submission`` does with scans."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import LabelSpace
from pointseg.formats import scannetpp
from pointseg.formats.submission import SubmissionCheck, member_names
from pointseg.scans.benchmark import Benchmark
from pointseg.scans.submission import check_submission
from pointseg.scans.sweep_layouts import SUFFIXES, KittiLayout, NuScenesLayout, SweepLayout, layout_of_archive
from pointseg.scans.sweep_submission import check_sweeps


@dataclass(frozen=True)
class ScanSubmission:
    """Options of the check of a zip of scans.

    Args:
        labels: a shipped label set, or the path of a label_space.json; by the files in the zip if None.
        raw: folder of raw scans, generated ones for instance; vertex counts come from its meshes, and those
            of sweeps from their files.
        scenes: file with the expected scene names, one per line.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".txt", *SUFFIXES)

    labels: str | None = None
    raw: Path | None = None
    scenes: Path | None = None

    def check(self, path: Path) -> SubmissionCheck:
        """Find every mistake, see :func:`check_by_rules`."""
        members = member_names(path)
        label_space = self._label_space(members)
        rules = Benchmark.of(label_space.name)
        if rules.layout != "text":
            return self._check_sweeps(path, members, label_space, rules)
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

    def _label_space(self, members: list[str]) -> LabelSpace:
        if self.labels != scannetpp.NAME:
            return find_label_space(self.labels or _labels_of(members))
        if self.raw is None:
            raise ValueError(
                f"--labels {scannetpp.NAME}: its classes stand in the data set; add --raw DIR, the folder "
                "that holds data, metadata and splits."
            )
        return scannetpp.read_classes(self.raw)

    def _check_sweeps(
        self, path: Path, members: list[str], label_space: LabelSpace, rules: Benchmark
    ) -> SubmissionCheck:
        if self.raw is None or self.scenes is not None:
            raise ValueError(
                f"For {label_space.name}, give --raw DIR, the folder of the data set, and no --scenes: which "
                "sweeps are expected, and how many points they have, stands there."
            )
        layout = layout_of_archive(rules.layout, members)
        return check_by_rules(path, label_space, layout.scored(self.raw), layout)


def _labels_of(members: list[str]) -> str:
    """The label set whose server takes files such as these."""
    if any(name.endswith(KittiLayout.suffix) for name in members):
        return "semantickitti"
    return "nuscenes" if any(name.endswith(NuScenesLayout.suffix) for name in members) else "scannet200"


def check_by_rules(
    path: Path, label_space: LabelSpace, expected: Mapping[str, int], layout: SweepLayout | None = None
) -> SubmissionCheck:
    """Check a zip against the rules of the benchmark that a label set belongs to.

    Args:
        path: the zip file.
        label_space: the classes that may occur.
        expected: scene -> vertices of what it must hold.
        layout: where the server has one for sweeps.
    """
    rules = Benchmark.of(label_space.name)
    if layout is not None:
        result = check_sweeps(path, label_space, expected, layout)
    else:
        result = check_submission(
            path,
            label_space,
            expected,
            other_scenes=rules.other_scenes(expected),
            scene_name=rules.scene_name,
            ranks=rules.ranks,
        )
    return replace(result, remarks=rules.remarks(expected, path) if result.is_valid else ())
