"""Exponential moving average of a network's weights."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage(nn.Module):
    """A copy of a network whose weights trail it: average <- d average + (1 - d) weights after each step.

    Args:
        network: the network that trains.
        decay: d in [0, 1). Step n uses min(d, (1 + n) / (10 + n)), so that the average soon forgets the
            initial weights.
    """

    num_updates: Tensor

    def __init__(self, network: nn.Module, decay: float) -> None:
        super().__init__()
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self.decay = decay
        device = next(network.parameters()).device
        # Where the weights are: a counter of the host would be copied to a GPU and back in every step.
        self.register_buffer("num_updates", torch.zeros((), dtype=torch.int64, device=device))

    @torch.no_grad()
    def update(self, network: nn.Module, *, unless: Tensor | None = None) -> None:
        """Move towards ``network``. Buffers (running statistics) are averages already and are copied.

        Args:
            network: the network that trains.
            unless: a scalar bool; where it is true on the device, this counts as no update.
        """
        counts = torch.ones_like(self.num_updates) if unless is None else (~unless).to(self.num_updates)
        done = self.num_updates.double()
        decay = ((1 + done) / (10 + done)).clamp(max=self.decay)
        # On the device: the host need not know how many steps were skipped so far.
        share = ((1.0 - decay) * counts).float()
        for average, current in zip(self.network.parameters(), network.parameters(), strict=True):
            average.lerp_(current, share.to(average.dtype))
        for mine, theirs in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(theirs)
        self.num_updates += counts
