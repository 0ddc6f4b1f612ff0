"""Slow, obvious implementations that tests compare with. Imports nothing of pointseg."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def random_coords(
    count: int, *, extent: int = 6, batches: int = 2, seed: int = 0, multiple: int = 1
) -> Tensor:
    """(N, 4) int32 unique voxels around the origin in a random order; at most ``count`` of them."""
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.randint(-extent, extent, (count, 3), generator=generator) * multiple
    batch = torch.randint(0, batches, (count, 1), generator=generator)
    unique = torch.unique(torch.cat([batch, xyz], dim=1), dim=0).int()
    return unique[torch.randperm(len(unique), generator=generator)]


def taps(kernel_size: int) -> list[tuple[int, int, int]]:
    """(x, y, z) of every tap, x fastest; odd kernels are centred, even ones begin at zero."""
    low = -(kernel_size // 2) if kernel_size % 2 == 1 else 0
    return [
        (low + x, low + y, low + z)
        for z in range(kernel_size)
        for y in range(kernel_size)
        for x in range(kernel_size)
    ]


def kernel_triples(source: Tensor, target: Tensor, kernel_size: int, step: int) -> set[tuple[int, int, int]]:
    """All (tap, source row, target row) with source = target + step * tap, by looking every voxel up."""
    row_of = {tuple(voxel): row for row, voxel in enumerate(source.tolist())}
    triples = set()
    for tap, (dx, dy, dz) in enumerate(taps(kernel_size)):
        for row, (batch, x, y, z) in enumerate(target.tolist()):
            neighbour = (batch, x + step * dx, y + step * dy, z + step * dz)
            if neighbour in row_of:
                triples.add((tap, row_of[neighbour], row))
    return triples


def coarse_coords(coords: Tensor, stride: int) -> set[tuple[int, ...]]:
    """Voxels of the coarser grid, one by one."""
    return {(b, *(v // stride * stride for v in xyz)) for b, *xyz in coords.tolist()}


def convolve_by_triples(
    features: Tensor, weight: Tensor, triples: set[tuple[int, int, int]], rows: int
) -> Tensor:
    """out[target] += features[source] @ weight[tap], one triple at a time."""
    out = [torch.zeros(weight.shape[2], dtype=features.dtype) for _ in range(rows)]
    for tap, source, target in sorted(triples):
        out[target] = out[target] + features[source] @ weight[tap]
    return torch.stack(out) if rows else features.new_zeros(0, weight.shape[2])


def weight_gradient_by_triples(
    features: Tensor, grad: Tensor, triples: set[tuple[int, int, int]], taps: int
) -> Tensor:
    """out[tap] += outer product of features[source] and grad[target], one triple at a time."""
    out = features.new_zeros(taps, features.shape[1], grad.shape[1])
    for tap, source, target in sorted(triples):
        out[tap] += torch.outer(features[source], grad[target])
    return out


def _volume(coords: Tensor, features: Tensor, low: int, size: int, batches: int) -> Tensor:
    volume = features.new_zeros(batches, features.shape[1], size, size, size)
    b, x, y, z = coords.long().unbind(1)
    volume[b, :, x - low, y - low, z - low] = features
    return volume


def _cube(weight: Tensor) -> Tensor:
    """(K^3, C_in, C_out) with x fastest -> (C_in, C_out, Kx, Ky, Kz)."""
    k = round(weight.shape[0] ** (1 / 3))
    return weight.reshape(k, k, k, *weight.shape[1:]).permute(3, 4, 2, 1, 0)


def dense_convolution(
    coords: Tensor, features: Tensor, weight: Tensor, target: Tensor, *, stride: int = 1, dilation: int = 1
) -> Tensor:
    """torch's conv3d on a dense volume, read at the target voxels (in input units)."""
    k = round(weight.shape[0] ** (1 / 3))
    low, size = -8, 16
    volume = _volume(coords, features, low, size, int(coords[:, 0].max()) + 1)
    before = (k // 2) * dilation if k % 2 else 0
    after = (k - 1) * dilation - before
    padded = F.pad(volume, (before, after) * 3)
    out = F.conv3d(padded, _cube(weight).transpose(0, 1), stride=stride, dilation=dilation)
    b, *xyz = target.long().unbind(1)
    x, y, z = ((v - low) // stride for v in xyz)
    return out[b, :, x, y, z]


def dense_transposed_convolution(
    coords: Tensor, features: Tensor, weight: Tensor, target: Tensor, *, stride: int
) -> Tensor:
    """torch's conv_transpose3d from voxels of the given stride onto fine voxels of stride 1."""
    k = round(weight.shape[0] ** (1 / 3))
    low, size = -8, 16
    coarse = coords.clone()
    coarse[:, 1:] = torch.div(coords[:, 1:], stride, rounding_mode="floor")
    volume = _volume(coarse, features, low // stride, size // stride, int(coords[:, 0].max()) + 1)
    out = F.conv_transpose3d(volume, _cube(weight), stride=stride)
    # Tap 0 of a centred kernel lies k // 2 below its coarse voxel.
    first = k // 2 if k % 2 else 0
    b, *xyz = target.long().unbind(1)
    x, y, z = (v - low + first for v in xyz)
    return out[b, :, x, y, z]
