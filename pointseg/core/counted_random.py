"""Random numbers from a seed and a place: the same on every device, in any order, without a generator."""

from __future__ import annotations

import torch
from torch import Tensor

_WORD = 1 << 64
#: Odd numbers of splitmix64 as signed 64-bit integers; products of int64 wrap alike on every device.
_STEP, _FIRST, _SECOND = (
    number - _WORD for number in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


def random_words(seed: int, count: int, device: torch.device) -> Tensor:
    """(count,) int64: words number 1 to ``count`` of the stream of splitmix64 that begins at ``seed``.

    Args:
        seed: any integer; taken modulo 2^64.
        count: how many.
        device: where to make them.

    Source: Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", OOPSLA 2014.
    """
    start = (seed + _WORD // 2) % _WORD - _WORD // 2
    word = torch.arange(1, count + 1, device=device) * _STEP + start
    word = (word ^ _shifted(word, 30)) * _FIRST
    word = (word ^ _shifted(word, 27)) * _SECOND
    return word ^ _shifted(word, 31)


def random_below(limits: Tensor, seed: int) -> Tensor:
    """(N,) int64 numbers, number i drawn evenly from 0..limits[i]-1, with integers alone.

    Args:
        limits: (N,) int64 in 1..2^31.
        seed: any integer.
    """
    # The upper 31 bits: their product with a limit fits in 63.
    return (_shifted(random_words(seed, len(limits), limits.device), 33) * limits) >> 31


def _shifted(word: Tensor, bits: int) -> Tensor:
    """Right shift that brings in zeros, also for negative numbers."""
    return (word >> bits) & ((1 << (64 - bits)) - 1)
