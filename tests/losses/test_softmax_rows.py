"""Cross entropy and probabilities of rows, chunk by chunk, against torch's own."""

import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from pointseg.losses import CenterCollapse, PixelAdaptive, TiltedCrossEntropy, softmax_rows
from pointseg.losses.softmax_rows import class_logit_gradients, class_probability, row_cross_entropy

Loss = Callable[[Tensor], Tensor]


@pytest.fixture(params=[7, 10_000], ids=["many chunks", "one chunk"])
def _chunks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(softmax_rows, "CHUNK_NUMBERS", request.param)


def normal(*shape: int) -> Tensor:
    values = torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return (3 * values).requires_grad_()


def same(ours: Loss, known: Loss, logits: Tensor) -> None:
    """Values and gradients for a random upstream gradient are equal."""
    got, want = ours(logits), known(logits)
    torch.testing.assert_close(got, want)
    upstream = torch.rand_like(want)
    torch.testing.assert_close(
        torch.autograd.grad(got, logits, upstream)[0], torch.autograd.grad(want, logits, upstream)[0]
    )


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize(
    ("logits", "labels"),
    [
        (normal(9, 4), torch.tensor([0, 1, 2, 3, -100, 0, 0, -100, 3])),
        (normal(3, 4, 2, 2), torch.arange(12).reshape(3, 2, 2) % 5 - 1),
        (normal(3, 2, 2, 4).movedim(-1, 1), torch.arange(12).reshape(3, 2, 2) % 4),
    ],
    ids=["rows", "images", "images with channels last"],
)
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_row_cross_entropy_is_torchs(logits: Tensor, labels: Tensor, temperature: float) -> None:
    same(
        lambda z: row_cross_entropy(z, labels, temperature=temperature),
        lambda z: F.cross_entropy(z / temperature, labels.masked_fill(labels < 0, -100), reduction="none"),
        logits,
    )


@pytest.mark.usefixtures("_chunks")
@pytest.mark.parametrize("logits", [normal(9, 4), normal(3, 4, 2, 2)])
@pytest.mark.parametrize("classes", [[1], [0, 3], [0, 1, 2, 3]])
def test_class_probability_is_a_sum_of_the_softmax(logits: Tensor, classes: list[int]) -> None:
    chosen = torch.tensor(classes)
    same(
        lambda z: class_probability(z, chosen),
        lambda z: z.softmax(1).index_select(1, chosen).sum(1),
        logits,
    )


@pytest.mark.usefixtures("_chunks")
def test_class_gradients_are_those_of_autograd() -> None:
    logits, labels = normal(9, 4), torch.tensor([0, 1, 2, 0, -100, 0, 0, -100, 2])
    slope = torch.rand(9, dtype=torch.float64)
    (rows,) = torch.autograd.grad(F.cross_entropy(logits / 2, labels, reduction="none"), logits, slope)
    expected = torch.stack([rows[labels == c].sum(0) for c in range(4)])
    torch.testing.assert_close(class_logit_gradients(logits, labels, slope, temperature=2.0), expected)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_logits_give_float32_losses_and_half_gradients(dtype: torch.dtype) -> None:
    logits = normal(9, 4).detach().to(dtype).requires_grad_()
    losses = row_cross_entropy(logits, torch.arange(9) % 4)
    losses.sum().backward()
    assert losses.dtype == torch.float32 and logits.grad is not None and logits.grad.dtype == dtype


class Blocks(TorchDispatchMode):
    """Counts the memory blocks as large as ``like`` that are in use at once, its own included."""

    def __init__(self, like: Tensor) -> None:
        super().__init__()
        self.size, self.most = like.untyped_storage().nbytes(), 0
        self.used: set[int] = set()
        self._count(like)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else (out,):
            if isinstance(tensor, Tensor):
                self._count(tensor)
        return out

    def _count(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        if storage.nbytes() >= self.size and storage.data_ptr() not in self.used:
            self.used.add(storage.data_ptr())
            self.most = max(self.most, len(self.used))
            weakref.finalize(storage, self.used.discard, storage.data_ptr())


def most_blocks(loss: Callable[[Tensor, Tensor], Tensor], rows: int, channels: int) -> int:
    """Blocks of the size of the input (rows, channels), itself included, through forward and backward."""
    values = torch.randn(rows, channels, requires_grad=True)
    labels = torch.arange(rows) % 10
    with Blocks(values) as blocks:
        loss(values, labels).backward()
    return blocks.most


@pytest.mark.parametrize(
    "loss",
    [
        PixelAdaptive(homogenize="gradient_norm", temperature=2.0),
        TiltedCrossEntropy(1.0, solver="running_weights"),
        TiltedCrossEntropy(1.0, level="hierarchical"),
    ],
)
def test_beyond_the_logits_only_their_gradient_is_whole(
    loss: torch.nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(softmax_rows, "CHUNK_NUMBERS", 5000)
    assert most_blocks(loss, 4000, 10) == 2
    assert most_blocks(F.cross_entropy, 4000, 10) == 4, "the meter is right about torch's own"


def test_beyond_the_features_only_their_gradient_is_whole() -> None:
    assert most_blocks(CenterCollapse(10, 32, projection="frozen"), 20_000, 32) == 2
