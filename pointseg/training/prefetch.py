"""prefetch(): makes the next batch on the device while the network still works on this one."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from queue import Empty, Full, Queue

import torch

from pointseg.core.batch import Batch
from pointseg.core.held import held_tensors

#: Batches that wait on the device: one is being used, one is ready, one is being made.
_READY = 1
_POLL_S = 0.1


def prefetch(
    batches: Callable[[], Iterable[Batch]], device: torch.device, *, threaded: bool | None = None
) -> Iterator[Batch]:
    """The batches, made one ahead by a thread of its own on a CUDA stream of its own.

    Augmentation, voxelisation and the maps of the network ask the device for sizes. On the stream of the
    network each question would wait for the whole step; here it waits for the batch alone, and in the other
    thread.

    Args:
        batches: gives the batches; called, and its result iterated over, in the thread.
        device: where they are made. On a CPU nothing is gained, so nothing is done ahead.
        threaded: overrides that.
    """
    if not (device.type == "cuda" if threaded is None else threaded):
        yield from batches()
        return
    queue: Queue[tuple[Batch | None, torch.cuda.Event | None, BaseException | None]] = Queue(_READY)
    stop = threading.Event()
    thread = threading.Thread(target=_fill, args=(queue, stop, batches, device), daemon=True)
    thread.start()
    try:
        while True:
            batch, ready, error = _taken(queue, thread)
            if error is not None:
                raise error
            if batch is None:
                return
            if ready is not None:
                _hand_over(batch, ready, device)
            yield batch
    finally:
        stop.set()
        thread.join()


def _fill(
    queue: Queue[tuple[Batch | None, torch.cuda.Event | None, BaseException | None]],
    stop: threading.Event,
    batches: Callable[[], Iterable[Batch]],
    device: torch.device,
) -> None:
    """Put batches, then a None; or the error that came in their place."""

    def put(batch: Batch | None, ready: torch.cuda.Event | None, error: BaseException | None = None) -> None:
        while not stop.is_set():
            try:
                queue.put((batch, ready, error), timeout=_POLL_S)
            except Full:
                continue
            break

    # Of high priority: its small kernels go between the large ones of the network, or a batch comes too late.
    stream = torch.cuda.Stream(device, priority=-1) if device.type == "cuda" else None
    try:
        # Without a stream this does nothing.
        with torch.cuda.stream(stream):
            for batch in batches():
                put(batch, None if stream is None else stream.record_event())
                if stop.is_set():
                    return
        put(None, None)
    except BaseException as error:
        put(None, None, error)


def _taken(
    queue: Queue[tuple[Batch | None, torch.cuda.Event | None, BaseException | None]],
    thread: threading.Thread,
) -> tuple[Batch | None, torch.cuda.Event | None, BaseException | None]:
    while True:
        try:
            return queue.get(timeout=_POLL_S)
        except Empty:
            if not thread.is_alive() and queue.empty():
                raise RuntimeError("The thread that makes batches ended without a word.") from None


def _hand_over(batch: Batch, ready: torch.cuda.Event, device: torch.device) -> None:
    """Let the device's current stream use a batch: after it is made; its memory is not reused before that."""
    stream = torch.cuda.current_stream(device)
    stream.wait_event(ready)
    for tensor in held_tensors(batch):
        tensor.record_stream(stream)
