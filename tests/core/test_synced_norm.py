"""Norms over the rows of two processes are those of one process with all rows; the oracle is torch's own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from pointseg.core.synced_norm import SyncedBatchNorm, synchronised

WORKER = Path(__file__).with_name("synced_norm_worker.py")
CHANNELS = 5
#: Name -> rows of the two processes, further dimensions, type, momentum.
CASES = {
    "uneven": ((7, 12), (), torch.float32, 0.1),
    "one row": ((1, 4), (), torch.float32, 0.1),
    "no row here": ((0, 9), (), torch.float32, 0.1),
    "double": ((6, 3), (), torch.float64, 0.3),
    "mean of all": ((6, 3), (), torch.float64, None),
    "images": ((2, 3), (4, 2), torch.float32, 0.1),
    "bfloat16": ((40, 23), (), torch.bfloat16, 0.1),
    "one row in all": ((1, 0), (), torch.float32, 0.1),
    "no row at all": ((0, 0), (), torch.float32, 0.1),
}


def rows_of(case):
    """Rows and gradients of both processes, far from zero so that squares alone would not do."""
    sizes, further, dtype, _ = CASES[case]
    generator = torch.Generator().manual_seed(1)
    offset = 0 if dtype == torch.bfloat16 else 100
    return [
        [
            (torch.randn(size, CHANNELS, *further, generator=generator) * 2 + shift).to(dtype)
            for shift in (offset, 0)
        ]
        for size in sizes
    ]


def norm_of(case):
    _, further, dtype, momentum = CASES[case]
    norm = (nn.BatchNorm2d if further else nn.BatchNorm1d)(CHANNELS, momentum=momentum)
    if dtype == torch.float64:
        norm = norm.double()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(-1, 2, CHANNELS))
        norm.bias.copy_(torch.linspace(3, 1, CHANNELS))
        norm.running_mean.fill_(0.5)
    return norm


def two_steps(norm, x, grad):
    """What a norm gives and keeps after two steps with the same rows."""
    for _ in range(2):
        norm.zero_grad()
        x = x.detach().requires_grad_()
        out = norm(x)
        out.backward(grad)
    kept = [norm.weight.grad, norm.bias.grad, norm.running_mean, norm.running_var, norm.num_batches_tracked]
    return [out.detach(), x.grad, *(value.detach().clone() for value in kept)]


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """Case -> what each of two processes found."""
    folder = tmp_path_factory.mktemp("two")
    paths = os.pathsep.join([str(WORKER.parent), *sys.path])
    workers = [
        subprocess.Popen([sys.executable, WORKER, str(rank), folder], env={**os.environ, "PYTHONPATH": paths})
        for rank in range(2)
    ]
    assert [worker.wait(timeout=180) for worker in workers] == [0, 0]
    first, second = (torch.load(folder / f"{rank}.pt") for rank in range(2))
    return {case: (first[case], second[case]) for case in CASES}


@pytest.mark.parametrize("case", [case for case in CASES if sum(CASES[case][0]) > 1])
def test_two_processes_normalise_as_one_with_all_rows(case, found):
    (x, grad), (more_x, more_grad) = rows_of(case)
    is_narrow = x.dtype == torch.bfloat16
    norm, all_x, all_grad = norm_of(case), torch.cat([x, more_x]), torch.cat([grad, more_grad])
    # Of bfloat16 rows what they are in float32: torch's own result is no better than its rounding.
    out, grad_x, *kept = two_steps(norm, *((v.float() if is_narrow else v) for v in (all_x, all_grad)))
    (a_out, a_grad_x, *a_kept), (b_out, b_grad_x, *b_kept) = found[case]
    close = {"rtol": 2e-2, "atol": 2e-2} if is_narrow else {"rtol": 1e-4, "atol": 1e-4}
    assert a_out.dtype == x.dtype and a_grad_x.dtype == x.dtype
    torch.testing.assert_close(torch.cat([a_out, b_out]).to(out), out, **close)
    torch.testing.assert_close(torch.cat([a_grad_x, b_grad_x]).to(grad_x), grad_x, **close)
    # Each process has the gradient of its own rows; data-parallel training adds them.
    for own, other, expected in zip(a_kept[:2], b_kept[:2], kept[:2], strict=True):
        torch.testing.assert_close(own + other, expected, rtol=1e-3, atol=1e-3)
    for own, other, expected in zip(a_kept[2:], b_kept[2:], kept[2:], strict=True):
        assert torch.equal(own, other)
        torch.testing.assert_close(own, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("case", [case for case in CASES if sum(CASES[case][0]) < 2])
def test_fewer_than_two_rows_in_all_are_normalised_with_the_running_statistics(case, found):
    norm = norm_of(case).eval()
    for (out, grad_x, *kept), (rows, its_grad) in zip(found[case], rows_of(case), strict=True):
        expected = two_steps(norm, rows, its_grad)
        for got, wanted in zip([out, grad_x, *kept], expected, strict=True):
            torch.testing.assert_close(got, wanted)


def test_what_is_synchronised_keeps_names_tensors_and_modes():
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4, eps=1e-3, momentum=0.02), nn.Sequential())
    network[2].append(nn.BatchNorm2d(6, affine=False).eval())
    network[2].append(nn.BatchNorm1d(2, track_running_stats=False))
    before = network.state_dict()
    made = synchronised(network)
    assert made is network and made.state_dict().keys() == before.keys()
    assert all(value.data_ptr() == before[key].data_ptr() for key, value in made.state_dict().items())
    kinds = [type(module).__name__ for module in made.modules() if "Norm" in type(module).__name__]
    assert kinds == ["SyncedBatchNorm", "SyncedBatchNorm", "BatchNorm1d"]
    assert made[1].training and not made[2][0].training
    assert (made[1].eps, made[1].momentum) == (1e-3, 0.02)
    assert isinstance(synchronised(nn.BatchNorm1d(3)), SyncedBatchNorm)


def test_rows_without_channels_are_refused():
    with pytest.raises(ValueError, match=r"\(N, C\) or \(N, C, \.\.\.\); got \(3,\)"):
        SyncedBatchNorm(3)(torch.zeros(3))
