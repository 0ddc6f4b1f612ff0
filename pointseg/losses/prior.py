"""Class priors: from a file or from counts to the log prior that losses add to logits."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from pointseg.core.statistics import ClassStatistics

#: What is counted of a class in the training set: its points (pixels), or the samples (scenes, images) that
#: hold it.
CountUnit = Literal["points", "samples"]


def training_counts(statistics: ClassStatistics, unit: CountUnit) -> Tensor:
    """(K,) float64 points or samples of each class; one without any counts as the rarest that has some.

    Raises:
        ValueError: if no class has any.
    """
    counts = (statistics.points if unit == "points" else statistics.samples).double()
    present = counts > 0
    if not bool(present.any()):
        raise ValueError("Class counts need labelled training points; the training split has none.")
    return torch.where(present, counts, counts[present].min())


def checked_class_numbers(numbers: Tensor, name: str) -> Tensor:
    """The numbers, one a class, if all are positive and finite.

    Raises:
        ValueError: if they are not.
    """
    if numbers.ndim != 1 or not bool((numbers > 0).all() and numbers.isfinite().all()):
        raise ValueError(
            f"{name} must be positive finite numbers, one a class; got shape {tuple(numbers.shape)}, from "
            f"{float(numbers.min())} to {float(numbers.max())}. Give absent classes a small one, such as 1."
        )
    return numbers


def log_prior(prior: Tensor, num_classes: int) -> Tensor:
    """(K,) positive numbers, in any unit -> (K,) float32 log of their shares.

    Raises:
        ValueError: for another number of classes, or a number that is not positive and finite.
    """
    if prior.shape != (num_classes,):
        raise ValueError(
            f"The prior must have {num_classes} numbers, one a class; got shape {tuple(prior.shape)}."
        )
    if not bool((prior > 0).all() and prior.isfinite().all()):
        raise ValueError(
            "The prior must be positive and finite; give absent classes a small count, such as 1."
        )
    return (prior.double() / prior.double().sum()).log().float()


def read_prior(path: Path, num_classes: int) -> Tensor:
    """A text file with one positive number a class, in the order of the train indices.

    Raises:
        ValueError: if there is no such file, it does not hold numbers, or not one for each class.
    """
    if not path.is_file():
        raise ValueError(
            f"No prior file {path}; expected scene_frequency, none, or a text file with one number a class."
        )
    words = path.read_text(encoding="utf-8").split()
    try:
        prior = torch.tensor([float(word) for word in words], dtype=torch.float64)
    except ValueError as error:
        raise ValueError(f"{path}: a prior file holds one number a class; {error}.") from None
    if len(words) != num_classes:
        raise ValueError(
            f"{path}: {len(words)} numbers for {num_classes} classes; a prior file holds one number a class, "
            "in the order of the train indices."
        )
    return prior
