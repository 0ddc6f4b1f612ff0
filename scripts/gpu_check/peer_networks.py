"""Whole networks of other engines, in their own layers: SpUNet as users of spconv build and train it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from gpu_check.record import Recorder, reason_of
from pointseg.bench.rooms import rooms

#: Whose layers -> their module. spconv chooses its own algorithm: implicit GEMM where it can.
PEERS = {"spconv": "spconv.pytorch", "spconv-triton": "spconv_triton.pytorch"}
#: Channels and blocks of the encoder and the decoder; those of a MinkUNet34C.
WIDTHS, BLOCKS = (32, 64, 128, 256, 256, 128, 96, 96), (2, 3, 4, 6, 2, 2, 2, 2)
_STEM = 32
#: They are measured up to this many voxels: they show the distance and take their time.
_MOST_VOXELS = 500_000


def measure_peer_networks(recorder: Recorder) -> None:
    """Forward and step under autocast to fp16, maps made anew each time, for each peer that is here."""
    for peer, module in PEERS.items():
        try:
            layers = importlib.import_module(module)
        except Exception as error:
            recorder.add("skipped", f"networks of {peer}'s own layers", reason=reason_of(error))
            continue
        for num_voxels in recorder.scale.network_voxels:
            name = f"{num_voxels} voxels, fp16, {peer}'s own layers"
            if num_voxels > _MOST_VOXELS or not recorder.has_time(name):
                continue
            with recorder.may_run("network", name, ours=False):
                for part, run in _calls(recorder, layers, num_voxels).items():
                    recorder.add("network", f"{name}: {part}", **recorder.time_ms(run))


def _calls(recorder: Recorder, layers: Any, num_voxels: int) -> dict[str, Callable[[], object]]:
    """What is timed, by name."""
    device = recorder.device
    torch.manual_seed(0)
    small = recorder.scale.is_smoke
    network = spunet(layers, (8,) * 8 if small else WIDTHS, (1,) * 8 if small else BLOCKS).to(device)
    coords = rooms(num_voxels).to(device)
    coords[:, 1:] -= coords[:, 1:].amin(dim=0)
    shape = (coords[:, 1:].amax(dim=0) + 96).tolist()
    features = torch.randn(num_voxels, 3, device=device)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-4, momentum=0.9)

    def output() -> Tensor:
        with torch.autocast(device.type, torch.float16, enabled=device.type == "cuda"):
            out: Tensor = network(layers.SparseConvTensor(features, coords, shape, 1))
        return out

    def forward() -> object:
        network.eval()
        with torch.no_grad():
            return output()

    def step() -> None:
        network.train()
        optimizer.zero_grad(set_to_none=True)
        output().float().square().mean().backward()
        optimizer.step()

    return {"forward": forward, "step": step}


def spunet(layers: Any, widths: tuple[int, ...], blocks: tuple[int, ...]) -> nn.Module:
    """The residual U-Net of Pointcept's SpUNet, in layers with spconv's interface, without a classifier."""
    return _SpUNet(layers, widths, blocks)


class _SpUNet(nn.Module):
    def __init__(self, layers: Any, widths: tuple[int, ...], blocks: tuple[int, ...]) -> None:
        super().__init__()
        self.stem = _unit(layers.SubMConv3d(3, _STEM, 5, bias=False, indice_key="stem"), _STEM)
        self.down, self.up, self.encoder, self.decoder = (nn.ModuleList() for _ in range(4))
        skips = (_STEM, *widths[:3])
        for level, width in enumerate(widths[:4]):
            key = f"down{level}"
            strided = layers.SparseConv3d(skips[level], width, 2, stride=2, bias=False, indice_key=key)
            self.down.append(_unit(strided, width))
            self.encoder.append(_stage(layers, width, width, blocks[level], f"level{level + 1}"))
        coarse = widths[3]
        for number, width in enumerate(widths[4:]):
            level = 3 - number
            back = layers.SparseInverseConv3d(coarse, width, 2, bias=False, indice_key=f"down{level}")
            self.up.append(_unit(back, width))
            joined = width + skips[level]
            self.decoder.append(_stage(layers, joined, width, blocks[4 + number], f"level{level}"))
            coarse = width

    def forward(self, x: Any) -> Tensor:
        x = self.stem(x)
        skips = [x]
        for down, stage in zip(self.down, self.encoder, strict=True):
            x = stage(down(x))
            skips.append(x)
        skips.pop()
        for up, stage in zip(self.up, self.decoder, strict=True):
            x = up(x)
            x = stage(x.replace_feature(torch.cat([x.features, skips.pop().features], dim=1)))
        features: Tensor = x.features
        return features


class _Unit(nn.Module):
    """A convolution, its norm and, but for the last of a block, a ReLU."""

    def __init__(self, convolution: nn.Module, width: int, *, relu: bool) -> None:
        super().__init__()
        self.convolution, self.norm, self.relu = convolution, nn.BatchNorm1d(width, 1e-3, 0.01), relu

    def forward(self, x: Any) -> Any:
        x = self.convolution(x)
        normed = self.norm(x.features)
        return x.replace_feature(normed.relu() if self.relu else normed)


class _Block(nn.Module):
    def __init__(self, layers: Any, channels: int, width: int, key: str) -> None:
        super().__init__()
        self.first = _unit(layers.SubMConv3d(channels, width, 3, bias=False, indice_key=key), width)
        second = layers.SubMConv3d(width, width, 3, bias=False, indice_key=key)
        self.second = _Unit(second, width, relu=False)
        self.shortcut = None
        if channels != width:
            pointwise = layers.SubMConv3d(channels, width, 1, bias=False)
            self.shortcut = _Unit(pointwise, width, relu=False)

    def forward(self, x: Any) -> Any:
        out = self.second(self.first(x))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return out.replace_feature((out.features + shortcut.features).relu())


def _unit(convolution: nn.Module, width: int) -> _Unit:
    return _Unit(convolution, width, relu=True)


def _stage(layers: Any, channels: int, width: int, count: int, key: str) -> nn.Sequential:
    blocks = [_Block(layers, channels if i == 0 else width, width, key) for i in range(count)]
    return nn.Sequential(*blocks)
