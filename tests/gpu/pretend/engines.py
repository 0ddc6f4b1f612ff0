"""Engines on the pretend device: Triton's kernels interpreted, the plain one without its many dispatches."""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import torch

from pretend.machine import LIB, MACHINE, current_stream_id, host_clock, merge
from pretend.operations import touch
from pretend.tensor import CudaTensor


def pretend_triton():
    """Run pointseg's Triton kernels, made with TRITON_INTERPRET=1, on the inner tensors."""
    from pointseg.sparse.backends.triton import backend, launch

    assert launch.INTERPRETED, "set TRITON_INTERPRET=1 first"
    backend.TritonBackend.unavailable = lambda self, device: (
        None if torch.device(device).type == "cuda" else "it needs a CUDA device"
    )
    #: Arguments that the kernels write.
    written = {
        "convolve_tiles": {"out_ptr"},
        "sum_splits": {"out_ptr"},
        "weight_gradient_parts": {"partial_ptr"},
        "sum_parts": {"out_ptr"},
    }

    class Kernel:
        def __init__(self, name, kernel):
            self.name, self.kernel = name, kernel

        def __getitem__(self, grid):
            def call(*args, **kwargs):
                index = LIB.pretend_get_device()
                stream = current_stream_id(torch.device("cuda", index))
                with MACHINE.lock:
                    clock = MACHINE.clock(stream)
                    clock[stream] += 1
                    merge(clock, host_clock())
                for argument, value in zip(self.kernel.arg_names, args, strict=False):
                    if isinstance(value, CudaTensor):
                        if value.device.index != index:
                            raise RuntimeError(
                                f"Triton starts {self.name} on cuda:{index}; {argument} is on {value.device}"
                            )
                        with MACHINE.lock:
                            touch(
                                value, stream, clock[stream], clock, f"{self.name}({argument})",
                                writes=argument in written[self.name],
                            )  # fmt: skip
                    elif isinstance(value, torch.Tensor):
                        raise ValueError(
                            f"Pointer argument {argument} cannot be accessed from Triton (cpu tensor?)"
                        )
                plain = [v.inner if isinstance(v, CudaTensor) else v for v in args]
                with _without_modes():
                    return self.kernel[grid](*plain, **kwargs)

            return call

    for name in written:
        setattr(launch, name, Kernel(name, getattr(launch, name)))


@contextlib.contextmanager
def _without_modes():
    from torch.utils._python_dispatch import _disable_current_modes

    with _disable_current_modes():
        yield


def quick_reference_engine():
    """The plain engine on the inner tensors, without a dispatch for each tap: for tests of all else."""
    from pointseg.sparse.backends.reference import ReferenceBackend

    real_convolve, real_backward = ReferenceBackend._convolve, ReferenceBackend.backward

    def bare(value):
        if isinstance(value, tuple):
            return tuple(map(bare, value))
        return value.inner if isinstance(value, CudaTensor) else value

    def bare_map(kernel_map):
        return (
            SimpleNamespace(
                num_taps=kernel_map.num_taps,
                num_target=kernel_map.num_target,
                tap=lambda i: tuple(rows.inner for rows in pairs[i]),
            )
            if (pairs := [kernel_map.tap(i) for i in range(kernel_map.num_taps)])
            else None
        )

    def convolve(self, parts, weights, kernel_map, epilogue):
        # On the host, where a proof of an engine computes what it compares with.
        if not isinstance(parts[0], CudaTensor):
            return real_convolve(self, parts, weights, kernel_map, epilogue)
        device, plan = parts[0].device, bare_map(kernel_map)
        with _without_modes():
            out = real_convolve(self, bare(parts), bare(tuple(weights)), plan, None)
        out = CudaTensor(out, device)
        return out if epilogue is None else epilogue.apply(out)

    def backward(self, grad, features, weight, kernel_map, **needs):
        if not isinstance(grad, CudaTensor):
            return real_backward(self, grad, features, weight, kernel_map, **needs)
        device, plan = grad.device, bare_map(kernel_map)
        with _without_modes():
            grads = real_backward(self, bare(grad), bare(features), bare(weight), plan, **needs)
        return tuple(None if g is None else CudaTensor(g, device) for g in grads)

    ReferenceBackend._convolve, ReferenceBackend.backward = convolve, backward
