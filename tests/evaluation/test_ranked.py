"""Top-1 and Top-3 IoU with several labels a vertex, against the definition counted vertex by vertex."""

import numpy as np
import pytest

from pointseg.core.labels import IGNORE
from pointseg.evaluation.ranked import RankedConfusion


def by_hand(truth: np.ndarray, ranked: np.ndarray, k: int, classes: int) -> list[list[int]]:
    """[true][predicted] counts."""
    matrix = [[0] * classes for _ in range(classes)]
    for labels, guesses in zip(truth.tolist(), ranked.tolist(), strict=True):
        for label in labels:
            if label != IGNORE:
                matrix[label][label if label in guesses[:k] else guesses[0]] += 1
    return matrix


@pytest.mark.parametrize("seed", range(5))
def test_every_label_of_a_vertex_counts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 6, (200, 3))
    truth[rng.random((200, 3)) < 0.4] = IGNORE
    ranked = np.argsort(rng.random((200, 6)), axis=1)[:, :3]
    confusion = RankedConfusion(6, (1, 3))
    for part in (slice(0, 70), slice(70, 200)):
        confusion.update(truth[part], ranked[part])
    for k in (1, 3):
        assert confusion.confusions[k].counts[:, :6].tolist() == by_hand(truth, ranked, k, 6)
        assert not confusion.confusions[k].counts[:, 6].any()


def test_a_vertex_of_two_labels_cannot_be_wholly_right_with_one_guess() -> None:
    confusion = RankedConfusion(3, (1, 3))
    confusion.update(np.array([[0, 1, IGNORE]]), np.array([[0, 1, 2]]))
    assert confusion.confusions[1].counts[:, :3].tolist() == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert confusion.confusions[3].counts[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]
