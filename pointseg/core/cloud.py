"""PointCloud: a scene as tensors on a device, which augmentation and voxelisation transform."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy.typing as npt
import torch
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.scene import Scene

#: Lowest and highest x, y, z.
Box = tuple[tuple[float, float, float], tuple[float, float, float]]


def bounding_box(values: Tensor) -> Box | None:
    """The box of (P, 3) numbers, None of none; the host waits for it."""
    if not values.shape[0]:
        return None
    low, high = torch.stack(torch.aminmax(values, dim=0)).tolist()
    return (low[0], low[1], low[2]), (high[0], high[1], high[2])


def widened(box: Box, by: float) -> Box:
    """A box with each side moved outwards."""
    (x, y, z), (high_x, high_y, high_z) = box
    return (x - by, y - by, z - by), (high_x + by, high_y + by, high_z + by)


@dataclass(frozen=True)
class PointCloud:
    """The points of one scene on one device. Transforms return a new cloud; rows of all fields stay aligned.

    Args:
        name: name of the scene.
        xyz_m: (P, 3) float32 metres.
        color: (P, 3) float32 in 0..255; zeros where the scene has no colour.
        normal: (P, 3) float32 unit normals; zeros where the scene has none.
        label: (P,) int64 train index or IGNORE.
        vertex: (P,) int64 index of the vertex of the scene that each row was.
        box_m: lowest and highest x, y, z, or values below and above them, where the host knows some: to ask
            for them waits for a GPU. New positions without a new box have none.
    """

    name: str
    xyz_m: Tensor
    color: Tensor
    normal: Tensor
    label: Tensor
    vertex: Tensor
    box_m: Box | None = None

    @property
    def num_points(self) -> int:
        return self.xyz_m.shape[0]

    @property
    def device(self) -> torch.device:
        return self.xyz_m.device

    def select(self, rows: Tensor) -> PointCloud:
        """The points at ``rows``: (M,) int64 indices or (P,) bool."""
        return PointCloud(
            self.name,
            self.xyz_m[rows],
            self.color[rows],
            self.normal[rows],
            self.label[rows],
            self.vertex[rows],
            self.box_m,
        )

    def with_(self, *, box_m: Box | None = None, **changes: Tensor) -> PointCloud:
        """A copy with some fields replaced."""
        kept = box_m if "xyz_m" in changes else self.box_m
        return replace(self, box_m=kept, **changes)  # type: ignore[arg-type]

    @classmethod
    def from_scene(
        cls, scene: Scene, label_space: LabelSpace, device: torch.device | str = "cpu"
    ) -> PointCloud:
        """Copy a scene to a device; raw ids become train indices here and nowhere else."""
        count = scene.num_vertices

        def rows_of(values: npt.NDArray[Any] | None) -> Tensor:
            if values is None:
                return torch.zeros(count, 3, device=device)
            return _moved(torch.tensor(values, dtype=torch.float32), torch.device(device))

        label = (
            torch.full((count,), IGNORE, dtype=torch.int64)
            if scene.raw_label is None
            else torch.from_numpy(label_space.encode(scene.raw_label))
        )
        return cls(
            name=scene.name,
            xyz_m=rows_of(scene.xyz_m),
            color=rows_of(scene.rgb),
            normal=rows_of(scene.normal),
            label=_moved(label, torch.device(device)),
            vertex=torch.arange(count, device=device),
            box_m=bounding_box(torch.from_numpy(scene.xyz_m)),
        )


def _moved(values: Tensor, device: torch.device) -> Tensor:
    """A copy on the device; a GPU fetches it from pinned memory by itself, and nobody waits."""
    return values.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else values.to(device)
