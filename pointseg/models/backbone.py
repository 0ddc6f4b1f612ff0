"""BackboneConfig: what a row of the table of networks has to say of itself."""

from __future__ import annotations

from typing import ClassVar

from torch import nn

from pointseg.config import Config


class BackboneConfig(Config):
    """Base of the networks' options; each derives from it and adds ``type: Literal[...]``.

    Attributes:
        kind: the kind of data that the network sees, see :class:`pointseg.data.kind.Kind`.
        is_sparse: whether its convolutions are those of pointseg.sparse: ``engine`` then says who computes.
    """

    kind: ClassVar[str] = "scans"
    is_sparse: ClassVar[bool] = False

    def build(self, in_channels: int) -> nn.Module:
        """A module with ``rows(batch)`` -> (M, D), or a FeatureMap of images, and ``out_channels`` = D.

        With a method ``recompute_activations()`` it can be trained with ``train.activation_checkpointing``.
        """
        raise TypeError(f"{type(self).__name__} must define build(in_channels).")

    def inner_features(self) -> tuple[str, ...]:
        """Names of features from within the network that it gives in training, see FeatureMap.inner.

        The network tells their channels: ``inner_channels``, name -> D.
        """
        return ()

    def layers(self) -> tuple[tuple[str, ...], ...]:
        """The layers from input to output, for ``optimizer.layer_decay``: globs of parameter names of each.

        Names are those inside the network, such as ``block1.*``. Empty where the order is not told.
        """
        return ()

    def trained(self) -> BackboneConfig:
        """The options with which to build a network whose weights come from a checkpoint."""
        return self
