"""The C extension of the sparse engine, called through ctypes: Python's lock is free meanwhile."""

from __future__ import annotations

import ctypes
import logging
from functools import cache
from importlib.util import find_spec
from typing import Any

#: The set that has products of tiles, in bfloat16 alone.
_TILES = "amx"
#: What the C files and the callers here have agreed on; see pointseg_contract in native/module.c.
_CONTRACT = 2
_OUTDATED = (
    "its C extension was built from other sources than those installed now; install pointseg again (in a "
    "checkout: pip install --no-deps -e .)"
)
_log = logging.getLogger(__name__)


@cache
def native_library() -> Any:
    """The C extension through ctypes, or None where it cannot be used: :func:`why_missing` says why."""
    library = _library()
    if library is None:
        return None
    if _contract(library) != _CONTRACT:
        _log.warning("engine: native is not used: %s.", _OUTDATED)
        return None
    number: Any = ctypes.c_int64
    address: Any = ctypes.c_void_p
    library.pointseg_set_name.argtypes, library.pointseg_set_name.restype = [number], ctypes.c_char_p
    library.pointseg_columns.argtypes, library.pointseg_columns.restype = [number] * 2, number
    library.pointseg_convolve.argtypes = [number] * 3 + [address] * 8 + [number] * 10
    library.pointseg_weight.argtypes = [number] * 3 + [address] * 7 + [number] * 8
    library.pointseg_pairs.argtypes = [
        *[number, address, number, address, number, number],
        *[address] * 3,
        *[number] * 3,
        *[address] * 4,
    ]
    library.pointseg_pairs.restype = None
    library.pointseg_pack.argtypes = [address] + [number] * 6 + [address]
    library.pointseg_pack.restype = None
    library.pointseg_convolve.restype = library.pointseg_weight.restype = number
    return library


def why_missing() -> str | None:
    """What is wrong with the C extension and what to do, or None."""
    if native_library() is not None:
        return None
    if _library() is None:
        return "its C extension was not built; install a C compiler (gcc or clang) and pointseg again"
    return _OUTDATED


@cache
def _library() -> ctypes.CDLL | None:
    spec = find_spec("pointseg.sparse._native")
    return None if spec is None or spec.origin is None else ctypes.CDLL(spec.origin)


def _contract(library: ctypes.CDLL) -> int | None:
    """The agreement that a library was built for; None for one older than agreements."""
    try:
        asked = library.pointseg_contract
    except AttributeError:
        return None
    asked.restype = ctypes.c_int64
    return int(asked())


def instruction_sets() -> dict[str, int]:
    """Name -> number of the instruction sets that the processor has for float32, narrowest first."""
    return {name: number for name, number in _sets().items() if name != _TILES}


def bfloat16_sets() -> dict[str, int]:
    """Name -> number of those for bfloat16; all but ``amx`` are there to be compared with, and slow."""
    return {name: number for name, number in _sets().items() if name in ("portable", _TILES)}


@cache
def _sets() -> dict[str, int]:
    if native_library() is None:
        return {}
    names = {number: native_library().pointseg_set_name(number) for number in range(4)}
    return {name.decode(): number for number, name in names.items() if name}


def check(failed: int) -> None:
    """Raise what a call of the library reports.

    Raises:
        MemoryError: if it was out of memory.
    """
    if failed:
        raise MemoryError("The sparse engine found no memory for its buffers.")
