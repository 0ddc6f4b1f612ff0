"""RankedConfusion: Top-1 and Top-3 IoU where a vertex may have several labels, as ScanNet++ defines them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from pointseg.evaluation.confusion import Confusion


class RankedConfusion:
    """Confusion matrices for several k, over every label of every vertex.

    Each label of a vertex is counted as if it were the only one: with the label itself where it is among the
    k most probable classes, else with the most probable one. So a vertex of two labels counts twice, and one
    of them is a miss for k = 1. IGNORE is no label.

    Args:
        num_classes: K.
        ranks: the values of k.

    Source: ScanNet++ toolkit, semantic/utils/confmat.py.
    """

    def __init__(self, num_classes: int, ranks: Sequence[int]) -> None:
        self.confusions = {k: Confusion(num_classes) for k in ranks}

    def update(self, truth: npt.NDArray[np.int64], ranked: npt.NDArray[np.integer]) -> None:
        """Count the vertices of a scene.

        Args:
            truth: (P, n) train indices or IGNORE.
            ranked: (P, m) train indices, the most probable class first; m may be less than k.
        """
        for k, confusion in self.confusions.items():
            for label in truth.T:
                hit = (ranked[:, :k] == label[:, None]).any(axis=1)
                confusion.update(label, np.where(hit, label, ranked[:, 0]))
