"""Other engines, side by side where they are installed, as their users call them.

Two of them compute the same rows as ours (spconv-triton in its interpreter, MinkowskiEngine on CPUs); the
others were written after their documentation and have run nowhere: what goes wrong in one is one row.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gpu_check.record import Recorder, reason_of
from pointseg.sparse.backends.minkowski import minkowski_engine

Engine = tuple[str, Callable[[], object], Callable[[], object]]


def peers(recorder: Recorder, coords: Tensor, x: Tensor, grad: Tensor) -> list[Engine]:
    """(name, forward, backward) of a 3^3 convolution in each engine that can be imported and takes the type.

    Their maps are made in the first call, as ours are before it.
    """
    found: list[Engine] = []
    for name, build in PEERS.items():
        try:
            run = build(coords, x)
            backward = None if run is None else _backward_of(run, grad)
        except Exception as error:
            # That another's engine is not here, or does not run here, is no failure of ours. Said once.
            row = {"section": "skipped", "name": f"convolutions of {name}", "reason": reason_of(error)}
            if row not in recorder.rows:
                recorder.add(row["section"], row["name"], reason=row["reason"])
            continue
        if run is not None and backward is not None:
            found.append((name, run, backward))
    return found


def _backward_of(run: Callable[[], Tensor], grad: Tensor) -> Callable[[], object]:
    out = run()
    return lambda: out.backward(grad.to(out.dtype), retain_graph=True)


def _spconv(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    # spconv takes float16 where we take bfloat16; both cost the same.
    return _like_spconv("spconv.pytorch", coords, x.half() if x.dtype == torch.bfloat16 else x)


def _spconv_triton(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    return _like_spconv("spconv_triton.pytorch", coords, x)


def _like_spconv(module: str, coords: Tensor, x: Tensor) -> Callable[[], Tensor]:
    """A layer as users of spconv write it, which chooses its own algorithm: implicit GEMM where it can."""
    spconv: Any = importlib.import_module(module)
    low = coords[:, 1:].amin(dim=0)
    shape = (coords[:, 1:].amax(dim=0) - low + 1).tolist()
    indices = torch.cat([coords[:, :1], coords[:, 1:] - low], dim=1).contiguous()
    layer = spconv.SubMConv3d(x.shape[1], x.shape[1], 3, bias=False, indice_key="check")
    layer = layer.to(x.device, x.dtype)
    sparse = spconv.SparseConvTensor(x.clone().requires_grad_(), indices, shape, int(coords[:, 0].max()) + 1)
    # The first call puts the pairs into the tensor's dictionary, which its successors share.
    sparse.indice_dict = layer(sparse).indice_dict
    return lambda: layer(sparse).features


def _minkowski(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    if x.dtype not in (torch.float32, torch.float64):
        return None
    engine: Any = minkowski_engine()
    layer = engine.MinkowskiConvolution(x.shape[1], x.shape[1], kernel_size=3, bias=False, dimension=3)
    layer = layer.to(x.device)
    sparse = engine.SparseTensor(x.clone().requires_grad_(), coordinates=coords)
    return lambda: layer(sparse).F


def _warpconvnet(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    voxels: Any = importlib.import_module("warpconvnet.geometry.types.voxels")
    layers: Any = importlib.import_module("warpconvnet.nn.modules.sparse_conv")
    layer = layers.SparseConv3d(x.shape[1], x.shape[1], kernel_size=3, stride=1, bias=False)
    layer = layer.to(x.device, x.dtype)
    # Voxels of one scene, and where it begins and ends.
    place, ends = coords[:, 1:].contiguous(), torch.tensor([0, len(coords)])
    sparse = voxels.Voxels(place, x.clone().requires_grad_(), offsets=ends)
    return lambda: layer(sparse).feature_tensor


def _fvdb(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    fvdb: Any = importlib.import_module("fvdb")
    layers: Any = importlib.import_module("fvdb.nn")
    layer = layers.SparseConv3d(x.shape[1], x.shape[1], kernel_size=3, stride=1, bias=False)
    layer = layer.to(x.device, x.dtype)
    grid = fvdb.GridBatch.from_ijk(fvdb.JaggedTensor([coords[:, 1:].contiguous()]))
    # Its rows have an order of their own, which makes no difference to the time.
    values = fvdb.JaggedTensor([x.clone().requires_grad_()])
    plan = fvdb.ConvolutionPlan.from_grid_batch(kernel_size=3, stride=1, source_grid=grid, target_grid=grid)
    return lambda: layer(values, plan).jdata


def _flexgemm(coords: Tensor, x: Tensor) -> Callable[[], Tensor] | None:
    convolve: Any = importlib.import_module("flex_gemm.ops.spconv").sparse_submanifold_conv3d
    low = coords[:, 1:].amin(dim=0)
    extent = (coords[:, 1:].amax(dim=0) - low + 1).tolist()
    indices = torch.cat([coords[:, :1], coords[:, 1:] - low], dim=1).contiguous()
    shape, channels = torch.Size([1, x.shape[1], *extent]), x.shape[1]
    features = x.clone().requires_grad_()
    weight = torch.randn(channels, 3, 3, 3, channels, device=x.device, dtype=x.dtype).requires_grad_()
    # The first call gives the neighbours, which the next ones take.
    _, cache = convolve(features, indices, shape, None, weight, None)

    def run() -> Tensor:
        out: Tensor = convolve(features, indices, shape, cache, weight, None)[0]
        return out

    return run


#: Engine -> what makes its layer; None where it does not take the type.
PEERS: dict[str, Callable[[Tensor, Tensor], Callable[[], Tensor] | None]] = {
    "spconv": _spconv,
    "spconv-triton": _spconv_triton,
    "MinkowskiEngine": _minkowski,
    "WarpConvNet": _warpconvnet,
    "fvdb": _fvdb,
    "FlexGEMM": _flexgemm,
}
