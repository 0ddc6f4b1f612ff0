"""The C extension of the sparse engine, called through ctypes: Python's lock is free meanwhile."""

from __future__ import annotations

import ctypes
from functools import cache
from importlib.util import find_spec
from typing import Any

#: The set that has products of tiles, in bfloat16 alone.
_TILES = "amx"


@cache
def native_library() -> Any:
    """The C extension through ctypes, or None where it was not built."""
    spec = find_spec("pointseg.sparse._native")
    if spec is None or spec.origin is None:
        return None
    library = ctypes.CDLL(spec.origin)
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
