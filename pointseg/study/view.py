"""StudyView: finished runs, ordered and compared: what tables, figures and page are made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from pointseg.study.comparison import Comparison
from pointseg.study.definition import StudyConfig, read_study
from pointseg.study.figures.style import COLOURS, Look
from pointseg.study.record import Record
from pointseg.study.results import read_results

#: Methods that have a colour where the study names none, as far as they are there.
_USUAL = ("best", "tilted", "pat", "ceco", "dropclass", "class_mean", "balanced_softmax")


@dataclass(frozen=True)
class StudyView:
    """Runs of one study, or any runs on the same scenes.

    Args:
        name: of the study, or of the page.
        baseline: method that the others are compared with.
        rival: for each budget the strongest plain re-weighting there is, or None.
        methods: names in the order of the study.
        budgets: names, the shortest first.
        comparisons: for each budget.
        records: all runs.
        look: of the methods in figures.
    """

    name: str
    baseline: str
    rival: dict[str, str | None]
    methods: tuple[str, ...]
    budgets: tuple[str, ...]
    comparisons: dict[str, Comparison]
    records: tuple[Record, ...]
    look: Look

    @classmethod
    def of(
        cls, name: str, records: Sequence[Record], study: StudyConfig | None = None, draws: int | None = None
    ) -> StudyView:
        """Order and compare records.

        Args:
            name: of the page.
            records: finished runs.
            study: whose methods, baseline and re-weightings they are; without one the first record's method
                is the baseline.
            draws: of the bootstrap; as many as usual if None.

        Raises:
            ValueError: if there is no record, or they cannot be compared.
        """
        if not records:
            raise ValueError(f"{name}: no finished run, so there is nothing to report.")
        found = list(dict.fromkeys(record.facts["method"] for record in records))
        order = [m for m in study.methods if m in found] if study else found
        baseline = study.baseline if study and study.baseline in order else order[0]
        steps = {record.facts["budget"]: record.facts["steps"] for record in records}
        longest: dict[str, int] = {}
        for record in records:
            budget = record.facts["budget"]
            longest[budget] = max(longest.get(budget, 0), record.facts["total_steps"])
        budgets = tuple(sorted(steps, key=lambda budget: (longest[budget], budget)))
        options = {} if draws is None else {"draws": draws}
        comparisons = {
            budget: Comparison([r for r in records if r.facts["budget"] == budget], **options)
            for budget in budgets
        }
        plain = study.reweighting if study else ()
        rival = {budget: comparison.strongest(plain) for budget, comparison in comparisons.items()}
        loud = study.highlight if study and study.highlight else None
        if loud is None:
            wanted = [baseline, *(r for r in rival.values() if r), *_USUAL, *order]
            loud = tuple(m for m in dict.fromkeys(wanted) if m in order)
        return cls(
            name,
            baseline,
            rival,
            tuple(order),
            budgets,
            comparisons,
            tuple(records),
            Look(loud[: len(COLOURS)]),
        )

    @classmethod
    def read(cls, folder: Path, draws: int | None = None) -> StudyView:
        """The committed form of a study: study.yaml, results.csv and the records in runs/.

        Raises:
            FileNotFoundError: if there are no results.
            ValueError: if a record is missing or damaged.
        """
        results = folder / "results.csv"
        if not results.is_file():
            raise FileNotFoundError(
                f"{folder}: no study with results; expected the file {results.name} in it."
            )
        records = [Record.read(folder / "runs" / f"{row['run']}.json") for row in read_results(results)]
        file = folder / "study.yaml"
        study = read_study(file) if file.is_file() else None
        return cls.of(study.name if study else folder.resolve().name, records, study, draws)

    def methods_of(self, budget: str) -> list[str]:
        """Methods that have a run of this budget, in order."""
        return [name for name in self.methods if name in self.comparisons[budget].runs]

    def of_method(self, budget: str, method: str) -> list[Record]:
        """Its runs, by seed."""
        return [record for _, record in sorted(self.comparisons[budget].runs[method].items())]

    def mean_iou(self, budget: str, method: str) -> npt.NDArray[np.float64]:
        """(K,) IoU of each class, mean over the seeds; NaN for classes without ground truth."""
        ious = [
            np.where(record.confusion.truth > 0, record.report.iou, np.nan)
            for record in self.of_method(budget, method)
        ]
        mean: npt.NDArray[np.float64] = np.mean(ious, axis=0)
        return mean
