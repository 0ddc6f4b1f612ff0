"""CudaTensor: a tensor that says it lies on cuda:N, around one of the CPU that holds the numbers."""

from __future__ import annotations

import weakref

import torch

from pretend.machine import MACHINE, Record, current_stream_id, finding, host_waits, place


class CudaTensor(torch.Tensor):
    """A tensor on cuda:N; ``inner`` has its numbers."""

    @staticmethod
    def __new__(cls, inner, device):
        assert type(inner) in (torch.Tensor, torch.nn.Parameter), type(inner)
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.shape,
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=device,
            requires_grad=False,
        )
        made.inner = inner
        key = inner.untyped_storage()._cdata
        with MACHINE.lock:
            record = MACHINE.memory.get(key)
            if record is None:
                record = MACHINE.memory[key] = Record(current_stream_id(device))
            record.wrappers += 1
        weakref.finalize(made, _dropped, key, record)
        return made

    def __repr__(self, **_):
        return f"CudaTensor({self.inner!r}, {self.device})"

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        copied = self.detach().clone().requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copied._is_param = True
        memo[id(self)] = copied
        return copied

    def tolist(self):
        host_waits("tolist", self.device)
        return self.inner.tolist()

    def numpy(self, *args, **kwargs):
        raise TypeError(
            f"can't convert {self.device} device type tensor to numpy. Use Tensor.cpu() to copy it first."
        )

    __array__ = numpy

    def record_stream(self, stream):
        with MACHINE.lock:
            if stream.device_index != self.device.index:
                finding(f"record_stream of another device's stream at {place()}")
            MACHINE.memory[self.inner.untyped_storage()._cdata].recorded.add(stream.key)

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        # The operations know this class.
        from pretend.operations import dispatch

        return dispatch(func, args, kwargs or {})


def _dropped(key, record):
    with MACHINE.lock:
        record.wrappers -= 1
        if record.wrappers:
            return
        if MACHINE.memory.get(key) is record:
            del MACHINE.memory[key]
        if not MACHINE.races:
            return
        home = MACHINE.clock(record.home)
        uses = dict(record.read)
        if record.written is not None:
            stream, when, where = record.written
            if stream not in uses or uses[stream][0] < when:
                uses[stream] = (when, where)
        for stream, (when, where) in uses.items():
            if stream != record.home and stream not in record.recorded and home.get(stream, 0) < when:
                finding(
                    f"freed on stream {record.home} while stream {stream} may still use it (last use {where})"
                )
