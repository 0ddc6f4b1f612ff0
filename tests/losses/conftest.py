"""Supervised rows to try losses on, one fixture for all methods."""

from collections.abc import Callable

import pytest
import torch

from pointseg.core.rows import Branch, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.core.surroundings import Surroundings

NUM_CLASSES, NUM_FEATURES, NUM_ROWS = 5, 6, 24


@pytest.fixture
def statistics() -> ClassStatistics:
    """A long tail over 10 samples; class 3 never occurs."""
    return ClassStatistics(torch.tensor([900, 90, 9, 0, 1]), torch.tensor([10, 9, 3, 0, 1]), 10)


def line_table(sample: torch.Tensor) -> torch.Tensor:
    """(3, N) rows before, at and after each row of a sample, as cells around it; -1 beyond its ends."""
    row = torch.arange(len(sample), dtype=torch.int32)
    before, after = row - 1, row + 1
    joined = sample[1:] == sample[:-1]
    before[1:][~joined], after[:-1][~joined] = -1, -1
    before[:1], after[-1:] = -1, -1
    return torch.stack([before, row, after])


@pytest.fixture
def make_rows() -> Callable[..., Supervised]:
    """``make_rows(rows=24)``: random rows of all classes, with everything a method may ask for."""

    def make(
        rows: int = NUM_ROWS,
        dtype: torch.dtype = torch.float64,
        progress: float = 0.5,
        branches: int = 1,
    ) -> Supervised:
        generator = torch.Generator().manual_seed(7)

        def normal(*shape: int) -> torch.Tensor:
            return torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype)

        plain = Branch(normal(rows, NUM_CLASSES).requires_grad_(), 0.75 if branches == 2 else 1.0)
        further = Branch(normal(rows, NUM_CLASSES).requires_grad_(), 0.25, torch.tensor([2]))
        sample = torch.arange(rows) * 2 // max(rows, 1)
        return Supervised(
            branches=(plain, further)[:branches],
            labels=torch.arange(rows) % NUM_CLASSES,
            sample=sample,
            num_samples=2,
            features=normal(rows, NUM_FEATURES).requires_grad_(),
            classifier_weight=normal(NUM_CLASSES, NUM_FEATURES).requires_grad_(),
            progress=progress,
            surroundings=Surroundings.of(line_table(sample), torch.arange(rows)),
        )

    return make
