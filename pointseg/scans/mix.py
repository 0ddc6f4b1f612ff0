"""Samples, the form of a scene just before it joins a batch, and Mix3D, which overlays two of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from pointseg.scans.transforms.base import coin
from pointseg.scans.voxelize import group_by_voxel


@dataclass(frozen=True)
class Sample:
    """The voxels of one scene, or of two mixed ones.

    Args:
        name: scene name; ``a+b`` for a mixed pair.
        coords: (M, 3) int32 unique voxel coordinates, sorted by x, then y, then z.
        features: (M, C) float32 network input.
        labels: (M,) int64 train index or IGNORE.
        vertex: (M,) int64 vertex of its scene that each voxel stands for.
        inverse: (P,) int64 voxel of each vertex of the scene, or None.
    """

    name: str
    coords: Tensor
    features: Tensor
    labels: Tensor
    vertex: Tensor
    inverse: Tensor | None = None


def mix_pairs(samples: Sequence[Sample], p: float, generators: Sequence[torch.Generator]) -> list[Sample]:
    """Mix3D within a batch: each pair (0, 1), (2, 3), ... becomes one sample with probability ``p``.

    Args:
        samples: the samples of a batch; a last one without a partner stays as it is.
        p: probability that a pair is mixed.
        generators: at least one for each pair, of the host.

    Source: Nekrasov et al., Mix3D, 3DV 2021. Public code flips one coin for a whole batch; here each pair has
    its own, with the same expectation and less spread.
    """
    mixed: list[Sample] = []
    for start in range(0, len(samples), 2):
        pair = samples[start : start + 2]
        generator = generators[start // 2]
        if len(pair) == 2 and coin(p, generator):
            mixed.append(mix(pair[0], pair[1], generator))
        else:
            mixed.extend(pair)
    return mixed


def mix(first: Sample, second: Sample, generator: torch.Generator) -> Sample:
    """Overlay two samples where they lie and voxelise the union again.

    Where both occupy a voxel, one of the two, drawn at random, gives features and label: public code leaves
    both rows, and with them duplicate coordinates, on which a sparse convolution is not defined.
    """
    coords = torch.cat([first.coords, second.coords]).long()
    name = f"{first.name}+{second.name}"
    groups = group_by_voxel(coords, name=name)
    rows = groups.random_point(generator.initial_seed())
    return Sample(
        name=name,
        coords=groups.coords,
        features=torch.cat([first.features, second.features])[rows],
        labels=torch.cat([first.labels, second.labels])[rows],
        vertex=torch.cat([first.vertex, second.vertex])[rows],
    )
