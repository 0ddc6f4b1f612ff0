"""BackboneConfig: what a row of the table of networks has to say of itself."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import nn

from pointseg.config import Config


class BackboneConfig(Config):
    """Base of the networks' options; each derives from it and adds ``type: Literal[...]``.

    Attributes:
        kind: what the network sees, ``scans`` or ``images``.
    """

    kind: ClassVar[Literal["scans", "images"]] = "scans"

    def build(self, in_channels: int) -> nn.Module:
        """A module with ``rows(batch)`` -> (M, D) and ``out_channels`` = D."""
        raise TypeError(f"{type(self).__name__} must define build(in_channels).")

    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The layers from input to output, for ``optimizer.layer_decay``: globs of parameter names of each.

        Names are those inside the network, such as ``block1.*``. Empty where the order is not told.
        """
        return ()

    def trained(self) -> BackboneConfig:
        """The options with which to build a network whose weights come from a checkpoint."""
        return self
