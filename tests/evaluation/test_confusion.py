"""Confusion: the laws of counting, and equality with a loop over vertices."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from pointseg.core.rows import IGNORE
from pointseg.evaluation.confusion import Confusion

CLASSES = 3
TRUTHS = st.sampled_from([0, 1, 2, IGNORE])
PREDICTIONS = st.sampled_from([-100, -1, 0, 1, 2, 3, 99999])
VERTICES = st.lists(st.tuples(TRUTHS, PREDICTIONS), max_size=30)


def count_in_a_loop(truth: list[int], predicted: list[int]) -> list[list[int]]:
    """The obvious way, vertex by vertex."""
    counts = [[0] * (CLASSES + 1) for _ in range(CLASSES)]
    for t, p in zip(truth, predicted, strict=True):
        if t != IGNORE:
            counts[t][p if p in range(CLASSES) else CLASSES] += 1
    return counts


def confusion_of(vertices: list[tuple[int, int]]) -> Confusion:
    pairs = np.array(vertices, dtype=np.int64).reshape(-1, 2)
    return Confusion(CLASSES).update(pairs[:, 0], pairs[:, 1])


@given(VERTICES)
def test_counts_equal_a_loop_over_the_vertices(vertices: list[tuple[int, int]]) -> None:
    truth, predicted = [t for t, _ in vertices], [p for _, p in vertices]
    assert confusion_of(vertices).counts.tolist() == count_in_a_loop(truth, predicted)


@given(VERTICES, VERTICES, VERTICES)
def test_merging_is_associative_and_equals_counting_at_once(a: list, b: list, c: list) -> None:
    left = confusion_of(a).merge(confusion_of(b)).merge(confusion_of(c))
    right = confusion_of(a).merge(confusion_of(b).merge(confusion_of(c)))
    assert left == right == confusion_of(a + b + c)


@given(VERTICES)
def test_an_unknown_prediction_is_a_miss_of_the_true_class_and_a_false_alarm_of_nobody(
    vertices: list,
) -> None:
    before, after = confusion_of(vertices), confusion_of([*vertices, (1, 77)])
    assert (after.fn - before.fn).tolist() == [0, 1, 0]
    assert after.fp.tolist() == before.fp.tolist()
    assert after.tp.tolist() == before.tp.tolist()


@given(VERTICES)
def test_truth_splits_into_found_and_missed_vertices(vertices: list) -> None:
    confusion = confusion_of(vertices)
    assert (confusion.tp + confusion.fn).tolist() == [
        sum(t == c for t, _ in vertices) for c in range(CLASSES)
    ]


def test_tp_fp_fn_of_a_matrix_known_by_hand() -> None:
    confusion = Confusion(2, [[5, 2, 1], [3, 7, 0]])
    assert confusion.tp.tolist() == [5, 7]
    assert confusion.fp.tolist() == [3, 2]
    assert confusion.fn.tolist() == [3, 3]


def test_unlabelled_vertices_cost_nothing() -> None:
    assert Confusion(2).update(np.array([IGNORE]), np.array([1])).counts.sum() == 0


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.int16])
def test_torch_tensors_count_like_arrays(dtype: torch.dtype) -> None:
    truth, predicted = torch.tensor([0, 1, 1], dtype=dtype), torch.tensor([0, 0, 1], dtype=dtype)
    expected = Confusion(2).update(truth.numpy(), predicted.numpy())
    assert Confusion(2).update(truth, predicted) == expected
    assert expected.counts.tolist() == [[1, 0, 0], [1, 1, 0]]


@given(hnp.arrays(np.uint16, st.integers(0, 20), elements=st.integers(0, 1)))
def test_small_integer_types_do_not_overflow(truth: np.ndarray) -> None:
    confusion = Confusion(200).update(truth, np.full(len(truth), 199, dtype=np.uint8))
    assert confusion.counts[:, 199].sum() == len(truth)


def test_raw_ids_as_truth_are_refused() -> None:
    with pytest.raises(ValueError, match=r"LabelSpace\.encode"):
        Confusion(200).update(np.array([1191]), np.array([0]))


def test_truth_and_prediction_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="equally many"):
        Confusion(2).update(np.array([0, 1]), np.array([0]))


def test_floats_are_refused() -> None:
    with pytest.raises(ValueError, match="integers"):
        Confusion(2).update(np.array([0]), np.array([0.0]))


def test_confusions_of_different_label_sets_do_not_merge() -> None:
    with pytest.raises(ValueError, match="20 and 200"):
        Confusion(20).merge(Confusion(200))


def test_counts_of_another_shape_and_no_class_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match=r"Counts of 2 classes must be \(2, 3\)"):
        Confusion(2, [[1, 1], [1, 1]])
    with pytest.raises(ValueError, match="at least one class; got 0"):
        Confusion(0)
    assert Confusion(1, [[1, 0]]).tp.tolist() == [1]


def test_a_wrong_truth_is_shown_by_ten_of_its_numbers() -> None:
    with pytest.raises(ValueError, match=r"got \[2, 3, 4, 5, 6, 7, 8, 9, 10, 11\]"):
        Confusion(2).update(np.arange(14), np.zeros(14, np.int64))


def test_a_matrix_equals_another_of_its_counts_alone() -> None:
    assert Confusion(1, [[1, 0]]) == Confusion(1, [[1, 0]]) != Confusion(1, [[1, 1]])
    assert Confusion(1, [[1, 0]]) != [[1, 0]]
    assert repr(Confusion(2, [[5, 2, 1], [3, 7, 0]])) == "Confusion(num_classes=2, vertices=18)"
    assert Confusion(2).unknown == 2


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="not negative"):
        Confusion(1, [[1, -1]])
