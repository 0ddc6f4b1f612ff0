"""Choosing an engine: by name, automatically, and with a reason where it cannot be."""

import threading

import pytest
import torch
from oracle import random_coords

from pointseg.sparse import ENGINES, Grid, convolve, current_engine, set_engine, using_engine
from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.engines import backend, check_engine
from pointseg.sparse.ops import convolve_and_finish

CPU = torch.device("cpu")
HERE = [name for name in ENGINES if backend(name).unavailable(CPU) is None]


def test_auto_takes_an_engine_that_can_run():
    assert current_engine("cpu") in HERE


def test_an_unknown_engine_is_answered_with_those_that_exist():
    with pytest.raises(ValueError, match=r"unknown engine 'cudnn'; choose one of auto, .*torch"):
        set_engine("cudnn")


def test_an_engine_on_the_wrong_device_is_refused_with_the_reason():
    with pytest.raises(ValueError, match="engine: torch cannot run here: it is made for CPUs"):
        check_engine("torch", "cuda")
    check_engine("auto", "cuda")
    check_engine("torch", "cpu")


def test_the_setting_holds_inside_its_block_only():
    before = current_engine("cpu")
    with using_engine("reference"):
        assert current_engine("cpu") == "reference"
    assert current_engine("cpu") == before


def test_the_setting_of_a_block_is_that_of_its_thread_alone():
    before, seen = current_engine("cpu"), []
    with using_engine("reference"):
        thread = threading.Thread(target=lambda: seen.append(current_engine("cpu")))
        thread.start()
        thread.join()
        assert current_engine("cpu") == "reference"
    assert seen == [before]


def test_blocks_of_two_threads_end_in_any_order():
    inside, leave = threading.Event(), threading.Event()

    def other():
        with using_engine("torch"):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=other)
    before = current_engine("cpu")
    with using_engine("reference"):
        thread.start()
        inside.wait()
    leave.set()
    thread.join()
    assert current_engine("cpu") == before


def test_the_setting_of_the_program_holds_in_every_thread_and_a_block_overrides_it():
    seen = []
    set_engine("reference")
    try:
        thread = threading.Thread(target=lambda: seen.append(current_engine("cpu")))
        thread.start()
        thread.join()
        with using_engine("torch"):
            assert current_engine("cpu") == "torch"
    finally:
        set_engine("auto")
    assert seen == ["reference"]
    assert current_engine("cpu") in HERE


def test_auto_inside_a_block_is_auto_whatever_the_program_has_set():
    automatic = current_engine("cpu")
    set_engine("reference")
    try:
        with using_engine("auto"):
            assert current_engine("cpu") == automatic
    finally:
        set_engine("auto")


def some_convolution(dtype):
    grid = Grid(random_coords(200, seed=4))
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(len(grid), 20, dtype=dtype, generator=generator)
    return x, torch.randn(27, 20, 12, dtype=dtype, generator=generator), grid.kernel_map(grid, 3)


@pytest.mark.parametrize("name", HERE)
def test_the_gradient_is_that_of_the_engine_that_ran_forward(name):
    x, weight, kernel_map = some_convolution(torch.float64)
    x.requires_grad_()
    with using_engine(name):
        out = convolve(x, weight, kernel_map)
    (got,) = torch.autograd.grad(out.square().sum(), x)
    with using_engine("reference"):
        (expected,) = torch.autograd.grad(convolve(x, weight, kernel_map).square().sum(), x)
    torch.testing.assert_close(got, expected)


@pytest.mark.parametrize("name", HERE)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("parts", [(True, True, True), (True, False, False), (False, True, False)])
def test_the_epilogue_is_bias_then_residual_then_relu(name, dtype, parts):
    x, weight, kernel_map = some_convolution(dtype)
    with_bias, with_residual, relu = parts
    bias = torch.linspace(-9, 9, 12).to(dtype) if with_bias else None
    residual = torch.randn(len(x), 12).to(dtype) if with_residual else None
    with using_engine(name):
        got = convolve_and_finish(x, weight, kernel_map, Epilogue(bias, residual, relu))
        expected = convolve(x, weight, kernel_map).double()
    for part in (bias, residual):
        expected = expected if part is None else expected + part
    expected = expected.relu() if relu else expected
    tolerance = 1e-2 if dtype == torch.bfloat16 else 1e-5
    assert got.dtype == dtype
    torch.testing.assert_close(got.double(), expected.double(), rtol=tolerance, atol=10 * tolerance)
