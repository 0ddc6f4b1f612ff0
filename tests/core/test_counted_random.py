"""Random numbers of a seed and a place, against plain Python integers, which have no device."""

import pytest
import torch

from pointseg.core.counted_random import random_below, random_words

CPU = torch.device("cpu")
MASK = (1 << 64) - 1


def splitmix64(seed: int, count: int) -> list[int]:
    words, state = [], seed & MASK
    for _ in range(count):
        state = (state + 0x9E3779B97F4A7C15) & MASK
        z = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & MASK
        z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
        words.append(z ^ (z >> 31))
    return words


@pytest.mark.parametrize("seed", [0, 1, 1234567, 2**63 - 1, 2**63, 2**64 - 1])
def test_words_are_those_of_splitmix64(seed: int) -> None:
    assert [word & MASK for word in random_words(seed, 50, CPU).tolist()] == splitmix64(seed, 50)


def test_the_published_first_words_of_seed_1234567() -> None:
    words = [word & MASK for word in random_words(1234567, 2, CPU).tolist()]
    assert words == [6457827717110365317, 3203168211198807973]


def test_numbers_below_a_limit_are_the_upper_bits_times_the_limit() -> None:
    limits = [1, 2, 3, 7, 1000, 2**31 - 1, 2**31]
    expected = [(word >> 33) * limit >> 31 for word, limit in zip(splitmix64(9, 7), limits, strict=True)]
    assert random_below(torch.tensor(limits), 9).tolist() == expected


def test_all_numbers_below_a_limit_come_equally_often() -> None:
    counts = torch.bincount(random_below(torch.full((70_000,), 7), 3), minlength=7)
    # Six degrees of freedom: beyond 22.5 lies one in a thousand.
    assert ((counts - 10_000).square() / 10_000).sum().item() < 22.5


def test_no_operation_takes_floating_point_numbers() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    class OnlyIntegers(TorchDispatchMode):
        def __torch_dispatch__(self, function, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            result = function(*args, **(kwargs or {}))
            assert not result.is_floating_point()
            return result

    with OnlyIntegers():
        random_below(torch.tensor([5, 6]), 4)
