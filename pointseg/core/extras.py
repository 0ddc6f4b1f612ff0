"""What a labelled file may have beside its labels: how sure the network is, and what else it may be."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction

_NUM_TOP = 5


@dataclass(frozen=True)
class Column:
    """One or several numbers of each row.

    Args:
        name: of the whole.
        values: (P,) or (P, n).
        parts: n names, for formats whose columns are single numbers; the name itself for (P,).
        meaning: n texts of a few words.
        raw_ids: (n,) raw ids where each part is that of a class, or None.
    """

    name: str
    values: npt.NDArray[Any]
    parts: tuple[str, ...]
    meaning: tuple[str, ...]
    raw_ids: npt.NDArray[np.int32] | None = None

    def singles(self) -> list[tuple[str, npt.NDArray[Any], str]]:
        """Name, (P,) values and meaning of each part."""
        rows = self.values if self.values.ndim == 2 else self.values[:, None]
        return [(name, rows[:, i], self.meaning[i]) for i, name in enumerate(self.parts)]


def parse_extras(text: str | Iterable[str] | None) -> tuple[str, ...]:
    """The names in ``confidence,entropy`` or in a list, each once.

    Raises:
        ValueError: for one that is none of :data:`EXTRAS`.
    """
    words = text.split(",") if isinstance(text, str) else list(text or ())
    names = tuple(dict.fromkeys(word.strip() for word in words if word.strip()))
    if unknown := [name for name in names if name not in EXTRAS]:
        raise ValueError(f"--save: unknown {', '.join(unknown)}; expected some of {','.join(EXTRAS)}.")
    return names


def classes_needed(extras: Iterable[str], num_classes: int) -> int:
    """How many of the most probable classes a prediction must have for these extras."""
    return min(num_classes, max((EXTRAS[name][0](num_classes) for name in extras), default=1))


def needs_entropy(extras: Iterable[str]) -> bool:
    """Whether a prediction must have its entropy for these extras."""
    return "entropy" in extras


def columns_of(
    prediction: ScenePrediction, label_space: LabelSpace, extras: Iterable[str]
) -> tuple[Column, ...]:
    """The columns of some extras.

    ``confidence`` is the largest probability; ``entropy`` is -sum p ln p in nats; ``margin`` is the largest
    probability less the second; ``top5`` are the raw ids and probabilities of the five most probable classes
    (of all, where there are fewer), the first one first; ``probabilities`` are those of all classes, in train
    order. All are float32, ids int32, and none of them depends on what was left unclassified.

    Args:
        prediction: with at least :func:`classes_needed` classes, and entropy where that is asked for.
        label_space: its classes.
        extras: names of :data:`EXTRAS`.
    """
    return tuple(column for name in extras for column in EXTRAS[name][1](prediction, label_space))


def _ranked(prediction: ScenePrediction, count: int) -> tuple[npt.NDArray[Any], npt.NDArray[np.float32]]:
    """(P, n) indices and probabilities of the first ``count`` classes, or of all."""
    if prediction.top_index is None or prediction.top_probability is None:
        return prediction.train_index[:, None], prediction.confidence[:, None]
    return prediction.top_index[:, :count], prediction.top_probability[:, :count]


def _confidence(prediction: ScenePrediction, labels: LabelSpace) -> list[Column]:
    return [_single("confidence", prediction.confidence, "probability of the class")]


def _entropy(prediction: ScenePrediction, labels: LabelSpace) -> list[Column]:
    assert prediction.entropy is not None
    return [_single("entropy", prediction.entropy, "of the probabilities, nats")]


def _margin(prediction: ScenePrediction, labels: LabelSpace) -> list[Column]:
    _, probability = _ranked(prediction, 2)
    second = probability[:, 1] if probability.shape[1] > 1 else np.float32(0)
    return [_single("margin", probability[:, 0] - second, "first less second probability")]


def _top5(prediction: ScenePrediction, labels: LabelSpace) -> list[Column]:
    index, probability = _ranked(prediction, _NUM_TOP)
    ranks = range(1, index.shape[1] + 1)
    return [
        Column(
            "top5_label",
            labels.decode(index),
            tuple(f"top{i}_label" for i in ranks),
            tuple(f"id of probable class {i}" for i in ranks),
        ),
        Column(
            "top5_probability",
            probability,
            tuple(f"top{i}_probability" for i in ranks),
            tuple(f"of probable class {i}" for i in ranks),
        ),
    ]


def _probabilities(prediction: ScenePrediction, labels: LabelSpace) -> list[Column]:
    index, probability = _ranked(prediction, labels.num_classes)
    values = np.empty(probability.shape, np.float32)
    np.put_along_axis(values, index, probability, axis=1)
    raw_ids = np.asarray(labels.raw_ids, np.int32)
    # A raw id may be negative, and no dash stands in names of properties that programs calculate with.
    names = tuple(f"probability_{i}".replace("-", "minus") for i in labels.raw_ids)
    return [Column("probabilities", values, names, labels.names, raw_ids)]


def _single(name: str, values: npt.NDArray[Any], meaning: str) -> Column:
    return Column(name, values, (name,), (meaning,))


#: Name -> how many of the most probable of K classes it takes, and what makes its columns.
EXTRAS: dict[str, tuple[Callable[[int], int], Callable[[ScenePrediction, LabelSpace], list[Column]]]] = {
    "confidence": (lambda k: 1, _confidence),
    "entropy": (lambda k: 1, _entropy),
    "margin": (lambda k: 2, _margin),
    "top5": (lambda k: _NUM_TOP, _top5),
    "probabilities": (lambda k: k, _probabilities),
}
