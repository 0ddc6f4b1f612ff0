"""torch.cuda of the pretend device: streams, events, devices, and how they are put in place."""

from __future__ import annotations

import contextlib
import functools
import sys
import threading
import time
from types import SimpleNamespace

import torch
from torch.utils._pytree import tree_flatten, tree_unflatten

from pretend.machine import LIB, MACHINE, current_stream_id, host_clock, host_waits, merge, place, thread_name
from pretend.operations import PretendMode
from pretend.tensor import CudaTensor


class Stream:
    _ids = iter(range(1, 1 << 40))

    def __init__(self, device=None, priority=0, *, _id=None):
        device = torch.device("cuda") if device is None else torch.device(device)
        self.device_index = LIB.pretend_get_device() if device.index is None else device.index
        self.device = torch.device("cuda", self.device_index)
        self.stream_id = next(Stream._ids) if _id is None else _id
        self.cuda_stream = self.stream_id
        self.priority = priority

    @property
    def key(self):
        return (self.device_index, self.stream_id)

    def wait_event(self, event):
        with MACHINE.lock:
            merge(MACHINE.clock(self.key), event.clock)

    def wait_stream(self, stream):
        self.wait_event(stream.record_event())

    def record_event(self, event=None):
        event = event or Event()
        event.record(self)
        return event

    def synchronize(self):
        with MACHINE.lock:
            MACHINE.waits["Stream.synchronize", place(), thread_name()] += 1
            merge(host_clock(), MACHINE.clock(self.key))

    def query(self):
        return True


class Event:
    def __init__(self, enable_timing=False, blocking=False, interprocess=False):
        self.clock, self.timed, self.seconds = {}, enable_timing, None

    def record(self, stream=None):
        key = stream.key if stream is not None else current_stream_id()
        with MACHINE.lock:
            clock = MACHINE.clock(key)
            merge(clock, host_clock())
            clock[key] += 1
            self.clock = dict(clock)
        self.seconds = time.perf_counter()

    def wait(self, stream=None):
        (stream or current_stream()).wait_event(self)

    def synchronize(self):
        with MACHINE.lock:
            MACHINE.waits["Event.synchronize", place(), thread_name()] += 1
            merge(host_clock(), self.clock)

    def query(self):
        return True

    def elapsed_time(self, other):
        return 1e3 * (other.seconds - self.seconds)


def current_stream(device=None):
    index, number = current_stream_id(_device_of(device))
    return Stream(torch.device("cuda", index), _id=number)


def _device_of(device):
    if device is None:
        return torch.device("cuda", LIB.pretend_get_device())
    device = torch.device("cuda", device) if isinstance(device, int) else torch.device(device)
    return torch.device("cuda", LIB.pretend_get_device()) if device.index is None else device


@contextlib.contextmanager
def stream_context(stream):
    if stream is None:
        yield
        return
    before_device = LIB.pretend_get_device()
    before = LIB.pretend_get_stream(stream.device_index)
    LIB.pretend_set_device(stream.device_index)
    LIB.pretend_set_stream(stream.device_index, stream.stream_id)
    try:
        yield
    finally:
        LIB.pretend_set_stream(stream.device_index, before)
        LIB.pretend_set_device(before_device)


class DeviceContext:
    def __init__(self, device):
        self.index = -1 if device is None or device == -1 else _device_of(device).index

    def __enter__(self):
        self.before = LIB.pretend_get_device()
        if self.index >= 0:
            LIB.pretend_set_device(self.index)

    def __exit__(self, *_):
        LIB.pretend_set_device(self.before)


class DeviceOf(DeviceContext):
    def __init__(self, obj):
        super().__init__(obj.device if obj.is_cuda else -1)


_PROPERTIES = SimpleNamespace(
    name="Pretend H100", total_memory=80 * 2**30, multi_processor_count=132, major=9, minor=0, warp_size=32
)


def _synchronize(device=None):
    index = _device_of(device).index
    with MACHINE.lock:
        MACHINE.waits["cuda.synchronize", place(), thread_name()] += 1
        for stream, clock in MACHINE.clocks.items():
            if stream[0] == index:
                merge(host_clock(), clock)


def _save(real):
    def save(obj, *args, **kwargs):
        flat, spec = tree_flatten(obj)
        if any(isinstance(t, CudaTensor) for t in flat):
            host_waits("torch.save")
        plain = [t.inner.detach() if isinstance(t, CudaTensor) else t for t in flat]
        return real(tree_unflatten(plain, spec), *args, **kwargs)

    return save


def _load(real):
    def load(file, map_location=None, **kwargs):
        device = None if map_location is None else torch.device(map_location)
        loaded = real(file, map_location="cpu", **kwargs)
        if device is None or device.type != "cuda":
            return loaded
        flat, spec = tree_flatten(loaded)
        moved = [t.to(device) if isinstance(t, torch.Tensor) else t for t in flat]
        return tree_unflatten(moved, spec)

    return load


def _lifting(real):
    """Makes numbers on the host first and moves them with an operation that can be seen, in every thread."""

    @functools.wraps(real)
    def made(*args, **kwargs):
        torch._C._set_only_lift_cpu_tensors(True)
        return real(*args, **kwargs)

    return made


_installed = False


def install(devices: int = 2):
    """Put the pretend device in place, for all threads, until the process ends."""
    global _installed
    if _installed:
        return MACHINE
    _installed = True
    cuda = torch.cuda
    nothing = lambda *a, **k: None  # noqa: E731
    answers = {
        "is_available": lambda: True,
        "is_initialized": lambda: True,
        "device_count": lambda: devices,
        "current_device": lambda: LIB.pretend_get_device(),
        "set_device": lambda d: LIB.pretend_set_device(_device_of(d).index),
        "get_device_name": lambda d=None: _PROPERTIES.name,
        "get_device_capability": lambda d=None: (_PROPERTIES.major, _PROPERTIES.minor),
        "get_device_properties": lambda d=None: _PROPERTIES,
        "is_bf16_supported": lambda *a, **k: True,
        "is_current_stream_capturing": lambda: False,
        "current_stream": current_stream,
        "default_stream": lambda d=None: Stream(_device_of(d), _id=0),
        "stream": stream_context,
        "set_stream": lambda s: LIB.pretend_set_stream(s.device_index, s.stream_id),
        "Stream": Stream,
        "Event": Event,
        "device": DeviceContext,
        "device_of": DeviceOf,
        "synchronize": _synchronize,
        "empty_cache": nothing,
        "memory_allocated": lambda d=None: 0,
        "max_memory_allocated": lambda d=None: 0,
        "memory_reserved": lambda d=None: 0,
        "reset_peak_memory_stats": nothing,
        "mem_get_info": lambda d=None: (70 * 2**30, 80 * 2**30),
        "set_sync_debug_mode": nothing,
        "manual_seed": nothing,
        "manual_seed_all": nothing,
        "_lazy_init": nothing,
    }
    for name, answer in answers.items():
        setattr(cuda, name, answer)
    cuda.default_generators = tuple(torch.Generator(f"cuda:{number}") for number in range(devices))
    torch.save, torch.load = _save(torch.save), _load(torch.load)
    # Module.to() then makes a new parameter; it would put the bare metadata of a wrapper into the old one.
    compatible = torch._has_compatible_shallow_copy_type
    torch._has_compatible_shallow_copy_type = lambda a, b: (
        compatible(a, b) and isinstance(a, CudaTensor) == isinstance(b, CudaTensor)
    )
    for owner, name in ((torch, "tensor"), (torch, "as_tensor"), (torch.Tensor, "new_tensor")):
        setattr(owner, name, _lifting(getattr(owner, name)))
    real_run = threading.Thread.run

    def run(thread):
        with PretendMode():
            real_run(thread)

    threading.Thread.run = run
    PretendMode().__enter__()
    return MACHINE


def report(out=None):
    """The counts as text."""
    lines = []
    for title, counter in (
        ("findings", MACHINE.findings),
        ("suspicions", MACHINE.suspicions),
        ("waits", MACHINE.waits),
    ):
        lines.append(f"== {title}: {sum(counter.values())}")
        lines += [
            f"{count:6d}  {key if isinstance(key, str) else ' | '.join(key)}"
            for key, count in counter.most_common()
        ]
    text = "\n".join(lines)
    print(text, file=out or sys.stdout)
    return text
