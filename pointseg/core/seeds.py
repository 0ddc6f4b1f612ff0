"""Seeds and generators that follow from a key alone, so that a resumed run draws what it would have drawn."""

from __future__ import annotations

import numpy as np
import torch


def derived_seed(*key: int) -> int:
    """A seed that follows from ``key`` alone, so that a resumed run draws what it would have drawn."""
    return int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0] >> np.uint64(1))


def seeded_generator(device: torch.device, *key: int) -> torch.Generator:
    """A generator whose state depends on ``key`` alone; keys that differ anywhere are unrelated.

    Raises:
        ValueError: if a part of the key is negative.
    """
    if min(key) < 0:
        raise ValueError(f"A seed must not be negative; got {min(key)}.")
    state = np.random.SeedSequence(key).generate_state(1, np.uint64)[0]
    return torch.Generator(device).manual_seed(int(state))
