"""BatchFacts: what is known of a step's joined batch before any loss is computed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import torch
from torch import Tensor

from pointseg.losses.class_sums import class_bins, class_counts
from pointseg.losses.processes import sum_over_processes

Key = TypeVar("Key")


@dataclass(frozen=True)
class BatchFacts:
    """Facts of the joined batch: of all processes, and of all micro-batches that one step accumulates.

    They follow from the labels alone, so they are known before the first forward pass; and they add up over
    the parts of a batch, so one message between the processes joins them. All are tensors: nothing here waits
    for a device.

    Args:
        rows: (K,) int64 labelled rows of each class.
        samples: (K,) int64 samples (scenes, images) that hold each class.
        shares: scalar int64, parts of the batch (processes times micro-batches) with a labelled row.
        progress: share of the training that is done, in [0, 1].
        ahead: preliminary results of a term that asks for some, see LossTerm; empty for all others.
    """

    rows: Tensor
    samples: Tensor
    shares: Tensor
    progress: float = 0.0
    ahead: tuple[Tensor, ...] = ()

    @classmethod
    def of(
        cls,
        labels: Tensor,
        sample: Tensor,
        *,
        num_samples: int,
        num_classes: int,
        progress: float = 0.0,
    ) -> BatchFacts:
        """Those of one part.

        Args:
            labels: (N,) int64, or (N, L) of rows with several; those outside 0..K-1 do not count.
            sample: (N,) int64 sample of each row, 0..num_samples-1.
            num_samples: B.
            num_classes: K.
            progress: share of the training that is done.
        """
        if labels.ndim == 2:
            sample, labels = sample[:, None].expand_as(labels).flatten(), labels.flatten()
        rows = class_counts(labels, num_classes, dtype=torch.int64)
        held = torch.zeros(num_samples * (num_classes + 1), dtype=torch.int64, device=labels.device)
        held = held.index_fill_(0, sample * (num_classes + 1) + class_bins(labels, num_classes), 1)
        samples = held.view(num_samples, num_classes + 1)[:, :num_classes].sum(0)
        return cls(rows, samples, (rows.sum() > 0).long(), progress)

    @property
    def num_rows(self) -> Tensor:
        """Scalar int64, labelled rows."""
        return self.rows.sum()

    @property
    def present(self) -> Tensor:
        """(K,) bool, classes with a row."""
        return self.rows > 0

    def without(self, classes: Tensor | None) -> BatchFacts:
        """The facts of the rows that are not of these (M,) classes; None for none."""
        if classes is None:
            return self
        return replace(
            self, rows=self.rows.index_fill(0, classes, 0), samples=self.samples.index_fill(0, classes, 0)
        )


def join_facts(parts: Mapping[Key, Sequence[BatchFacts]]) -> dict[Key, BatchFacts]:
    """For each key the facts of several parts as those of one batch, over all processes; one message."""
    names = ("rows", "samples", "shares")
    joined = sum_over_processes(
        {
            (key, name): torch.stack([getattr(part, name) for part in facts]).sum(0)
            for key, facts in parts.items()
            for name in names
        }
    )
    return {
        key: BatchFacts(
            rows=joined[key, "rows"],
            samples=joined[key, "samples"],
            shares=joined[key, "shares"],
            progress=facts[0].progress,
        )
        for key, facts in parts.items()
    }
