"""Write what MinkowskiEngine computes in float64 for a few small inputs, for tests that run without it.

    python scripts/make_minkowski_golden.py

Needs MinkowskiEngine (scripts/install_minkowski.sh) and the tests, where its layers are put together. Writes
tests/fixtures/minkowski_layers.npz and tests/fixtures/minkowski_network.npz: plain arrays, read with
allow_pickle=False. Inputs are multiples of 1/64, which compress well and are exact.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from pointseg.bench.minkowski_network import PlainMinkUNet

ROOT = Path(__file__).parents[1]
WIDTHS = (3, 4, 3, 4, 3, 4, 3, 4)
BLOCKS = (1,) * 8
STEM = 3


def exact(generator: torch.Generator, *shape: int) -> Tensor:
    """Random float64 multiples of 1/64 between -1 and 1."""
    return torch.randint(-64, 65, shape, generator=generator).double() / 64


def coarse_coords(coords: Tensor, stride: int) -> Tensor:
    floored = coords.clone()
    floored[:, 1:] = torch.div(coords[:, 1:], stride, rounding_mode="floor") * stride
    return torch.unique(floored, dim=0)


def layers(tests: Any, random_coords: Any) -> dict[str, Tensor]:
    """Input, output and gradients of every kind of layer, named ``kind/what``."""
    arrays: dict[str, Tensor] = {}
    generator = torch.Generator().manual_seed(0)
    for name, layer in tests.LAYERS.items():
        fine = random_coords(40, extent=3, batches=2, seed=1, multiple=layer.base)
        coarse = fine if layer.stride == 1 else coarse_coords(fine, layer.base * layer.stride)
        source, target = (coarse, fine) if layer.transposed else (fine, coarse)
        pointwise = layer.kernel_size == layer.stride == 1
        shape = (2, 3) if pointwise else (layer.kernel_size**3, 2, 3)
        tensors = {
            "x": exact(generator, len(source), 2),
            "kernel": exact(generator, *shape),
            "upstream": exact(generator, len(target), 3),
        }
        if layer.bias:
            tensors["bias"] = exact(generator, 1, 3)
        out, grads = tests.run_layer(layer, tensors, fine, coarse)
        tensors |= {"fine": fine, "coarse": coarse, "out": out}
        tensors |= {f"grad_{key}": grad for key, grad in grads.items()}
        arrays |= {f"{name}/{key}": value for key, value in tensors.items()}
    return arrays


def network(tests: Any, random_coords: Any) -> dict[str, Tensor]:
    """A training step of a tiny MinkUNet: state dict, output, and the norm of every gradient."""
    generator = torch.Generator().manual_seed(0)
    plain = PlainMinkUNet(3, WIDTHS, BLOCKS, stem=STEM).double()
    with torch.no_grad():
        for name, parameter in plain.named_parameters():
            values = exact(generator, *parameter.shape)
            parameter.copy_(1 + values / 2 if name.endswith("bn.weight") else values)
    arrays: dict[str, Any] = {f"state/{key}": value.clone() for key, value in plain.state_dict().items()}
    coords = random_coords(400, extent=12, batches=2, seed=2)
    x, upstream = exact(generator, len(coords), 3), exact(generator, len(coords), WIDTHS[-1])
    given = x.clone().requires_grad_()
    out = plain(tests.sparse_tensor(given, coords))
    features = out.F[tests.rows_in(out.C, coords)]
    features.backward(upstream)
    arrays |= {"coords": coords, "x": x, "upstream": upstream, "out": features.detach()}
    arrays["grad_x"] = given.grad
    for key, parameter in plain.named_parameters():
        assert parameter.grad is not None
        arrays[f"norm/{key}"] = parameter.grad.norm()
    return arrays


def main() -> None:
    sys.path.insert(0, str(ROOT / "tests"))
    tests, random_coords = import_module("minkowski_network"), import_module("oracle").random_coords
    for name, make in (("layers", layers), ("network", network)):
        path = ROOT / "tests" / "fixtures" / f"minkowski_{name}.npz"
        arrays: dict[str, Any] = {key: value.numpy() for key, value in make(tests, random_coords).items()}
        np.savez_compressed(path, **arrays)
        print(f"{path.relative_to(ROOT)}: {len(arrays)} arrays, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
