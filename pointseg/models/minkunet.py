"""MinkUNet: the sparse residual U-Net of MinkowskiEngine, without its classifier."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from pointseg.core.batch import SceneBatch
from pointseg.models.backbone import BackboneConfig
from pointseg.models.blocks import BasicBlock
from pointseg.models.recompute import recomputed
from pointseg.sparse import (
    Grid,
    SparseBatchNorm,
    SparseConv3d,
    SparseConvTranspose3d,
    SparseTensor,
    convolve_normalised,
)
from pointseg.sparse.backends.base import PlanningBackend
from pointseg.sparse.engines import current_backend

#: Strided convolutions, each by two.
_TIMES_COARSER = 4

Variant = Literal["14A", "18A", "34A", "34C", "34D", "SpUNet"]
Widen = Literal["block", "strided"]

#: Channels after each of the four encoder and four decoder stages.
WIDTHS: dict[Variant, tuple[int, ...]] = {
    "14A": (32, 64, 128, 256, 128, 128, 96, 96),
    "18A": (32, 64, 128, 256, 128, 128, 96, 96),
    "34A": (32, 64, 128, 256, 256, 128, 64, 64),
    "34C": (32, 64, 128, 256, 256, 128, 96, 96),
    "34D": (32, 64, 128, 256, 256, 256, 256, 512),
    "SpUNet": (32, 64, 128, 256, 256, 128, 96, 96),
}
#: Residual blocks of each stage.
BLOCKS: dict[Variant, tuple[int, ...]] = {
    "14A": (1,) * 8,
    "18A": (2,) * 8,
    "34A": (2, 3, 4, 6, 2, 2, 2, 2),
    "34C": (2, 3, 4, 6, 2, 2, 2, 2),
    "34D": (2, 3, 4, 6, 2, 2, 2, 2),
    "SpUNet": (2, 3, 4, 6, 2, 2, 2, 2),
}


class MinkUNetConfig(BackboneConfig):
    """Which MinkUNet; what is not given follows from the variant.

    34D is the network of the LGround recipe (Res16UNet34D): stem kernel 3, batch-norm momentum 0.02 and no
    ReLU after the last block, so its features are signed. SpUNet is that of Pointcept (SpUNet-v1m1): widths
    of 34C, channels grow in the strided convolutions, batch-norm momentum 0.01 and eps 1e-3. Where nothing
    else is said: stem kernel 5, momentum 0.1, eps 1e-5, a ReLU at the end, channels grow in the blocks.

    Args:
        variant: name as in the MinkowskiEngine examples.
        widths: channels after each of the eight stages.
        blocks: residual blocks of each of the eight stages.
        stem_channels: channels of the stem, and of the strided convolution after it.
        stem_kernel: kernel size of the stem, odd.
        bn_momentum: momentum of all batch norms.
        bn_eps: what all batch norms add to the variance.
        widen: where the encoder's channels grow: in the first ``block`` of a stage, as in MinkowskiEngine, or
            in the ``strided`` convolution before it, as in Pointcept.
        final_relu: whether the last block ends with its ReLU.
        dropout: probability of dropping an output feature in training.
    """

    is_sparse: ClassVar[bool] = True

    type: Literal["minkunet"] = "minkunet"
    variant: Variant = "34C"
    widths: tuple[int, ...] | None = Field(default=None, min_length=8, max_length=8)
    blocks: tuple[int, ...] | None = Field(default=None, min_length=8, max_length=8)
    stem_channels: int = Field(default=32, ge=1)
    stem_kernel: int | None = Field(default=None, ge=1)
    bn_momentum: float | None = Field(default=None, gt=0, le=1)
    bn_eps: float | None = Field(default=None, gt=0)
    widen: Widen | None = None
    final_relu: bool | None = None
    dropout: float = Field(default=0.0, ge=0, lt=1)

    @field_validator("widths", "blocks")
    @classmethod
    def _positive(cls, value: tuple[int, ...] | None) -> tuple[int, ...] | None:
        if value is not None and min(value) < 1:
            raise ValueError("every stage needs at least one channel and one block")
        return value

    @field_validator("stem_kernel")
    @classmethod
    def _odd(cls, value: int | None) -> int | None:
        if value is not None and value % 2 == 0:
            raise ValueError("the stem kernel must be odd, so that it is centred")
        return value

    def resolved(self) -> dict[str, Any]:
        """The options of :class:`MinkUNet`, with what follows from the variant filled in."""
        lground, pointcept = self.variant == "34D", self.variant == "SpUNet"
        return {
            "widths": self.widths or WIDTHS[self.variant],
            "blocks": self.blocks or BLOCKS[self.variant],
            "stem_channels": self.stem_channels,
            "stem_kernel": self.stem_kernel or (3 if lground else 5),
            "bn_momentum": self.bn_momentum or (0.02 if lground else 0.01 if pointcept else 0.1),
            "bn_eps": self.bn_eps or (1e-3 if pointcept else 1e-5),
            "widen": self.widen or ("strided" if pointcept else "block"),
            "final_relu": (not lground) if self.final_relu is None else self.final_relu,
            "dropout": self.dropout,
        }

    def layers(self) -> tuple[tuple[str, ...], ...]:
        down = [(f"conv{i}p*", f"bn{i}.*", f"block{i}.*") for i in (1, 2, 3, 4)]
        up = [(f"convtr{i}p*", f"bntr{i}.*", f"block{i + 1}.*") for i in (4, 5, 6, 7)]
        return (("conv0p*", "bn0.*"), *down, *up)

    def build(self, in_channels: int) -> MinkUNet:
        """The network for ``in_channels`` input features per voxel."""
        return MinkUNet(in_channels, **self.resolved())


class MinkUNet(nn.Module):
    """Stem, four strided stages down, four transposed stages up with skip connections.

    Maps a SparseTensor to one of ``out_channels`` channels on the same grid, rows in the same order. The
    input grid has stride 1; the deepest one has stride 16.

    Args: see :class:`MinkUNetConfig`.

    Attributes:
        checkpoint_activations: whether residual blocks in training keep their input alone and compute the
            rest again in the backward pass: a third more work, and the memory of the blocks' insides saved.
        nonnegative: whether features end with a ReLU.

    Source: Choy et al., 4D Spatio-Temporal ConvNets: Minkowski Convolutional Neural Networks, 2019.
        Parameter names as in the examples of MinkowskiEngine; the classifier ``final`` is left out.
    """

    def __init__(
        self,
        in_channels: int,
        *,
        widths: tuple[int, ...],
        blocks: tuple[int, ...],
        stem_channels: int = 32,
        stem_kernel: int = 5,
        bn_momentum: float = 0.1,
        bn_eps: float = 1e-5,
        widen: Widen = "block",
        final_relu: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.in_channels = in_channels
        self.out_channels = widths[7]
        self.checkpoint_activations = False
        self.nonnegative = final_relu

        def norm(channels: int) -> SparseBatchNorm:
            return SparseBatchNorm(channels, momentum=bn_momentum, eps=bn_eps)

        def stage(index: int, channels: int) -> nn.Sequential:
            layers = []
            for block in range(blocks[index]):
                last = index == 7 and block == blocks[index] - 1
                layers.append(
                    BasicBlock(
                        channels if block == 0 else widths[index],
                        widths[index],
                        bn_momentum=bn_momentum,
                        bn_eps=bn_eps,
                        final_relu=final_relu or not last,
                    )
                )
            return nn.Sequential(*layers)

        self.conv0p1s1 = SparseConv3d(in_channels, stem_channels, stem_kernel)
        self.bn0 = norm(stem_channels)
        # Names say stage, stride of the input grid ("p") and stride of the layer ("s").
        down = (stem_channels, *widths[:3])
        for i, (channels, stride) in enumerate(zip(down, (1, 2, 4, 8), strict=True)):
            strided = widths[i] if widen == "strided" else channels
            self.add_module(f"conv{i + 1}p{stride}s2", SparseConv3d(channels, strided, 2, stride=2))
            self.add_module(f"bn{i + 1}", norm(strided))
            self.add_module(f"block{i + 1}", stage(i, strided))
        skips = (widths[2], widths[1], widths[0], stem_channels)
        for i, (skip, stride) in enumerate(zip(skips, (16, 8, 4, 2), strict=True), start=4):
            self.add_module(
                f"convtr{i}p{stride}s2", SparseConvTranspose3d(widths[i - 1], widths[i], 2, stride=2)
            )
            self.add_module(f"bntr{i}", norm(widths[i]))
            self.add_module(f"block{i + 1}", stage(i, widths[i] + skip))
        self.dropout = nn.Dropout(dropout)
        self._initialise()

    def recompute_activations(self) -> None:
        """From now on, set :attr:`checkpoint_activations`."""
        self.checkpoint_activations = True

    def _initialise(self) -> None:
        """Kaiming normal, fan out, for all but the transposed convolutions, as in the examples."""
        for module in self.modules():
            if isinstance(module, SparseConv3d):
                fan_out = module.out_channels * module.kernel_size**3
                nn.init.normal_(module.kernel, std=(2.0 / fan_out) ** 0.5)

    def rows(self, batch: SceneBatch) -> Tensor:
        """(M, D) features of the voxels of a batch, in its order."""
        grid = batch.geometry if isinstance(batch.geometry, Grid) else Grid(batch.coords)
        embedded: SparseTensor = self(SparseTensor(batch.features, grid))
        return embedded.features

    def prepared(self, batch: SceneBatch) -> SceneBatch:
        """The batch with its grids and all kernel maps of a training step, as the engine reads them.

        Whoever makes them, in another thread perhaps, is who waits for their sizes; the step does not.
        """
        grid = Grid(batch.coords)
        level, _ = grid.sorted()
        level.coarsen_by_two(_TIMES_COARSER)
        maps = [level.kernel_map(level, self.conv0p1s1.kernel_size)]
        for _ in range(_TIMES_COARSER):
            coarse = level.coarsen(2)
            down = level.kernel_map(coarse, 2)
            # Each is the other's way back.
            maps += [level.kernel_map(level, 3), down, down.transposed()]
            level = coarse
        maps.append(level.kernel_map(level, 3))
        engine = current_backend(batch.coords.device)
        for kernel_map in maps:
            if isinstance(engine, PlanningBackend):
                engine.plan(kernel_map)
        return replace(batch, geometry=grid)

    def forward(self, x: SparseTensor) -> SparseTensor:
        given = x.grid
        grid, order = given.sorted()
        features = x.features if order is None else x.features[order]
        out = self._levels(SparseTensor(features, grid)).features
        if order is not None:
            out = out[torch.argsort(order)]
        return SparseTensor(self.dropout(out), given)

    def _levels(self, x: SparseTensor) -> SparseTensor:
        """The U-Net on a sorted grid, whose kernel maps are the quickest."""
        if x.grid.device.type != "cpu":
            x.grid.coarsen_by_two(_TIMES_COARSER)
        out = convolve_normalised(self.conv0p1s1, self.bn0, x)
        skips = [out]
        for i, stride in enumerate((1, 2, 4, 8), start=1):
            out = self._step(f"conv{i}p{stride}s2", f"bn{i}", out)
            out = self._stage(f"block{i}", out)
            skips.append(out)
        skips.pop()
        for i, stride in enumerate((16, 8, 4, 2), start=4):
            skip = skips.pop()
            up = self._step(f"convtr{i}p{stride}s2", f"bntr{i}", out, skip.grid)
            out = self._stage(f"block{i + 1}", up.cat(skip))
        return out

    def _stage(self, name: str, x: SparseTensor) -> SparseTensor:
        stage = self.get_submodule(name)
        if not (self.checkpoint_activations and self.training and torch.is_grad_enabled()):
            out: SparseTensor = stage(x)
            return out
        for block in stage.children():
            x = recomputed(block, x)
        return x

    def _step(self, conv: str, norm: str, x: SparseTensor, onto: Grid | None = None) -> SparseTensor:
        layer, its_norm = self.get_submodule(conv), self.get_submodule(norm)
        assert isinstance(layer, SparseConv3d | SparseConvTranspose3d)
        assert isinstance(its_norm, SparseBatchNorm)
        return convolve_normalised(layer, its_norm, x, onto=onto)
