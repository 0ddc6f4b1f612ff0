"""Sums of sorted stretches against a loop over rows."""

import pytest
import torch
from host_waits import HostWaits

from pointseg.losses import class_sums as module
from pointseg.losses.class_sums import class_counts, class_sums
from pointseg.losses.sorted_sums import sorted_counts, sorted_sums


def example(rows, bins, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    # Most rows in one bin, some bins empty, one of them the last.
    of_row = (torch.rand(rows, generator=generator) ** 6 * (bins - 1)).long()
    shape = (rows,) if width is None else (rows, width)
    return torch.randn(shape, generator=generator, dtype=torch.float64), of_row


@pytest.mark.parametrize("width", [None, 1, 3])
@pytest.mark.parametrize("rows", [0, 1, 255, 256, 257, 512, 5000])
def test_each_bin_has_the_sum_of_its_rows(rows, width):
    values, bins = example(rows, 7, width)
    expected = torch.zeros(7, *values.shape[1:], dtype=torch.float64)
    for value, place in zip(values, bins.tolist(), strict=True):
        expected[place] += value
    torch.testing.assert_close(sorted_sums(values, bins, 7), expected)
    assert sorted_counts(bins, 7).tolist() == [int((bins == place).sum()) for place in range(7)]


def test_gradients_are_those_of_a_sum_and_have_gradients():
    values, bins = example(300, 4, 2)
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda v: sorted_sums(v, bins, 4), values)
    assert torch.autograd.gradgradcheck(lambda v: sorted_sums(v, bins, 4).square(), values)


def test_a_row_that_is_not_finite_spoils_its_own_bin_alone():
    values, bins = example(1000, 5, 2)
    values[(bins == 1).nonzero()[0, 0]] = float("nan")
    assert sorted_sums(values, bins, 5).isfinite().all(dim=1).tolist() == [True, False, True, True, True]


def test_nothing_is_asked_of_the_device():
    values, bins = example(1000, 5, 2)
    values.requires_grad_()
    with HostWaits() as waits:
        sorted_sums(values, bins, 5).sum().backward()
        sorted_counts(bins, 5)
    assert not waits.places


@pytest.mark.parametrize("width", [None, 3])
def test_class_sums_take_them_where_sums_must_have_one_order(width, monkeypatch):
    values, labels = example(2000, 6, width)
    labels[::9] = -100
    expected = class_sums(values, labels, 6), class_counts(labels, 6)
    monkeypatch.setattr(module, "are_wanted", lambda _: True)
    for name in ("index_add", "index_add_"):
        monkeypatch.setattr(torch.Tensor, name, lambda *_: pytest.fail("not in one order"))
    got = class_sums(values, labels, 6), class_counts(labels, 6)
    torch.testing.assert_close(got, expected)
