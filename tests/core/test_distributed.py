"""Which device a process uses, and what processes ask each other without waiting for it."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch.distributed as dist

from pointseg.core import distributed
from pointseg.core.distributed import Processes, choose_device, device_of_rank, process_group


@pytest.fixture
def current(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A machine with three GPUs as far as choosing one goes: the current device, latest last."""
    seen = ["cuda:0"]

    @contextmanager
    def device(chosen: torch.device) -> Iterator[None]:
        before = seen[-1]
        seen.append(str(chosen))
        yield
        seen.append(before)

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: int(seen[-1][-1]))
    monkeypatch.setattr(torch.cuda, "device", device)
    return seen


def test_the_device_that_was_asked_for_is_the_current_one_while_it_is_used(current: list[str]) -> None:
    with process_group("cuda:1") as processes:
        assert current[-1] == "cuda:1" == str(processes.device)
    assert current[-1] == "cuda:0"


def test_a_device_without_a_number_gets_that_of_this_thread(current: list[str]) -> None:
    current.append("cuda:2")
    with process_group("cuda") as processes:
        assert str(processes.device) == "cuda:2"


def test_a_gpu_that_is_not_there_is_refused(current: list[str]) -> None:
    with pytest.raises(ValueError, match=r"No device 'cuda:3': torch sees 3 GPUs"):
        choose_device("cuda:3")


@pytest.mark.parametrize(
    ("environment", "num_devices", "number"),
    [
        ({"LOCAL_RANK": "2"}, 4, 2),
        ({"SLURM_LOCALID": "3"}, 4, 3),
        ({"LOCAL_RANK": "1", "SLURM_LOCALID": "3"}, 4, 1),
        # srun --gpus-per-task=1 shows each process its own GPU alone.
        ({"SLURM_LOCALID": "3"}, 1, 0),
    ],
)
def test_each_process_of_a_machine_takes_the_gpu_of_its_number(
    environment: dict[str, str], num_devices: int, number: int
) -> None:
    assert device_of_rank(environment, num_devices) == torch.device("cuda", number)


def test_a_launcher_that_does_not_number_its_processes_is_told_what_is_missing() -> None:
    with pytest.raises(ValueError, match="neither LOCAL_RANK nor SLURM_LOCALID"):
        device_of_rank({"WORLD_SIZE": "2"}, 4)


def test_more_processes_than_gpus_are_refused() -> None:
    with pytest.raises(ValueError, match="Process 2 of this machine has no GPU: torch sees 2"):
        device_of_rank({"LOCAL_RANK": "2"}, 2)


@pytest.fixture
def gloo() -> Iterator[None]:
    dist.init_process_group("gloo", rank=0, world_size=1, store=dist.HashStore())
    yield
    dist.destroy_process_group()


def test_questions_between_processes_never_touch_the_device(gloo: None) -> None:
    """Tensors of device meta have no content: an answer that came through one could not be read."""
    processes = Processes(0, 2, torch.device("meta"))
    assert processes.any(True, False) == (True, False)
    processes.wait()


def test_on_gpus_a_group_on_the_cpu_carries_the_questions(
    current: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []
    control = object()
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(distributed.dist, "init_process_group", lambda backend: asked.append(backend))
    monkeypatch.setattr(distributed.dist, "destroy_process_group", lambda: asked.append("end"))
    monkeypatch.setattr(distributed.dist, "get_rank", lambda: 1)
    monkeypatch.setattr(
        distributed.dist, "new_group", lambda backend: asked.append(f"{backend} beside") or control
    )
    with process_group("cuda") as processes:
        assert processes.control is control and str(processes.device) == current[-1] == "cuda:1"
    assert asked == ["nccl", "gloo beside", "end"]


def test_a_sum_leaves_what_was_summed_as_it_is(gloo: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed.dist, "all_reduce", lambda total: total.mul_(2))
    values = torch.tensor([1.0, 2.0])
    assert Processes(0, 2, torch.device("cpu")).sum(values).tolist() == [2.0, 4.0]
    assert values.tolist() == [1.0, 2.0]
