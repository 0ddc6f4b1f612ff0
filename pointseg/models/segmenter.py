"""Segmenter: backbone and head, from a batch to class scores for each of its rows, voxels or pixels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace

import torch
from torch import Tensor, nn

from pointseg.core.batch import Batch, labels_of
from pointseg.core.prediction import FeatureMap, Prediction
from pointseg.core.rows import MAIN
from pointseg.models.heads import Head, HeadConfig, LinearHeadConfig, follow_norms
from pointseg.models.precision import EXACT, Precision
from pointseg.sparse.engines import AUTO, using_engine


class Segmenter(nn.Module):
    """A backbone followed by a head; it owns every learned parameter of the network.

    Args:
        backbone: ``rows(batch)`` gives (M, D) features of the batch's rows, or a FeatureMap of images; has
            ``out_channels`` = D, and may have ``nonnegative``, see :class:`pointseg.models.heads.Head`, and
            ``prepared(batch)``, see :meth:`prepared`.
        num_classes: K.
        head: options of the head; a linear classifier unless told otherwise.
        engine: what convolves; ``auto`` leaves it to the setting of pointseg.sparse.
        precision: in which types it computes in evaluation mode; in training that is the step's affair.
        others: name -> number of classes and options of further heads on the same features.
        reads: name of such a head -> inner features of the backbone that it reads instead, in training alone;
            in evaluation mode it says nothing.

    Attributes:
        feature_channels: channels of the features that a prediction holds: those of the head's embedding
            where it has one, or else D.
    """

    head: Head
    evaluation_offset: Tensor | None

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        head: HeadConfig | None = None,
        *,
        engine: str = AUTO,
        precision: Precision = EXACT,
        others: Mapping[str, tuple[int, HeadConfig]] | None = None,
        reads: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        self.reads = dict(reads or {})
        self.backbone = backbone
        self.engine = engine
        self.precision = precision
        self.num_classes = num_classes
        channels = int(backbone.out_channels)  # type: ignore[arg-type]
        self.head = (head or LinearHeadConfig()).build(channels, num_classes)
        # Keys of the main head's weights are head.*, as in runs with no other.
        inner: Mapping[str, int] = getattr(backbone, "inner_channels", {})
        read_channels = {name: inner[read] for name, read in self.reads.items()}
        self.others = nn.ModuleDict(
            {
                name: config.build(read_channels.get(name, channels), number)
                for name, (number, config) in (others or {}).items()
            }
        )
        for name, made in self.heads.items():
            made.nonnegative = None if name in self.reads else getattr(backbone, "nonnegative", None)
            follow_norms(made, backbone)
        self.feature_channels = self.head.embedding_dim or channels
        self.channels_of = {
            name: made.embedding_dim or read_channels.get(name, channels) for name, made in self.heads.items()
        }
        self.classes_of = {MAIN: num_classes} | {name: number for name, (number, _) in (others or {}).items()}
        # Not among the weights: it follows from the configuration and the training set.
        self.register_buffer("evaluation_offset", None, persistent=False)

    @property
    def heads(self) -> dict[str, Head]:
        """All heads by name, the main one first."""
        return {MAIN: self.head, **self.others}  # type: ignore[dict-item]

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

    def prepared(self, batch: Batch) -> Batch:
        """The batch with what the backbone can make of it before its forward pass, if it can make anything.

        For whoever makes batches in a thread of his own: he then waits for it, and the step does not.
        """
        prepare: Callable[[Batch], Batch] | None = getattr(self.backbone, "prepared", None)
        if prepare is None:
            return batch
        with self._convolving():
            return prepare(batch)

    def forward(
        self, batch: Batch, progress: float = 0.0, present: Mapping[str, Tensor] | None = None
    ) -> Prediction:
        """Prediction with one row for each voxel or pixel of the batch, in the batch's order.

        Args:
            batch: the input.
            progress: share of the training that is done.
            present: head -> (K,) bool, classes with a row in the whole batch of the step; see Head.
        """
        with nullcontext() if self.training else self.precision.used_on(batch.labels.device):
            predictions = self._of_all_heads(batch, progress, present or {})
        main = predictions.pop(MAIN)
        if not self.training and self.evaluation_offset is not None:
            first = replace(main.branches[0], logits=main.logits + self.evaluation_offset)
            main = replace(main, branches=(first, *main.branches[1:]))
        return replace(main, others=predictions) if predictions else main

    def _of_all_heads(
        self, batch: Batch, progress: float, present: Mapping[str, Tensor]
    ) -> dict[str, Prediction]:
        with self._convolving(), self._gradients():
            found: Tensor | FeatureMap = self.backbone.rows(batch)  # type: ignore[operator]
        predictions: dict[str, Prediction] = {}
        for name, head in self.heads.items():
            if name in self.reads and not self.training:
                continue
            # Only a head that trains may look at labels, and not every data set has those of each head.
            labels = labels_of(batch, name) if self.training or name == MAIN else batch.labels
            predictions[name] = self._of_head(name, head, found, batch, labels, progress, present.get(name))
        return predictions

    def _of_head(
        self,
        name: str,
        head: Head,
        found: Tensor | FeatureMap,
        batch: Batch,
        labels: Tensor,
        progress: float,
        present: Tensor | None,
    ) -> Prediction:
        if not isinstance(found, FeatureMap):
            more = {"sizes": batch.rows_of_samples()} if head.by_sample else {}
            of_rows: Prediction = head(found, labels, progress, present, **more)
            return of_rows
        read = found.inner[self.reads[name]] if name in self.reads else found
        more = {"sizes": read.rows_of_images()} if head.by_sample else {}
        labels = read.reduced(labels) if head.by_sample else labels
        made: Prediction = head(read.rows, labels, progress, present, **more)
        return made.enlarged(read)

    def _convolving(self) -> AbstractContextManager[object]:
        return nullcontext() if self.engine == AUTO else using_engine(self.engine)

    def _gradients(self) -> AbstractContextManager[object]:
        """None while a backbone trains that is frozen whole: it folds its norms and keeps no activations."""
        parameters = list(self.backbone.parameters()) if self.training else []
        frozen = bool(parameters) and not any(parameter.requires_grad for parameter in parameters)
        return torch.no_grad() if frozen else nullcontext()
