"""Top-k cross entropy: which rows it keeps."""

import math

import pytest
import torch

from pointseg.losses.top_k import TopKCrossEntropy

#: Rows of two classes with label 0 that cost 4, 1, 3, 2 nats.
COSTS = (4.0, 1.0, 3.0, 2.0)
LOGITS = torch.tensor([[0.0, math.log(math.expm1(c))] for c in COSTS], dtype=torch.float64)
LABELS = torch.zeros(4, dtype=torch.int64)


def loss(**options: float | int | None) -> float:
    return TopKCrossEntropy(**options)(LOGITS, LABELS).item()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({"fraction": 0.25}, [4]),
        ({"fraction": 0.3}, [4, 3]),
        ({"fraction": 1.0}, [4, 3, 2, 1]),
        ({"fraction": 0.0}, [4]),
        ({"fraction": 0.0, "min_rows": 3}, [4, 3, 2]),
        ({"fraction": 0.0, "min_rows": 100}, [4, 3, 2, 1]),
        ({"fraction": 0.0, "threshold": math.exp(-1.5)}, [4, 3, 2]),
        ({"fraction": 0.0, "threshold": 1e-9}, [4]),
    ],
)
def test_the_costliest_rows_are_kept(options: dict[str, float], kept: list[int]) -> None:
    assert loss(**options) == pytest.approx(sum(kept) / len(kept))


def test_the_rows_that_are_left_out_get_no_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    TopKCrossEntropy(0.5)(logits, LABELS).backward()
    assert logits.grad is not None
    assert logits.grad.abs().sum(1).gt(0).tolist() == [True, False, True, False]


@pytest.mark.parametrize("options", [{"fraction": 2.0}, {"min_rows": 0}, {"threshold": 0.0}])
def test_a_mistake_is_named(options: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(options))} must"):
        loss(**options)
