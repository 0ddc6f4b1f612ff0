"""A tune split, cut from the training scenes: settings are chosen on it, so that val stays unseen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

#: Name of the split that is cut.
TUNE = "tune"
#: Cuts that are drawn to choose from.
_DRAWS = 64

Entries = Mapping[str, Mapping[str, Any]]


def with_tune_split(entries: Entries, train_split: str, share: float, seed: int) -> dict[str, Any]:
    """The entries of a data set with some of its training scenes in split ``tune``.

    With few scenes a rare class easily lies on one side alone, where it can be learned or measured but not
    both. So of 64 cuts drawn with ``seed`` the first that leaves most classes on both sides is taken; only
    training labels are looked at.

    Args:
        entries: for each scene its split and class points.
        train_split: split that is cut.
        share: share of its scenes that are set apart; at least one scene, and one stays.
        seed: of the draws.

    Raises:
        ValueError: if there are fewer than two scenes to divide, or a split is called tune already.
    """
    if any(entry["split"] == TUNE for entry in entries.values()):
        raise ValueError(
            f"data.tune_share: the data have a split {TUNE!r} of their own; leave the share out."
        )
    names = sorted(name for name, entry in entries.items() if entry["split"] == train_split)
    if len(names) < 2:
        raise ValueError(
            f"data.tune_share: split {train_split!r} has {len(names)} scenes; it takes two to set one apart."
        )
    num_apart = min(max(1, round(share * len(names))), len(names) - 1)
    classes = sorted({raw_id for name in names for raw_id in entries[name]["class_points"]})
    held = np.array([[raw_id in entries[name]["class_points"] for raw_id in classes] for name in names])
    rng = np.random.default_rng(seed)
    cuts = [rng.permutation(len(names))[:num_apart] for _ in range(_DRAWS)]

    def classes_on_both_sides(cut: np.ndarray[Any, np.dtype[np.int64]]) -> int:
        apart = np.zeros(len(names), dtype=bool)
        apart[cut] = True
        return int((held[apart].any(axis=0) & held[~apart].any(axis=0)).sum())

    apart = {names[position] for position in max(cuts, key=classes_on_both_sides)}
    return {
        name: {**entry, "split": TUNE} if name in apart else dict(entry) for name, entry in entries.items()
    }
