"""Class-balanced scene sampling: scenes with rare classes come more often (repeat factors)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pointseg.data.source import Source


def repeat_factors(has_class: npt.NDArray[np.bool_], threshold: float) -> npt.NDArray[np.float64]:
    """How often each scene comes in a pass, on average.

    r_s = max over the classes c of scene s of max(1, sqrt(t / f_c)), with f_c the share of the scenes that
    hold c.

    Args:
        has_class: (S, K) whether scene s holds class c.
        threshold: t; classes in a larger share of the scenes are not repeated. LVIS, with 100,000 images,
            takes 0.001; among 1,201 scenes 0.05 repeats what is in fewer than 60.

    Returns:
        (S,) factors, 1 or more.

    Source: Gupta et al., "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019.
    """
    if not len(has_class):
        return np.ones(0)
    share = has_class.mean(axis=0)
    of_class = np.maximum(1.0, np.sqrt(threshold / np.where(share > 0, share, 1.0)))
    return np.where(has_class, of_class, 1.0).max(axis=1, initial=1.0)


def classes_of_scenes(store: Source, names: Sequence[str]) -> npt.NDArray[np.bool_]:
    """(S, K) whether each scene holds each class, from the manifest alone."""
    position = {raw_id: index for index, raw_id in enumerate(store.label_space.raw_ids)}
    has_class = np.zeros((len(names), len(position)), dtype=bool)
    for row, name in enumerate(names):
        for raw_id, count in store.entry(name)["class_points"].items():
            if count > 0 and int(raw_id) in position:
                has_class[row, position[int(raw_id)]] = True
    return has_class
