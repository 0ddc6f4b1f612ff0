"""Neural-collapse diagnostics: full collapse, loops over rows, groups, batches."""

import io
import itertools
import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from rich.console import Console
from torch import Tensor

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.simplex import simplex_etf
from pointseg.evaluation import collapse
from pointseg.evaluation.collapse import CollapseReport, CollapseSums, print_collapse

K, D = 5, 7
GROUPS = ("head", "head", "common", "tail", "tail")
SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), GROUPS, distinct_colors(K))
GENERATOR = torch.Generator().manual_seed(0)
FEATURES = torch.randn(40, D, generator=GENERATOR)
LOGITS = torch.randn(40, K, generator=GENERATOR)
WEIGHT = torch.randn(K, D, generator=GENERATOR)
#: Class 3 has no row; some rows have no class.
LABELS = torch.tensor([0, 1, 2, 4, 0, 0, 0, -100] * 5)


def report(features: Tensor, logits: Tensor, labels: Tensor, weight: Tensor | None) -> CollapseReport:
    sums = CollapseSums(K, D)
    sums.update(features, logits, labels)
    return CollapseReport.from_sums(sums, weight, SPACE)


def test_full_collapse_is_zero_spread_and_full_alignment() -> None:
    simplex = simplex_etf(K, D)
    labels = torch.arange(20) % K
    # A shift of all centers together is no departure from collapse.
    found = report(3 * simplex[labels] + 1, 100 * F.one_hot(labels, K).float(), labels, 2 * simplex)
    for group in found.groups.values():
        assert group.nc1 == pytest.approx(0, abs=1e-9)
        assert group.nc3 == pytest.approx(1)
        assert group.gradient_norm == pytest.approx(0, abs=1e-9)
    assert found.groups["all"].nc2_centers == pytest.approx(0, abs=1e-6)
    assert found.groups["all"].nc2_classifier == pytest.approx(0, abs=1e-6)


def test_the_numbers_equal_those_of_loops_over_rows() -> None:
    there = [0, 1, 2, 4]
    rows = {c: FEATURES[c == LABELS].double().numpy() for c in there}
    centers = {c: rows[c].mean(0) for c in there}
    middle = np.mean([centers[c] for c in there], axis=0)
    weight = WEIGHT.double().numpy() - WEIGHT.double().numpy()[there].mean(0)
    between = np.mean([np.sum((centers[c] - middle) ** 2) for c in there])
    within = [np.mean(np.sum((rows[c] - centers[c]) ** 2, axis=1)) for c in there]

    def cosine(a: np.ndarray, b: np.ndarray) -> float:
        return float(a @ b / np.linalg.norm(a) / np.linalg.norm(b))

    pairs = list(itertools.combinations(there, 2))
    found = report(FEATURES, LOGITS, LABELS, WEIGHT).groups["all"]
    assert found.num_classes == 4
    assert found.nc1 == pytest.approx(np.mean(within) / between)
    assert found.nc2_centers == pytest.approx(
        np.std([cosine(centers[a] - middle, centers[b] - middle) for a, b in pairs])
    )
    assert found.nc2_classifier == pytest.approx(np.std([cosine(weight[a], weight[b]) for a, b in pairs]))
    assert found.nc3 == pytest.approx(np.mean([cosine(centers[c] - middle, weight[c]) for c in there]))


def test_gradient_norms_are_those_of_autograd() -> None:
    found = report(FEATURES, LOGITS, LABELS, WEIGHT)
    for c in (0, 1, 2, 4):
        logits = LOGITS.double().requires_grad_()
        F.cross_entropy(logits[c == LABELS], LABELS[c == LABELS]).backward()
        assert logits.grad is not None
        assert found.gradient_norm[c] == pytest.approx(float(logits.grad.sum(0).norm()))
    assert found.gradient_norm[3] is None


def test_each_group_is_about_its_own_classes() -> None:
    found = report(FEATURES, LOGITS, LABELS, WEIGHT)
    head, tail = found.groups["head"], found.groups["tail"]
    assert (head.num_classes, found.groups["common"].num_classes, tail.num_classes) == (2, 1, 1)
    # One pair of classes has one cosine, and one class none.
    assert head.nc2_centers == pytest.approx(0) and tail.nc2_centers is None
    assert tail.gradient_norm == found.gradient_norm[4]


@pytest.mark.parametrize("chunk", [3, 1000])
def test_batches_add_up(chunk: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collapse, "CHUNK_ROWS", chunk)
    whole, parts = CollapseSums(K, D), CollapseSums(K, D)
    whole.update(FEATURES, LOGITS, LABELS)
    for part in (slice(0, 11), slice(11, 11), slice(11, 40)):
        parts.update(FEATURES[part], LOGITS[part], LABELS[part])
    torch.testing.assert_close(parts.values, whole.values)


def test_a_variance_far_from_the_origin_keeps_its_digits() -> None:
    near = report(FEATURES, LOGITS, LABELS, WEIGHT).groups["all"].nc1
    far = report(FEATURES.double() + 1e4, LOGITS, LABELS, WEIGHT).groups["all"].nc1
    assert far == pytest.approx(near, rel=1e-6)


def test_nothing_labelled_and_one_class_alone_leave_numbers_undefined() -> None:
    nothing = report(FEATURES, LOGITS, torch.full((40,), -100), WEIGHT)
    assert nothing.groups["all"].num_classes == 0 and nothing.groups["all"].nc1 is None
    alone = report(FEATURES, LOGITS, torch.zeros(40, dtype=torch.int64), WEIGHT).groups["all"]
    assert alone.nc1 is None and alone.nc2_centers is None
    assert alone.gradient_norm is not None and math.isfinite(alone.gradient_norm)


def test_rows_of_no_class_are_left_out() -> None:
    beyond = torch.where(LABELS == -100, K, LABELS)
    assert report(FEATURES, LOGITS, beyond, WEIGHT) == report(FEATURES, LOGITS, LABELS, WEIGHT)


def test_the_table_has_three_digits_and_a_dash_for_what_is_undefined() -> None:
    found = report(FEATURES, LOGITS, LABELS, None)
    console = Console(file=io.StringIO(), width=120)
    print_collapse(found, console)
    lines = {
        words[0]: words[1:]
        for line in console.file.getvalue().splitlines()  # type: ignore[attr-defined]
        if (words := line.replace("│", " ").split())
    }
    every, tail = found.groups["all"], found.groups["tail"]
    numbers = [every.nc1, every.nc2_centers, every.gradient_norm]
    nc1, nc2, norm = (f"{number:.3f}" for number in numbers)
    assert lines["all"] == [nc1, nc2, "-", "-", norm, "4"]
    assert lines["tail"] == [f"{tail.nc1:.3f}", "-", "-", "-", f"{tail.gradient_norm:.3f}", "1"]


def test_a_head_without_a_classifier_has_no_alignment() -> None:
    found = report(FEATURES, LOGITS, LABELS, None).groups["all"]
    assert found.nc3 is None and found.nc2_classifier is None and found.nc1 is not None


def test_a_classifier_of_other_features_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \(5, 7\), classes by features; got \(5, 6\)"):
        report(FEATURES, LOGITS, LABELS, WEIGHT[:, :6])


def test_a_label_set_without_groups_has_all_alone() -> None:
    plain = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * K, distinct_colors(K))
    sums = CollapseSums(K, D)
    sums.update(FEATURES, LOGITS, LABELS)
    found = CollapseReport.from_sums(sums, WEIGHT, plain).to_dict()
    assert set(found) == {"all", "gradient_norm"} and len(found["gradient_norm"]) == K
