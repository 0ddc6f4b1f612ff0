"""MinkowskiEngine as an engine: its own maps and products, on the coordinates of our grids."""

from __future__ import annotations

import collections
import collections.abc
import warnings
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import count
from types import ModuleType
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.kernel_map import KernelMap
from pointseg.sparse.voxels import Geometry, Voxels

_NAME = "minkowski"
_INSTALL = "scripts/install_minkowski.sh builds it into the environment"


@cache
def minkowski_engine() -> ModuleType:
    """MinkowskiEngine 0.5.4, imported under any Python.

    Raises:
        ImportError: if it is not installed or was built for another torch.
    """
    # It takes collections.Sequence, gone since Python 3.10, while it is imported and never again.
    lent = not hasattr(collections, "Sequence")
    if lent:
        collections.Sequence = collections.abc.Sequence  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            # On machines without a GPU it warns that it was built for machines without a GPU.
            warnings.simplefilter("ignore")
            return import_module("MinkowskiEngine")
    finally:
        if lent:
            del collections.Sequence  # type: ignore[attr-defined]


def _compiled() -> ModuleType:
    """The functions under MinkowskiEngine's layers; the layers choose their target voxels themselves."""
    minkowski_engine()
    return import_module("MinkowskiEngineBackend._C")


class MinkowskiBackend:
    """Convolutions of MinkowskiEngine between coordinate maps that hold our voxels in our order.

    It finds its own pairs, once for a family of grids, and never asks a kernel map for them. It computes in
    float32 and float64; narrower types are cast to float32 and back. On a GPU it adds with atomics, so
    results differ from run to run in the last bits.

    Source: Choy et al., 4D Spatio-Temporal ConvNets: Minkowski Convolutional Neural Networks, 2019.
    """

    def unavailable(self, device: torch.device) -> str | None:
        if device.type not in ("cpu", "cuda"):
            return f"MinkowskiEngine runs on CPUs and NVIDIA GPUs; the device is {device}"
        if find_spec("MinkowskiEngine") is None:
            return f"MinkowskiEngine is not installed; {_INSTALL}"
        try:
            engine = minkowski_engine()
        except ImportError as error:
            return f"MinkowskiEngine does not load ({error}); {_INSTALL} for this torch with --rebuild"
        if device.type == "cuda" and not engine.is_cuda_available():
            return (
                f"this MinkowskiEngine was built for CPUs only; with CUDA's nvcc, {_INSTALL} with --rebuild"
            )
        return None

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        geometry = kernel_map.geometry
        if _is_empty(geometry):
            out = features.new_zeros(len(geometry.target), weight.shape[2])
        else:
            call = _Call.of(geometry)
            dtype = _computation_type(features.dtype)
            rows = call.function("Forward")(
                call.source.theirs(features).to(dtype), weight.to(dtype), *call.kernel, False, *call.between
            )
            out = call.target.ours(rows).to(features.dtype)
        return out if epilogue is None else epilogue.apply(out)

    def backward(
        self,
        grad: Tensor,
        features: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs_features: bool,
        needs_weight: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        geometry = kernel_map.geometry
        if _is_empty(geometry):
            grad_features, grad_weight = torch.zeros_like(features), torch.zeros_like(weight)
        else:
            call = _Call.of(geometry)
            dtype = _computation_type(features.dtype)
            # Both gradients come from one call, wanted or not.
            rows, taps = call.function("Backward")(
                call.source.theirs(features).to(dtype),
                call.target.theirs(grad).to(dtype),
                weight.to(dtype),
                *call.kernel,
                *call.between,
            )
            grad_features, grad_weight = call.source.ours(rows).to(features.dtype), taps.to(weight.dtype)
        return grad_features if needs_features else None, grad_weight if needs_weight else None


def _computation_type(dtype: torch.dtype) -> torch.dtype:
    return dtype if dtype == torch.float64 else torch.float32


def _is_empty(geometry: Geometry) -> bool:
    # MinkowskiEngine hands out a reference to a map that is gone where one side has no voxel.
    return not len(geometry.source) or not len(geometry.target)


@dataclass(frozen=True)
class _Rows:
    """A coordinate map of MinkowskiEngine and the order of its rows.

    Args:
        key: its name in the coordinate manager.
        order: (N,) our row of each of its rows, or None where they agree, as on a CPU.
        place: (N,) its row of each of ours, or None.
    """

    key: Any
    order: Tensor | None
    place: Tensor | None

    def theirs(self, rows: Tensor) -> Tensor:
        return rows if self.order is None else rows[self.order]

    def ours(self, rows: Tensor) -> Tensor:
        return rows if self.place is None else rows[self.place]


class _Scene:
    """The coordinate manager of one family of grids, with all maps that were made for it."""

    def __init__(self, device: torch.device) -> None:
        engine = minkowski_engine()
        kinds = engine.CoordinateMapType
        self.manager = engine.CoordinateManager(
            D=3,
            # Left to itself it would set the process to as many threads as there are cores.
            num_threads=torch.get_num_threads(),
            coordinate_map_type=kinds.CPU if device.type == "cpu" else kinds.CUDA,
        )
        # Weak keys: voxels hold their family, and so this scene.
        self._rows: WeakKeyDictionary[Voxels, _Rows] = WeakKeyDictionary()
        self._names = count()

    @classmethod
    def of(cls, voxels: Voxels) -> _Scene:
        scene: _Scene = voxels.family.get(_NAME) or voxels.family.setdefault(_NAME, cls(voxels.coords.device))
        return scene

    def rows(self, voxels: Voxels) -> _Rows:
        """The coordinate map of some voxels, made when first asked for."""
        if voxels not in self._rows:
            key, (order, place) = self.manager.insert_and_map(
                voxels.coords.contiguous(), [voxels.stride] * 3, str(next(self._names))
            )
            same = torch.equal(order, torch.arange(len(order), dtype=order.dtype, device=order.device))
            self._rows[voxels] = _Rows(key, None if same else order, None if same else place)
        return self._rows[voxels]


@dataclass(frozen=True)
class _Call:
    """The arguments that a convolution and its gradient share.

    Args:
        transposed: whether it is the transposed convolution.
        source: rows of the input.
        target: rows of the output.
        kernel: size, stride, dilation and shape of the kernel.
        between: algorithm, both coordinate maps and their manager.
    """

    transposed: bool
    source: _Rows
    target: _Rows
    kernel: tuple[Any, ...]
    between: tuple[Any, ...]

    @classmethod
    def of(cls, geometry: Geometry) -> _Call:
        engine = minkowski_engine()
        coarse, fine = geometry.target, geometry.source
        if geometry.transposed:
            coarse, fine = fine, coarse
        scene = _Scene.of(fine)
        source, target = scene.rows(geometry.source), scene.rows(geometry.target)
        per_axis = (geometry.kernel_size, coarse.stride // fine.stride, geometry.dilation)
        no_offsets = torch.empty(0, dtype=torch.int32)
        return cls(
            transposed=geometry.transposed,
            source=source,
            target=target,
            kernel=(*([value] * 3 for value in per_axis), engine.RegionType.HYPER_CUBE, no_offsets),
            between=(_compiled().ConvolutionMode.DEFAULT, source.key, target.key, scene.manager._manager),
        )

    def function(self, direction: str) -> Any:
        """The compiled function, ``Forward`` or ``Backward``, for the device of the voxels."""
        device = "CPU" if type(self.between[-1]).__name__.endswith("CPU") else "GPU"
        return getattr(_compiled(), f"Convolution{'Transpose' if self.transposed else ''}{direction}{device}")
