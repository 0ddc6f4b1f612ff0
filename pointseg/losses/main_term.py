"""The name `main`: the loss that trains the classifier, so that a method may replace it in any recipe."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pointseg.core.rows import MAIN
from pointseg.losses.base import LossConfig

#: Name of the classification loss that a method replaces.
MAIN_LOSS = "main"
#: What it is where nobody says anything.
DEFAULT: Mapping[str, Any] = {"type": "cross_entropy"}


def make_room(
    below: Mapping[str, Any] | None,
    above: Mapping[str, Any],
    table: Mapping[str, type[LossConfig]],
    *,
    adds: bool,
) -> dict[str, Any] | None:
    """Losses so far, made ready for the losses of a layer.

    A recipe that gives no loss has the default as its main one. Where the layer speaks of `main` and the
    recipe calls its classification loss otherwise, its first one takes that name, and its place.

    Args:
        below: losses so far, as YAML says them; None if there are none.
        above: losses of the layer.
        table: type -> options.
        adds: whether the layer adds to what is there, the default included.
    """
    if not below:
        return {MAIN_LOSS: dict(DEFAULT)} if adds else None
    if MAIN_LOSS in below or MAIN_LOSS not in above:
        return dict(below)
    main = next((name for name, term in below.items() if trains_classifier(term, table)), None)
    return {MAIN_LOSS if name == main else name: term for name, term in below.items()}


def with_main(losses: Mapping[str, Any], table: Mapping[str, type[LossConfig]]) -> dict[str, Any]:
    """Losses without a classification loss get the default one; unless `main` is there, or was taken out.

    Raises:
        ValueError: if all were taken out.
    """
    if losses and not any(losses.values()):
        raise ValueError("losses: none is left; give one, such as losses.main.type=cross_entropy")
    if MAIN_LOSS in losses or any(trains_classifier(term, table) for term in losses.values()):
        return dict(losses)
    return {MAIN_LOSS: dict(DEFAULT), **losses}


def trains_classifier(term: Any, table: Mapping[str, type[LossConfig]]) -> bool:
    """Whether a term, as YAML says it or built, is a classification loss of the main head."""
    if isinstance(term, LossConfig):
        return term.trains_classifier and term.head == MAIN
    if not isinstance(term, Mapping) or term.get("head", MAIN) != MAIN:
        return False
    options = table.get(str(term.get("type")))
    return options is not None and options.trains_classifier
