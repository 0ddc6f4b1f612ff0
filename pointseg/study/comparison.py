"""Runs side by side: means with intervals over seeds, and paired differences with intervals over scenes.

Two questions have two intervals. *Would another seed give the same?* Student's t over the seeds of a
method. *Is this method better than that one?* Both are run with the same seeds and scored on the same scenes,
so differences are taken of pairs: 10,000 times as many scenes, and as many seeds, are drawn with replacement,
the same for both methods, and the percentiles 2.5 and 97.5 of the difference of the drawn means are the
interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import stats

from pointseg.core.labels import GROUPS
from pointseg.study.record import Record

#: What is compared: mean IoU over the classes present, of all classes and of each group.
METRICS = ("miou", *GROUPS)
DRAWS = 10_000
#: Draws that are computed at once: 500 of 200 images and 200 classes are a few megabytes.
_CHUNK = 500

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; the ends are None where there is nothing to tell them from."""

    value: float
    low: float | None = None
    high: float | None = None

    @property
    def excludes_zero(self) -> bool:
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def over_seeds(values: Sequence[float]) -> Interval:
    """Mean of several seeds with the 95 % interval of Student's t; of one seed no interval."""
    mean, number = float(np.mean(values)), len(values)
    if number < 2:
        return Interval(mean)
    half = float(stats.t.ppf(0.975, number - 1)) * float(np.std(values, ddof=1)) / math.sqrt(number)
    return Interval(mean, mean - half, mean + half)


def scene_draws(num_scenes: int, draws: int = DRAWS, seed: int = 0) -> Floats:
    """(R, S) how often each of R draws of S scenes, with replacement, has each scene."""
    rng = np.random.default_rng(seed)
    return rng.multinomial(num_scenes, [1 / num_scenes] * num_scenes, draws).astype(np.float64)


def drawn_means(record: Record, weights: Floats) -> Floats:
    """(R, 4) the mean IoUs of METRICS over the classes present, in each of R draws of scenes; NaN where a
    draw has no class of the group.

    Args:
        record: a run.
        weights: (R, S), see :func:`scene_draws`.
    """
    members = np.ones((len(METRICS), record.label_space.num_classes))
    for row, group in enumerate(GROUPS, start=1):
        members[row] = [g == group for g in record.label_space.groups]
    parts = record.parts.reshape(len(record.scenes), -1).astype(np.float64)
    found = [_means(weights[i : i + _CHUNK] @ parts, members) for i in range(0, len(weights), _CHUNK)]
    return np.concatenate(found)


def _means(counts: Floats, members: Floats) -> Floats:
    """(R, 3 K) counts of drawn scenes -> (R, 4)."""
    hit, truth, predicted = np.moveaxis(counts.reshape(len(counts), 3, -1), 1, 0)
    present = truth > 0
    iou = np.divide(hit, truth + predicted - hit, out=np.zeros_like(hit), where=present)
    number = present.astype(np.float64) @ members.T
    total: Floats = iou @ members.T
    return np.divide(total, number, out=np.full_like(total, np.nan), where=number > 0)


class Comparison:
    """Records of one budget, compared.

    Args:
        records: of any methods and seeds, all on the same scenes and classes.
        draws: number of bootstrap draws.

    Raises:
        ValueError: if the records are of different scenes or classes, or two are of one method and seed.
    """

    def __init__(self, records: Sequence[Record], draws: int = DRAWS) -> None:
        first = records[0]
        for record in records:
            if record.scenes != first.scenes or record.label_space != first.label_space:
                raise ValueError(
                    f"{record.facts['method']} and {first.facts['method']} were evaluated on different "
                    "scenes or classes; only runs on the same ones can be compared."
                )
        self.runs: dict[str, dict[int, Record]] = {}
        for record in records:
            seeds = self.runs.setdefault(record.facts["method"], {})
            if record.facts["seed"] in seeds:
                raise ValueError(
                    f"Two runs are called {record.facts['method']}, seed {record.facts['seed']}."
                )
            seeds[record.facts["seed"]] = record
        self._weights = scene_draws(len(first.scenes), draws)
        self._drawn: dict[tuple[str, int], Floats] = {}

    def values(self, method: str, column: str) -> list[float]:
        """What the seeds of a method have in a column; seeds without a value are left out."""
        found = [record.facts.get(column) for _, record in sorted(self.runs[method].items())]
        return [float(value) for value in found if value is not None]

    def mean(self, method: str, column: str) -> Interval | None:
        """Mean over the seeds, None where no seed has a value."""
        values = self.values(method, column)
        return over_seeds(values) if values else None

    def spread_over_scenes(self, method: str) -> dict[str, Interval]:
        """The mean IoUs of a method with their intervals over scenes alone, seeds as they are."""
        seeds = list(self.runs[method])
        drawn = np.mean([self._means_of(method, seed) for seed in seeds], axis=0)
        return self._intervals(drawn, [self._observed(method, seed) for seed in seeds])

    def difference(self, method: str, other: str) -> dict[str, Interval] | None:
        """``method`` minus ``other`` for each of METRICS that is defined; None without a common seed."""
        seeds = sorted(self.runs[method].keys() & self.runs[other].keys())
        if not seeds:
            return None
        pairs = np.array([self._means_of(method, s) - self._means_of(other, s) for s in seeds])
        times = scene_draws(len(seeds), len(self._weights), seed=1) / len(seeds)
        drawn = np.einsum("rs,srm->rm", times, pairs)
        observed = [self._observed(method, s) - self._observed(other, s) for s in seeds]
        return self._intervals(drawn, observed)

    def _intervals(self, drawn: Floats, observed: Sequence[Floats]) -> dict[str, Interval]:
        found = {}
        for place, (name, value) in enumerate(zip(METRICS, np.mean(observed, axis=0), strict=True)):
            known = drawn[:, place][np.isfinite(drawn[:, place])]
            if np.isfinite(value) and len(known):
                low, high = np.percentile(known, [2.5, 97.5])
                found[name] = Interval(float(value), float(low), float(high))
        return found

    def _means_of(self, method: str, seed: int) -> Floats:
        key = method, seed
        if key not in self._drawn:
            self._drawn[key] = drawn_means(self.runs[method][seed], self._weights)
        return self._drawn[key]

    def _observed(self, method: str, seed: int) -> Floats:
        facts = self.runs[method][seed].facts
        return np.array([np.nan if facts[name] is None else facts[name] for name in METRICS])

    def strongest(self, methods: Sequence[str]) -> str | None:
        """Of these the one with the highest mean tail mIoU, or overall where there is no tail."""
        there = [name for name in methods if name in self.runs]
        column = "tail" if any(self.values(name, "tail") for name in there) else "miou"
        scores: Mapping[str, float] = {name: float(np.mean(self.values(name, column))) for name in there}
        return max(scores, key=scores.__getitem__, default=None)
