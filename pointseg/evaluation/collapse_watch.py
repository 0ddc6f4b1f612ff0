"""CollapseWatch: neural-collapse diagnostics of whatever a network predicts for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from pointseg.core.batch import Batch
from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import Prediction
from pointseg.evaluation.collapse import CollapseReport, CollapseSums


class CollapseWatch:
    """Adds up the labelled voxels of every batch that a segmenter predicts while it is watched.

    Args:
        segmenter: maps a Batch to a Prediction; has ``feature_channels``.
        label_space: its classes.
        device: where it runs.
    """

    def __init__(self, segmenter: nn.Module, label_space: LabelSpace, device: torch.device) -> None:
        self.segmenter, self.label_space = segmenter, label_space
        self.sums = CollapseSums(label_space.num_classes, int(segmenter.feature_channels), device)  # type: ignore[arg-type]
        self._classifier_weight: Tensor | None = None

    @contextlib.contextmanager
    def watching(self) -> Iterator[None]:
        """Watch until the end of the block."""
        handle = self.segmenter.register_forward_hook(self._add)
        try:
            yield
        finally:
            handle.remove()

    def _add(self, module: nn.Module, inputs: tuple[Any, ...], prediction: Prediction) -> None:
        batch: Batch = inputs[0]
        self.sums.update(prediction.full_features(), prediction.logits, batch.labels)
        self._classifier_weight = prediction.classifier_weight

    def report(self, processes: Processes | None = None) -> CollapseReport:
        """The diagnostics over the batches of all processes."""
        if processes is not None:
            self.sums.values = processes.sum(self.sums.values)
        return CollapseReport.from_sums(self.sums, self._classifier_weight, self.label_space)
