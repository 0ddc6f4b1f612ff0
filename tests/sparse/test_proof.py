"""An engine is proven before `auto` takes it, and what was found is kept."""

import json
import logging

import pytest
import torch

from pointseg.sparse import engines, proof
from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.proof import failure, unproven

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


class Plain(ReferenceBackend):
    """Another name for plain torch, which is itself taken without a proof."""


class Wrong:
    """An engine one of whose results is a little off, or is not made at all."""

    def __init__(self, part, error=0.001):
        self.part, self.error, self.plain = part, error, ReferenceBackend()

    def unavailable(self, device):
        return None

    def forward(self, features, weight, kernel_map, epilogue=None):
        out = self.plain.forward(features, weight, kernel_map, epilogue)
        return self._spoilt("forward", out)

    def backward(self, *given, **needs):
        made = self.plain.backward(*given, **needs)
        return tuple(self._spoilt(name, value) for name, value in zip(("x", "weight"), made, strict=True))

    def _spoilt(self, part, value):
        if part != self.part:
            return value
        if isinstance(self.error, Exception):
            raise self.error
        return value * (1 + self.error)


def test_plain_torch_passes():
    assert failure(Plain(), CPU) is None


@pytest.mark.parametrize("part", ["forward", "x", "weight"])
def test_each_result_is_compared(part):
    assert failure(Wrong(part), CPU) == "3^3 convolution in float32: a relative error of 1.0e-03"


def test_nan_is_no_agreement():
    assert failure(Wrong("x", float("nan")), CPU) == "3^3 convolution in float32: a relative error of inf"


def test_what_does_not_compile_is_said_in_one_line():
    found = failure(Wrong("forward", RuntimeError("ptxas failed\nline 2")), CPU)
    assert found == "3^3 convolution in float32: RuntimeError: ptxas failed"


def test_the_settings_of_the_user_stand_afterwards(monkeypatch):
    monkeypatch.setenv("POINTSEG_TUNE", "yes")
    torch.set_float32_matmul_precision("high")
    try:
        failure(Wrong("forward"), CPU)
        assert torch.get_float32_matmul_precision() == "high"
    finally:
        torch.set_float32_matmul_precision("highest")
    assert proof.os.environ["POINTSEG_TUNE"] == "yes"


@pytest.fixture
def a_gpu(monkeypatch, tmp_path):
    """A GPU as far as the names of files go; what runs on it is listed."""
    pytest.importorskip("triton")
    proven = []
    monkeypatch.setenv("POINTSEG_CACHE", str(tmp_path))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100")
    monkeypatch.setattr(proof, "failure", lambda engine, device: proven.append(engine) or engine.verdict)
    proof._file_of.cache_clear()
    engines._choose.cache_clear()
    yield proven
    proof._file_of.cache_clear()
    engines._choose.cache_clear()


class Engine(Wrong):
    def __init__(self, verdict):
        super().__init__("none")
        self.verdict = verdict


@pytest.mark.parametrize("verdict", [None, "3^3: wrong"])
def test_a_gpu_is_asked_once_and_remembered_on_disk(a_gpu, tmp_path, verdict):
    for _ in range(2):
        assert unproven("triton", Engine(verdict), GPU) == verdict
    assert len(a_gpu) == 1
    (file,) = tmp_path.iterdir()
    assert file.name.startswith("engines_NVIDIA-H100-torch") and "driver" in file.name
    assert json.loads(file.read_text()) == {"triton": verdict}
    file.write_text("[")
    assert unproven("triton", Engine(verdict), GPU) == verdict
    assert len(a_gpu) == 2


def test_engines_on_a_cpu_and_plain_torch_need_no_proof(a_gpu):
    assert unproven("native", Engine("wrong"), CPU) is None
    assert unproven("reference", ReferenceBackend(), GPU) is None
    assert not a_gpu


def test_auto_leaves_out_what_is_wrong_and_says_so_once(a_gpu, monkeypatch, caplog):
    row = {"triton": Engine("3^3: wrong"), "spconv_triton": Engine(None), "reference": ReferenceBackend()}
    monkeypatch.setattr(engines, "AUTOMATIC", tuple(row))
    monkeypatch.setattr(engines, "backend", row.__getitem__)
    with caplog.at_level(logging.WARNING):
        assert [engines.current_engine(GPU) for _ in range(3)] == ["spconv_triton"] * 3
    (line,) = caplog.messages
    assert line.startswith("engine: triton is wrong on this GPU (3^3: wrong)") and "pointseg doctor" in line
