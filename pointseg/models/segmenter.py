"""Segmenter: backbone and head, from a batch to class scores for each of its rows, voxels or pixels."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import replace

from torch import Tensor, nn

from pointseg.core.batch import Batch
from pointseg.core.prediction import Prediction
from pointseg.models.heads import Head, HeadConfig, LinearHeadConfig
from pointseg.sparse.engines import AUTO, using_engine


class Segmenter(nn.Module):
    """A backbone followed by a head; it owns every learned parameter of the network.

    Args:
        backbone: ``rows(batch)`` gives (M, D) features of the batch's rows; has ``out_channels`` = D, and may
            have ``nonnegative``, see :class:`pointseg.models.heads.Head`.
        num_classes: K.
        head: options of the head; a linear classifier unless told otherwise.
        engine: what convolves; ``auto`` leaves it to the setting of pointseg.sparse.

    Attributes:
        feature_channels: channels of the features that a prediction holds: those of the head's embedding
            where it has one, or else D.
    """

    head: Head
    evaluation_offset: Tensor | None

    def __init__(
        self, backbone: nn.Module, num_classes: int, head: HeadConfig | None = None, *, engine: str = AUTO
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.engine = engine
        self.num_classes = num_classes
        channels = int(backbone.out_channels)  # type: ignore[arg-type]
        self.head = (head or LinearHeadConfig()).build(channels, num_classes)
        self.head.nonnegative = getattr(backbone, "nonnegative", None)
        self.feature_channels = self.head.embedding_dim or channels
        # Not among the weights: it follows from the configuration and the training set.
        self.register_buffer("evaluation_offset", None, persistent=False)

    def adjust_logits(self, offset: Tensor) -> None:
        """Add ``offset`` (K,) to the logits in evaluation mode, from now on.

        Raises:
            ValueError: if it has not one number for each class.
        """
        if offset.shape != (self.num_classes,):
            raise ValueError(
                f"Expected {self.num_classes} offsets, one a class; got shape {tuple(offset.shape)}."
            )
        self.evaluation_offset = offset

    def recompute_activations(self) -> None:
        """In training keep few activations and compute the others again in the backward pass, from now on.

        Raises:
            ValueError: if the backbone cannot.
        """
        switch = getattr(self.backbone, "recompute_activations", None)
        if switch is None:
            raise ValueError(
                f"train.activation_checkpointing: {type(self.backbone).__name__} cannot compute activations "
                "again; set it to false, or give it a method recompute_activations()."
            )
        switch()

    def forward(self, batch: Batch, progress: float = 0.0) -> Prediction:
        """Prediction with one row for each voxel or pixel of the batch, in the batch's order."""
        with nullcontext() if self.engine == AUTO else using_engine(self.engine):
            features = self.backbone.rows(batch)  # type: ignore[operator]
        prediction: Prediction = self.head(features, batch.labels, progress)
        if self.training or self.evaluation_offset is None:
            return prediction
        return replace(prediction, logits=prediction.logits + self.evaluation_offset)
