"""Data-parallel training under torchrun, reduced to the few questions that training asks."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from pointseg.core.synced_norm import synchronised


@dataclass(frozen=True)
class Processes:
    """The processes of a run and which one this is; one process alone is the common case.

    Args:
        rank: number of this process, 0..world-1; process 0 writes files and talks.
        world: number of processes.
        device: device of this process.
        control: the group over which questions travel between hosts, kept on the CPU: on a GPU every question
            would wait for all work before it. None is the default group.
    """

    rank: int
    world: int
    device: torch.device
    control: dist.ProcessGroup | None = None

    @property
    def is_main(self) -> bool:
        return self.rank == 0

    def sum(self, values: Tensor) -> Tensor:
        """Element-wise sum over the processes; ``values`` stay as they are."""
        if self.world == 1:
            return values
        total = values.to(self.device, copy=True)
        dist.all_reduce(total)
        return total

    def any(self, *flags: bool) -> tuple[bool, ...]:
        """For each flag, whether any process has it set; all of them get the same answer."""
        if self.world == 1:
            return flags
        counts = torch.tensor(flags, dtype=torch.int32)
        dist.all_reduce(counts, group=self.control)
        return tuple(bool(count) for count in counts.tolist())

    def names_of(self, names: Sequence[str], *, where: bool) -> tuple[str, ...]:
        """The names of all processes on which ``where`` holds; the same answer everywhere."""
        mine = tuple(names) if where else ()
        if self.world == 1 or not self.any(where)[0]:
            return mine
        gathered: list[tuple[str, ...]] = [()] * self.world
        dist.all_gather_object(gathered, mine, group=self.control)
        return tuple(name for part in gathered for name in part)

    def share_buffers(self, module: nn.Module) -> None:
        """Give every process the buffers of the main one: running statistics are apart while training."""
        if self.world > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def wait(self) -> None:
        """Until all processes are here."""
        if self.world > 1:
            self.any(False)

    def wrap(self, module: nn.Module) -> nn.Module:
        """The module with gradients averaged over the processes; itself for one process."""
        if self.world == 1:
            return module
        return DistributedDataParallel(module)

    def synchronise_norms(self, network: nn.Module) -> tuple[nn.Module, str]:
        """The network with BatchNorm statistics over all processes, on GPUs; and a notice, or ""."""
        if self.world == 1:
            return network, ""
        if self.device.type != "cuda":
            return network, "BatchNorm is not synchronised between processes on CPUs, only on GPUs."
        return synchronised(network), ""


def choose_device(device: str) -> torch.device:
    """``auto`` is the first GPU, or else the CPU.

    Raises:
        ValueError: for a device that torch does not know or this machine does not have.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise ValueError(f"Unknown device {device!r}; expected auto, cpu, cuda or cuda:N.") from None
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"No device {device!r}: torch sees {torch.cuda.device_count()} GPUs. Use --device cpu, or "
            "install the CUDA build of torch (see README)."
        )
    return chosen


@contextlib.contextmanager
def process_group(device: str) -> Iterator[Processes]:
    """The processes that torchrun started, or this one alone.

    While they are used, their device is torch's current one: streams and events that name none are its.

    Raises:
        ValueError: see :func:`choose_device` and :func:`device_of_rank`.
    """
    chosen = choose_device(device)
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if chosen.type == "cuda":
        chosen = device_of_rank(os.environ, torch.cuda.device_count()) if world > 1 else _numbered(chosen)
    with torch.cuda.device(chosen) if chosen.type == "cuda" else contextlib.nullcontext():
        if world == 1:
            yield Processes(0, 1, chosen)
            return
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo")
        control = dist.new_group(backend="gloo") if chosen.type == "cuda" else None
        try:
            yield Processes(dist.get_rank(), world, chosen, control)
        finally:
            # gloo's threads let go of the last tensors a moment after the last reduction. If the interpreter
            # ends in that moment, the process aborts ("terminate called without an active exception").
            # Destroying the group joins its threads, but only once nothing else holds it, as data-parallel
            # modules do in cycles.
            gc.collect()
            dist.destroy_process_group()


def _numbered(device: torch.device) -> torch.device:
    """``cuda`` with the number that it has in this thread; in another thread it may be another one."""
    return device if device.index is not None else torch.device("cuda", torch.cuda.current_device())


def device_of_rank(environment: Mapping[str, str], num_devices: int) -> torch.device:
    """The GPU of one of several processes: its number on its machine, as torchrun or srun tells it.

    Args:
        environment: variables of the process.
        num_devices: GPUs that it sees; where a launcher shows each process its own, that one is taken.

    Raises:
        ValueError: if nothing tells the number, or there are fewer GPUs than processes.
    """
    text = environment.get("LOCAL_RANK", environment.get("SLURM_LOCALID"))
    if text is None or not text.isdigit():
        raise ValueError(
            "WORLD_SIZE asks for several processes, but neither LOCAL_RANK nor SLURM_LOCALID says which of "
            "its machine's this is. Start them with torchrun, or set LOCAL_RANK to 0, 1, ... on each machine."
        )
    number = 0 if num_devices == 1 else int(text)
    if number >= num_devices:
        raise ValueError(
            f"Process {number} of this machine has no GPU: torch sees {num_devices}. Start as many processes "
            "as there are GPUs."
        )
    return torch.device("cuda", number)
