"""What is measured: one convolution, a whole MinkUNet, or the kernel maps of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor, nn

from pointseg.bench.minkowski_network import OWN, own_network, own_unavailable, run_own
from pointseg.bench.workload import workload
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.sparse import ENGINES, Grid, SparseTensor, convolve, using_engine
from pointseg.sparse.engines import backend
from pointseg.sparse.kernel_map import search_pairs
from pointseg.sparse.native_maps import can_find_pairs

#: Plain torch, tap by tap; in float64 the judge of all.
JUDGE = "reference"
TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float64": torch.float64}


@dataclass(frozen=True)
class Case:
    """One thing to measure with several engines.

    Args:
        name: for people.
        voxels: N.
        gflop: 1e9 operations of a forward pass; a step takes three times as many.
        forward: engine and type -> a forward pass; returns the output.
        step: engine and type -> a forward and a backward pass; returns all gradients in one vector. None
            where there is nothing to differentiate.
    """

    name: str
    voxels: int
    gflop: float
    forward: Callable[[str, torch.dtype], Tensor]
    step: Callable[[str, torch.dtype], Tensor] | None

    @property
    def phases(self) -> dict[str, Callable[[str, torch.dtype], Tensor]]:
        """Name of a phase -> what runs it."""
        return {"forward": self.forward} | ({} if self.step is None else {"forward_backward": self.step})


def convolution(coords: Tensor, channels: int) -> Case:
    """A 3^3 convolution of C to C channels; its kernel map is made once, as in a network it is shared."""
    grid = Grid(coords).sorted()[0]
    kernel_map = grid.kernel_map(grid, 3)
    x = torch.randn(len(grid), channels, device=coords.device)
    weight = torch.randn(27, channels, channels, device=coords.device) / (27 * channels) ** 0.5
    upstream = torch.randn_like(x)

    def forward(engine: str, dtype: torch.dtype) -> Tensor:
        with using_engine(engine), torch.no_grad():
            return convolve(x.to(dtype), weight.to(dtype), kernel_map)

    def step(engine: str, dtype: torch.dtype) -> Tensor:
        inputs = x.to(dtype).requires_grad_(), weight.to(dtype).requires_grad_()
        with using_engine(engine):
            out = convolve(*inputs, kernel_map)
        return _flat(torch.autograd.grad(out, inputs, upstream.to(dtype)))

    gflop = 2 * kernel_map.num_pairs * channels**2 / 1e9
    return Case(f"3^3, {channels} -> {channels}", len(grid), gflop, forward, step)


def network(coords: Tensor, variant: str, in_channels: int = 3) -> Case:
    """A MinkUNet; kernel maps are made anew in every pass, as in training."""
    torch.manual_seed(0)
    options = MinkUNetConfig.model_validate({"variant": variant})
    net = options.build(in_channels).to(coords.device)
    x = torch.randn(len(coords), in_channels, device=coords.device)
    names = [name for name, _ in net.named_parameters()]

    @cache
    def model(is_own: bool, is_wide: bool) -> nn.Module:
        """The same weights in our layers or in MinkowskiEngine's; made when first asked for."""
        copy: nn.Module = own_network(options, in_channels) if is_own else options.build(in_channels)
        copy.load_state_dict(net.state_dict())
        for module in copy.modules():
            if isinstance(module, nn.BatchNorm1d):
                # Running statistics stay as they are, so that all passes compute the same.
                module.momentum = 0.0
        return copy.to(coords.device, torch.float64 if is_wide else torch.float32)

    def run(engine: str, dtype: torch.dtype, train: bool) -> tuple[nn.Module, Tensor]:
        chosen = model(engine == OWN, dtype == torch.float64).train(train)
        features = x.double() if dtype == torch.float64 else x
        if engine == OWN:
            # It has no bfloat16, and computes in float32 where that is asked for.
            return chosen, run_own(chosen, features, coords)
        narrow = dtype == torch.bfloat16
        with using_engine(engine), torch.autocast(coords.device.type, torch.bfloat16, enabled=narrow):
            out: Tensor = chosen(SparseTensor(features, Grid(coords))).features
        return chosen, out

    def forward(engine: str, dtype: torch.dtype) -> Tensor:
        with torch.no_grad():
            return run(engine, dtype, train=False)[1]

    def step(engine: str, dtype: torch.dtype) -> Tensor:
        chosen, out = run(engine, dtype, train=True)
        # Of one sign and scale, so that gradients do not vanish through the norms.
        loss = (out.to(torch.promote_types(out.dtype, torch.float32)) * out.detach().sign()).square().mean()
        return _flat(torch.autograd.grad(loss, [chosen.get_parameter(name) for name in names]))

    gflop = workload(net, coords, in_channels).flop / 1e9
    return Case(f"MinkUNet{variant}", len(coords), gflop, forward, step)


def kernel_maps(coords: Tensor) -> Case:
    """All kernel maps of a MinkUNet; engines ``native`` and ``torch``."""

    def forward(engine: str, dtype: torch.dtype) -> Tensor:
        grid, counts = Grid(coords).sorted()[0], []

        def count(source: Grid, target: Grid, kernel_size: int) -> None:
            kernel_map = source.kernel_map(target, kernel_size)
            pairs = search_pairs(kernel_map.geometry) if engine == "torch" else kernel_map.pairs
            counts.append(len(pairs.source))

        count(grid, grid, 5)
        for _ in range(4):
            coarse = grid.coarsen(2)
            count(grid, grid, 3)
            count(grid, coarse, 2)
            grid = coarse
        count(grid, grid, 3)
        return torch.tensor(counts, dtype=torch.float64)

    return Case("maps of a MinkUNet", len(coords), 0.0, forward, None)


def engines_for(
    what: str, wanted: tuple[str, ...] | None, device: torch.device, variant: str = "34C"
) -> list[str]:
    """The engines to compare: those that are wanted, or all that run, without the slow reference.

    Raises:
        ValueError: if one that was asked for cannot run.
    """
    if what == "maps":
        able = {"native": can_find_pairs(device, 5), "torch": True}
        names = wanted or tuple(able)
        if missing := [name for name in names if not able.get(name)]:
            raise ValueError(
                f"maps are made by {', '.join(n for n in able if able[n])} here; got {missing[0]!r}."
            )
        return list(names)
    reasons = {name: backend(name).unavailable(device) for name in ENGINES}
    if what == "network":
        reasons[OWN] = own_unavailable(variant, device)
    if wanted is None:
        return [name for name, reason in reasons.items() if reason is None and name != JUDGE]
    for name in wanted:
        if name not in reasons:
            raise ValueError(f"unknown engine {name!r}; `bench {what}` knows {', '.join(reasons)}.")
        if reasons[name]:
            raise ValueError(f"engine {name} cannot run here: {reasons[name]}.")
    return list(wanted)


def _flat(gradients: tuple[Tensor, ...]) -> Tensor:
    return torch.cat([gradient.flatten() for gradient in gradients])
