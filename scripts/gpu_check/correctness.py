"""Proof before speed: the kernels against a dense convolution in float64, with inputs of this very run."""

from __future__ import annotations

import itertools

import torch
from torch import Tensor
from torch.nn import functional

from gpu_check.ceilings import float32_products
from gpu_check.record import Recorder
from gpu_check.tile_sizes import tuning
from pointseg.sparse import Grid, KernelMap
from pointseg.sparse.backends.triton.backend import TritonBackend

#: Relative error allowed; sums run in float32 and results are rounded to the type.
TOLERANCES = {"float32": 2e-6, "tf32": 2e-3, "bf16": 1e-2, "fp16": 2e-3}
_TYPES = {"float32": torch.float32, "tf32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
_KINDS = ("same 3", "same 5", "down 2", "down 3", "up 2", "dilated 3")
_LOW, _EXTENT = -6, 12


def check_kernels(recorder: Recorder) -> None:
    """Every kind of map, type and odd number of channels; a failure for each that is off."""
    seed = int(torch.randint(2**31, ()))
    recorder.add("correctness", "seed of the inputs", seed=seed)
    generator = torch.Generator().manual_seed(seed)
    count = 16 if recorder.scale.is_smoke else 2500
    channels = [(3, 16)] if recorder.scale.is_smoke else [(3, 32), (9, 20), (96, 128), (130, 1), (256, 256)]
    coords = _random_coords(count, generator)
    worst: dict[str, float] = {}
    precisions = ("float32", "bf16") if recorder.scale.is_smoke else tuple(TOLERANCES)
    for kind, (c_in, c_out), precision in itertools.product(_KINDS, channels, precisions):
        kernel_map, reference = _case(kind, coords, recorder.device)
        taps = kernel_map.num_taps
        x = torch.randn(kernel_map.num_source, c_in, generator=generator)
        weight = torch.randn(taps, c_in, c_out, generator=generator) / (taps * c_in) ** 0.5
        grad = torch.randn(kernel_map.num_target, c_out, generator=generator)
        rounded = [t.to(recorder.device, _TYPES[precision]) for t in (x, weight, grad)]
        expected = _by_autograd(reference, *(t.double() for t in rounded))
        named = list(zip(("output", "input gradient", "weight gradient"), expected, strict=True))
        with float32_products("high" if precision == "tf32" else "highest"), tuning(False):
            got = list(_by_kernels(kernel_map, *rounded))
            if kind == "same 3":
                got += _by_joined_kernels(kernel_map, *rounded)
                named += [(f"{name} of two tensors", b) for name, b in named]
        for (name, b), a in zip(named, got, strict=True):
            error = float((a.double() - b).norm() / b.norm().clamp(min=1e-30))
            worst[precision] = max(worst.get(precision, 0.0), error)
            # Not "error > tolerance": NaN has to fail.
            if not error <= TOLERANCES[precision]:
                recorder.fail(f"{name} of {kind}, {c_in} -> {c_out}, {precision}: relative error {error:.2g}")
    for precision, error in worst.items():
        recorder.add("correctness", f"largest relative error, {precision}", error=error)


def check_bits(recorder: Recorder) -> None:
    """Two runs give the same bits."""
    coords = _random_coords(16 if recorder.scale.is_smoke else 2500, torch.Generator().manual_seed(1))
    kernel_map, _ = _case("same 3", coords, recorder.device)
    x = torch.randn(kernel_map.num_source, 40, device=recorder.device)
    weight = torch.randn(27, 40, 24, device=recorder.device)
    grad = torch.randn(kernel_map.num_target, 24, device=recorder.device)
    with tuning(False):
        once, again = (_by_kernels(kernel_map, x, weight, grad) for _ in range(2))
    same = all(torch.equal(a, b) for a, b in zip(once, again, strict=True))
    recorder.add("correctness", "bits repeat", same=same)
    if not same:
        recorder.fail("two runs of one convolution differ")


def _random_coords(count: int, generator: torch.Generator) -> Tensor:
    xyz = torch.randint(-5, 5, (count, 3), generator=generator)
    batch = torch.randint(0, 2, (count, 1), generator=generator)
    return torch.unique(torch.cat([batch, xyz], dim=1), dim=0).int()


def _case(kind: str, coords: Tensor, device: torch.device) -> tuple[KernelMap, _Dense]:
    word, digit = kind.split()
    size, fine = int(digit), Grid(coords.to(device))
    if word in ("same", "dilated"):
        dilation = 2 if word == "dilated" else 1
        return fine.kernel_map(fine, size, dilation), _Dense(fine.coords, fine.coords, size, dilation)
    coarse = fine.coarsen(2)
    down = fine.kernel_map(coarse, size)
    dense = _Dense(fine.coords, coarse.coords, size, 1)
    return (down.transposed(), dense.transposed()) if word == "up" else (down, dense)


class _Dense:
    """A sparse convolution as torch's dense one on the whole volume; knows nothing of kernel maps."""

    def __init__(
        self, source: Tensor, target: Tensor, size: int, dilation: int, *, is_transposed: bool = False
    ) -> None:
        self.source, self.target = source, target
        self.size, self.dilation, self.is_transposed = size, dilation, is_transposed

    def transposed(self) -> _Dense:
        return _Dense(self.source, self.target, self.size, self.dilation, is_transposed=True)

    def __call__(self, x: Tensor, weight: Tensor) -> Tensor:
        if self.is_transposed:
            # The transpose of a linear map is the gradient of its product with a fixed vector.
            flat = x.new_zeros(len(self.source), weight.shape[2], requires_grad=True)
            with torch.enable_grad():
                product = (self._forward(flat, weight.mT) * x).sum()
                (out,) = torch.autograd.grad(product, flat, create_graph=True)
            return out
        return self._forward(x, weight)

    def _forward(self, x: Tensor, weight: Tensor) -> Tensor:
        k, reach = self.size, self.dilation * (self.size - 1)
        before = (k // 2) * self.dilation if k % 2 else 0
        cube = weight.reshape(k, k, k, *weight.shape[1:]).permute(4, 3, 2, 1, 0)
        b, *place = (self.source.long() - self.source.new_tensor([0, _LOW, _LOW, _LOW])).unbind(1)
        volume = x.new_zeros(2, _EXTENT, _EXTENT, _EXTENT, x.shape[1]).index_put((b, *place), x)
        padded = functional.pad(volume.permute(0, 4, 1, 2, 3), (before, reach - before) * 3)
        out = functional.conv3d(padded, cube, dilation=self.dilation)
        b, *place = (self.target.long() - self.target.new_tensor([0, _LOW, _LOW, _LOW])).unbind(1)
        return out.permute(0, 2, 3, 4, 1)[(b, *place)]


def _by_autograd(reference: _Dense, x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    x.requires_grad_()
    weight.requires_grad_()
    out = reference(x, weight)
    return out.detach(), *torch.autograd.grad((out * grad).sum(), (x, weight))


def _by_kernels(kernel_map: KernelMap, x: Tensor, weight: Tensor, grad: Tensor) -> tuple[Tensor, ...]:
    """Output and gradients; the memory they are written to held NaN before."""
    backend = TritonBackend()
    with torch.no_grad():
        _poison(x.device)
        out = backend.forward(x, weight, kernel_map)
        _poison(x.device)
        grads = backend.backward(grad, x, weight, kernel_map, needs_features=True, needs_weight=True)
    assert grads[0] is not None and grads[1] is not None
    return out, grads[0], grads[1]


def _by_joined_kernels(kernel_map: KernelMap, x: Tensor, weight: Tensor, grad: Tensor) -> list[Tensor]:
    """The same with the input channels in two tensors; gradients as if they were in one."""
    backend = TritonBackend()
    first, second = (
        part.contiguous() for part in x.detach().split([2 * x.shape[1] // 3, -(-x.shape[1] // 3)], 1)
    )
    with torch.no_grad():
        _poison(x.device)
        out = backend.forward_joined(first, second, weight, kernel_map)
        _poison(x.device)
        needs = (True, True, True)
        *grads, grad_weight = backend.backward_joined(grad, first, second, weight, kernel_map, needs=needs)
    assert grads[0] is not None and grads[1] is not None and grad_weight is not None
    return [out, torch.cat([grads[0], grads[1]], dim=1), grad_weight]


def _poison(device: torch.device) -> None:
    """Leave NaN in free memory, of all the sizes that torch's allocator hands out again."""
    blocks = [torch.full((1 << power,), torch.nan, device=device) for power in range(7, 23)]
    del blocks
