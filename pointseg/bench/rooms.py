"""Voxels of furnished rooms, as many as are asked for: surfaces, as scans have them."""

from __future__ import annotations

from functools import cache

import torch
from torch import Tensor

VOXEL_M = 0.02


def room_points(num_boxes: int = 2, seed: int = 0) -> Tensor:
    """(P, 3) float32 metres: a dense scan of a room of 3.4 x 2.8 x 2.2 m with noise."""
    generator = torch.Generator().manual_seed(seed)
    surfaces = [((0.0, 0.0, 0.0), (3.4, 2.8, 0.0)), ((0.0, 0.0, 0.0), (3.4, 0.0, 2.2))]
    surfaces += [((0.0, 0.0, 0.0), (0.0, 2.8, 2.2)), ((3.4, 0.0, 0.0), (3.4, 2.8, 2.2))]
    for _ in range(num_boxes):
        size = 0.3 + torch.rand(3, generator=generator) * torch.tensor([0.9, 0.6, 0.9])
        corner = torch.rand(3, generator=generator) * torch.tensor([2.2, 2.0, 0.0])
        (x0, y0, z0), (x1, y1, z1) = corner.tolist(), (corner + size).tolist()
        surfaces += [((x0, y0, z1), (x1, y1, z1)), ((x0, y0, z0), (x1, y0, z1)), ((x0, y0, z0), (x0, y1, z1))]
        surfaces += [((x0, y1, z0), (x1, y1, z1)), ((x1, y0, z0), (x1, y1, z1))]
    parts = []
    for low, high in surfaces:
        span = torch.tensor(high) - torch.tensor(low)
        area = float(span[span > 0].prod())
        points = torch.tensor(low) + torch.rand(int(area * 7_000), 3, generator=generator) * span
        # Surfaces of a scan bend by a voxel or two over a metre and are rough by a sixth of one.
        bend = 0.02 * torch.sin(points.sum(dim=1, keepdim=True) * 3.0)
        parts.append(points + bend + 0.003 * torch.randn(points.shape, generator=generator))
    # Meshes lie a little askew in their voxels.
    c, s = 0.955, 0.296
    return torch.cat(parts) @ torch.tensor([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@cache
def room(num_boxes: int = 2, seed: int = 0) -> Tensor:
    """(N, 4) int32 voxels of one room, about 100,000 of them, sorted."""
    voxels = torch.unique(torch.floor(room_points(num_boxes, seed) / VOXEL_M).int(), dim=0)
    return torch.nn.functional.pad(voxels, (1, 0))


def rooms(num_voxels: int) -> Tensor:
    """(num_voxels, 4) int32: a batch of rooms; the last one is cut where there are enough."""
    parts: list[Tensor] = []
    missing = num_voxels
    while missing > 0:
        voxels = room(seed=len(parts))[:missing].clone()
        voxels[:, 0] = len(parts)
        parts.append(voxels)
        missing -= len(voxels)
    return torch.cat(parts)
