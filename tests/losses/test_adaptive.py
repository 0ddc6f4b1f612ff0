"""PAT: the row weight, and fairness over classes."""

import math

import pytest
import torch
import torch.nn.functional as F
from losses import oracles
from torch import Tensor

from pointseg.losses import ClassMeanCrossEntropy, ClassPrior, PixelAdaptive
from pointseg.losses.adaptive import adaptive_row_losses
from pointseg.losses.cross_entropy import CrossEntropy
from pointseg.losses.facts import BatchFacts

#: Six classes: 2 and 5 are absent, 3 has one row, two rows are ignored.
LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 0, 4, 4, -100, 0, 1])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def weight(p: Tensor) -> Tensor:
    """beta of a row with true-class probability p: its loss over its cross entropy."""
    return adaptive_row_losses(-p.log()) / -p.log()


def test_the_weight_runs_from_1_3591_down_to_one_half() -> None:
    p = torch.linspace(1e-9, 1 - 1e-9, 101, dtype=torch.float64)
    beta = weight(p)
    assert float(beta[0]) == pytest.approx(1.3591, abs=1e-4) and float(beta[-1]) == pytest.approx(0.5)
    assert bool((beta.diff() < 0).all())


def test_the_loss_decreases_in_the_true_probability() -> None:
    p = torch.linspace(1e-6, 1, 200, dtype=torch.float64)
    assert bool((adaptive_row_losses(-p.log()).diff() < 0).all())


def gradient_ratio(p: float, detach: bool) -> float:
    """Gradient at the true logit, over that of cross entropy, for two classes with p_y = p."""
    logits = torch.tensor([[math.log(p), math.log(1 - p)]], dtype=torch.float64, requires_grad=True)
    loss = PixelAdaptive(homogenize="none", detach=detach)(logits, torch.tensor([0]))
    (got,) = torch.autograd.grad(loss, logits)
    (plain,) = torch.autograd.grad(F.cross_entropy(logits, torch.tensor([0])), logits)
    return float(got[0, 0] / plain[0, 0])


@pytest.mark.parametrize(("p", "ratio"), [(0.01, 1.408), (1 / math.e, 1.287), (0.999, 0.501)])
def test_the_attached_gradient_has_the_known_ratio_to_cross_entropy(p: float, ratio: float) -> None:
    assert gradient_ratio(p, detach=False) == pytest.approx(ratio, abs=6e-4)


@pytest.mark.parametrize("p", [0.01, 0.5, 0.999])
def test_the_detached_gradient_has_the_ratio_beta(p: float) -> None:
    assert gradient_ratio(p, detach=True) == pytest.approx(math.exp(1 - p) / 2)


@pytest.mark.parametrize("homogenize", ["none", "mean", "gradient_norm"])
@pytest.mark.parametrize("detach", [False, True])
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_value_and_gradient_equal_the_loops(homogenize: str, detach: bool, temperature: float) -> None:
    logits = (2 * normal(12, 6)).requires_grad_()
    adaptive = PixelAdaptive(homogenize=homogenize, detach=detach, temperature=temperature)
    loss = adaptive(logits, LABELS)
    expected = oracles.pat(logits, LABELS.tolist(), homogenize, temperature, detach)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.autograd.grad(expected, logits)[0])


@pytest.mark.parametrize(
    "options", [{"homogenize": "none"}, {"homogenize": "mean"}, {"homogenize": "mean", "temperature": 3.0}]
)
def test_the_module_passes_gradcheck(options: dict[str, object]) -> None:
    adaptive = PixelAdaptive(**options)  # type: ignore[arg-type]
    assert torch.autograd.gradcheck(lambda z: adaptive(z, LABELS), normal(12, 6).requires_grad_())


def test_the_class_prior_runs_from_class_means_to_the_row_mean() -> None:
    logits = normal(12, 6)
    rows = PixelAdaptive(homogenize="none")(logits, LABELS)
    frequency = PixelAdaptive(homogenize="mean", prior=ClassPrior(1.0))(logits, LABELS)
    torch.testing.assert_close(frequency, rows)
    assert abs(float(PixelAdaptive(homogenize="mean")(logits, LABELS) - rows)) > 1e-3


@pytest.mark.parametrize("homogenize", ["mean", "gradient_norm"])
def test_duplicating_a_class_changes_nothing(homogenize: str) -> None:
    logits, twice = normal(12, 6), torch.cat([torch.arange(12), torch.nonzero(LABELS == 4).squeeze(1)])
    adaptive = PixelAdaptive(homogenize=homogenize)
    torch.testing.assert_close(adaptive(logits[twice], LABELS[twice]), adaptive(logits, LABELS))


def class_gradient_norms(adaptive: PixelAdaptive, logits: Tensor) -> Tensor:
    logits = logits.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(adaptive(logits, LABELS), logits)
    return torch.stack([gradient[c == LABELS].sum(0).norm() for c in (0, 1, 3, 4)])


def test_gradient_norm_makes_the_cross_entropy_of_the_classes_equally_strong() -> None:
    logits = (2 * normal(12, 6)).requires_grad_()
    adaptive = PixelAdaptive()
    rows = F.cross_entropy(logits, LABELS, ignore_index=-100, reduction="none")
    (plain,) = torch.autograd.grad(rows.sum(), logits)
    gradient = torch.stack([plain[c == LABELS].sum(0) for c in range(6)])
    counts = torch.tensor([4, 3, 0, 1, 2, 0])
    facts = BatchFacts(counts, counts, torch.tensor(1))
    weights = adaptive.class_weights(gradient, facts)
    strength = (weights * gradient.norm(dim=1) / counts.clamp(min=1))[[0, 1, 3, 4]]
    torch.testing.assert_close(strength, strength[:1].expand(4))
    unweighted = gradient.norm(dim=1)[[0, 1, 3, 4]] / counts[[0, 1, 3, 4]]
    assert float(unweighted.max() / unweighted.min()) > 1.2


def test_the_class_weight_of_gradient_norm_is_capped() -> None:
    logits = normal(12, 6)
    logits[LABELS == 3, 3] += 40  # certain: no gradient left
    loss = PixelAdaptive(homogenize="gradient_norm", max_weight=2.0)(logits, LABELS)
    assert bool(torch.isfinite(loss))
    norms = class_gradient_norms(PixelAdaptive(homogenize="gradient_norm", max_weight=2.0), logits)
    assert bool(norms.isfinite().all())


def test_classes_that_are_all_certain_have_no_weight_to_share() -> None:
    logits = torch.full((2, 2), -1e3, dtype=torch.float64)
    logits[[0, 1], [0, 1]] = 1e3
    assert float(PixelAdaptive(homogenize="gradient_norm")(logits, torch.tensor([0, 1]))) == 0.0


def trained_logits(steps: int) -> tuple[Tensor, Tensor]:
    """Logits of a linear classifier after some steps of class-mean cross entropy on a long tail."""
    labels = torch.arange(6).repeat_interleave(torch.tensor([400, 200, 100, 50, 20, 5]))
    features = 1.2 * normal(6, 8, seed=3)[labels] + normal(len(labels), 8, seed=4)
    weight = torch.zeros(6, 8, dtype=torch.float64, requires_grad=True)
    moves = torch.optim.Adam([weight], lr=0.05)
    for _ in range(steps):
        loss = ClassMeanCrossEntropy()(features @ weight.T, labels)
        (weight.grad,) = torch.autograd.grad(loss, weight)
        moves.step()
    return (features @ weight.T).detach(), labels


def cosine(first: torch.nn.Module, second: torch.nn.Module, logits: Tensor, labels: Tensor) -> float:
    logits = logits.clone().requires_grad_()
    a, b = (torch.autograd.grad(loss(logits, labels), logits)[0].flatten() for loss in (first, second))
    return float(torch.nn.functional.cosine_similarity(a, b, dim=0))


def test_at_even_scores_pat_is_class_mean_cross_entropy_and_says_so() -> None:
    logits, labels = trained_logits(0)
    assert cosine(PixelAdaptive(), ClassMeanCrossEntropy(), logits, labels) > 0.9999
    assert "at random weights every form is class-mean cross entropy" in " ".join(
        str(PixelAdaptive.__doc__).split()
    )


def test_later_both_parts_of_pat_matter() -> None:
    logits, labels = trained_logits(150)
    adaptive = PixelAdaptive()
    assert cosine(adaptive, ClassMeanCrossEntropy(), logits, labels) < 0.99
    assert cosine(adaptive, PixelAdaptive(homogenize="none"), logits, labels) < 0.99
    # A sure row of a class that weighs much: PCLA halves it, homogenisation does not.
    assert cosine(PixelAdaptive(homogenize="none"), CrossEntropy(), logits, labels) < 0.9999


@pytest.mark.parametrize("homogenize", ["none", "mean", "gradient_norm"])
@pytest.mark.parametrize("labels", [torch.full((4,), -100), torch.zeros(0, dtype=torch.int64)])
def test_without_a_labelled_row_the_loss_is_a_connected_zero(homogenize: str, labels: Tensor) -> None:
    adaptive = PixelAdaptive(homogenize=homogenize)
    logits = torch.randn(len(labels), 3, requires_grad=True)
    loss = adaptive(logits, labels)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert logits.grad is not None and not logits.grad.any()


@pytest.mark.parametrize("homogenize", ["none", "mean", "gradient_norm"])
def test_images_are_rows_in_another_layout(homogenize: str) -> None:
    logits = normal(2, 4, 3, 5)
    labels = torch.randint(0, 4, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    labels[0, 0] = 255
    rows, flat = logits.permute(0, 2, 3, 1).reshape(-1, 4), torch.where(labels == 255, -100, labels).flatten()
    expected = PixelAdaptive(homogenize=homogenize)(rows, flat)
    torch.testing.assert_close(
        PixelAdaptive(homogenize=homogenize, ignore_index=255)(logits, labels), expected
    )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.zeros(70_000, 3, dtype=dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = PixelAdaptive(homogenize="gradient_norm")(logits, torch.zeros(70_000, dtype=torch.int64))
    loss.backward()
    expected = 0.5 * math.exp(1 - 1 / 3) * math.log(3)
    assert loss.dtype == torch.float32 and float(loss.detach()) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, "temperature must be a positive number"),
        ({"temperature": math.nan}, "temperature must be a positive number"),
        ({"homogenize": "median"}, "homogenize must be none, mean or gradient_norm"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PixelAdaptive(**options)  # type: ignore[arg-type]


def test_a_label_that_is_no_class_is_refused_with_a_hint() -> None:
    with pytest.raises(ValueError, match=r"got \[255\].*pass it as ignore_index"):
        PixelAdaptive()(normal(2, 6), torch.tensor([0, 255]))
