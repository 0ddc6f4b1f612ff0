"""Maps and voxels of the device are those of the CPU, row by row."""

from __future__ import annotations

import torch
from torch import Tensor

from gpu_check.points import label_space, scene_of
from gpu_check.record import Recorder
from pointseg.bench.rooms import VOXEL_M, rooms
from pointseg.core.cloud import PointCloud
from pointseg.scans.voxelize import FeatureChoice, LabelChoice, voxelize
from pointseg.sparse import Grid, KernelMap

_CHOICES: tuple[tuple[FeatureChoice, LabelChoice], ...] = (("point", "point"), ("mean", "majority"))


def check_maps(recorder: Recorder) -> None:
    """Grids and kernel maps, of sorted and of unsorted voxels."""
    coords = rooms(300 if recorder.scale.is_smoke else 200_000)
    shuffled = coords[torch.randperm(len(coords))]
    for name, voxels in (("sorted", coords), ("unsorted", shuffled)):
        here, there = _maps(Grid(voxels)), _maps(Grid(voxels.to(recorder.device)))
        for kind, expected in here.items():
            got = there[kind]
            same = expected.starts == got.starts and all(
                torch.equal(a, b.cpu())
                for a, b in ((expected.source, got.source), (expected.target, got.target))
            )
            _report(recorder, f"map {kind}, {name} voxels, as on the CPU", same)


def check_voxels(recorder: Recorder) -> None:
    """Voxels, their points and labels, and the inverse map, with one seed."""
    scene = scene_of(2_000 if recorder.scale.is_smoke else 1_000_000)
    for features, label in _CHOICES:
        results: list[tuple[Tensor, ...]] = []
        for device in (torch.device("cpu"), recorder.device):
            cloud = PointCloud.from_scene(scene, label_space(), device)
            voxels = voxelize(cloud, VOXEL_M, features=features, label=label, seed=3)
            rows = voxels.cloud
            results.append((voxels.coords, voxels.inverse, rows.vertex, rows.label))
        same = all(torch.equal(a, b.cpu()) for a, b in zip(*results, strict=True))
        _report(recorder, f"voxels by {features}, labels by {label}, as on the CPU", same)


def _maps(grid: Grid) -> dict[str, KernelMap]:
    coarse = grid.coarsen(2)
    down = grid.kernel_map(coarse, 2)
    return {
        "3^3": grid.kernel_map(grid, 3),
        "5^3": grid.kernel_map(grid, 5),
        "2^3 down": down,
        "2^3 up": down.transposed(),
        "3^3 coarse": coarse.kernel_map(coarse, 3),
    }


def _report(recorder: Recorder, name: str, same: bool) -> None:
    recorder.add("correctness", name, same=same)
    if not same:
        recorder.fail(f"{name}: differs")
