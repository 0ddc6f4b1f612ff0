"""Which implementation convolves: a table of engines, a setting, and the choice that ``auto`` makes.

An engine is a file in pointseg/sparse/backends and a row in ENGINES. All compute the same numbers up
to rounding, so that a network trained with one runs with any other.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from importlib import import_module

import torch

from pointseg.sparse.backends.base import Backend

AUTO = "auto"

#: Name -> module and class, imported when first used. ``auto`` takes the first one that is available.
ENGINES: dict[str, tuple[str, str]] = {
    "native": ("pointseg.sparse.backends.native", "NativeBackend"),
    "torch": ("pointseg.sparse.backends.block_products", "BlocksBackend"),
    "triton": ("pointseg.sparse.backends.triton.backend", "TritonBackend"),
    "reference": ("pointseg.sparse.backends.reference", "ReferenceBackend"),
    "spconv": ("pointseg.sparse.backends.spconv", "SpconvBackend"),
    "minkowski": ("pointseg.sparse.backends.minkowski", "MinkowskiBackend"),
}
#: Engines that ``auto`` may take, best first.
AUTOMATIC = ("native", "torch", "triton", "reference")

_log = logging.getLogger(__name__)
#: The setting of the whole program, and that of a ``with`` block, which other threads do not see.
_default = AUTO
_of_block: ContextVar[str | None] = ContextVar("engine", default=None)


def known_engine(name: str) -> str:
    """The name, if it is ``auto`` or that of an engine.

    Raises:
        ValueError: if it is neither.
    """
    if name != AUTO and name not in ENGINES:
        raise ValueError(f"unknown engine {name!r}; choose one of {', '.join((AUTO, *ENGINES))}")
    return name


@cache
def backend(name: str) -> Backend:
    """The engine of a name.

    Raises:
        ValueError: if there is none of that name.
    """
    module, cls = ENGINES[known_engine(name)]
    make: Callable[[], Backend] = getattr(import_module(module), cls)
    return make()


def check_engine(name: str, device: torch.device | str) -> None:
    """Refuse an engine that cannot run on a device.

    Raises:
        ValueError: if there is none of that name, or it cannot run there, saying what would help.
    """
    if name == AUTO:
        return
    reason = backend(name).unavailable(torch.device(device))
    if reason is not None:
        raise ValueError(
            f"engine: {name} cannot run here: {reason}. Or set engine: auto for the quickest that can."
        )


def set_engine(name: str) -> None:
    """Choose the engine of all convolutions outside :func:`using_engine`, in all threads; first ``auto``.

    Raises:
        ValueError: if there is none of that name.
    """
    global _default
    _default = known_engine(name)


def engine_setting() -> str:
    """The engine that is set here, or ``auto``."""
    return _of_block.get() or _default


@contextmanager
def using_engine(name: str) -> Iterator[None]:
    """The engine inside a ``with`` block, in this thread alone.

    A backward pass uses the engines of its forward pass, in whichever thread and block it runs.
    """
    token = _of_block.set(known_engine(name))
    try:
        yield
    finally:
        _of_block.reset(token)


def current_engine(device: torch.device | str) -> str:
    """The name of the engine that convolves on a device."""
    setting = engine_setting()
    return _choose(torch.device(device).type) if setting == AUTO else setting


def current_backend(device: torch.device) -> Backend:
    """The engine that convolves on a device, by the setting."""
    return backend(current_engine(device))


@cache
def _choose(device_type: str) -> str:
    device = torch.device(device_type)
    name = next(name for name in AUTOMATIC if backend(name).unavailable(device) is None)
    _log.info("engine on %s: %s", device_type, name)
    return name
