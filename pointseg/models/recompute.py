"""recomputed(): a layer that keeps its input and computes what lies behind it again in the backward pass."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from pointseg.sparse import SparseTensor
from pointseg.sparse.engines import engine_setting, using_engine
from pointseg.sparse.tensor import on_grid


def recomputed(layer: nn.Module, x: SparseTensor) -> SparseTensor:
    """``layer(x)`` with the same gradients, for less memory and a second forward pass.

    The layer must stay on the grid of ``x`` and draw no random numbers: their state is not kept, since to
    read it from a GPU would wait for it.
    """
    grid = x.grid

    def run(*parts: Tensor) -> Tensor:
        out: SparseTensor = layer(on_grid(parts, grid))
        return out.features

    # The second pass may run in another thread, and after the block that set the engine.
    engine = engine_setting()
    features = checkpoint(
        run,
        # Of a concatenation the two tensors that it is made of: they are kept anyway.
        *x.parts,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (contextlib.nullcontext(), _again(layer, engine)),
    )
    assert isinstance(features, Tensor)
    return x.with_features(features)


@contextlib.contextmanager
def _again(layer: nn.Module, engine: str) -> Iterator[None]:
    with using_engine(engine), _statistics_aside(layer):
        yield


@contextlib.contextmanager
def _statistics_aside(layer: nn.Module) -> Iterator[None]:
    """Let norms update copies of their running statistics: the first pass has counted this batch."""
    norms = [m for m in layer.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)
