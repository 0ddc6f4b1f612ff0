"""DropClass: the loss of two sets of logits, and the head that makes them."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from losses import oracles
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.rows import Branch, Supervised
from pointseg.losses import ClassSuppression, PixelAdaptive, TiltedCrossEntropy
from pointseg.losses.ignored_probability import IgnoredProbability
from pointseg.models import ClassSuppressionHead

MakeRows = Callable[..., Supervised]

#: Six classes: 2 and 5 are absent, 3 has one row, two rows are ignored.
LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 0, 4, 4, -100, 0, 1])


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def prediction(dropped: list[int], share: float) -> Prediction:
    ignored = torch.tensor(dropped, dtype=torch.int64)
    suppressed = Branch(normal(12, 6, seed=1).requires_grad_(), share, ignored)
    return Prediction((Branch(normal(12, 6).requires_grad_(), 1 - share), suppressed), normal(12, 4))


def suppressed_logits(p: Prediction) -> Tensor:
    return p.branches[1].logits


def ignored(p: Prediction) -> list[int]:
    """Classes that the second branch leaves out."""
    classes = p.branches[1].ignored
    return [] if classes is None else classes.tolist()


@pytest.mark.parametrize("dropped", [[], [1], [2], [0, 3], [0, 1, 3, 4]])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_value_and_gradient_equal_the_loops(dropped: list[int], share: float) -> None:
    p = prediction(dropped, share)
    loss = ClassSuppression(alpha=3.0)(p, LABELS)
    both = (p.logits, suppressed_logits(p))
    expected = oracles.class_suppression(*both, LABELS.tolist(), dropped, share, 3.0)
    torch.testing.assert_close(loss, expected)
    gradients = torch.autograd.grad(loss, both)
    known = torch.autograd.grad(expected, both, allow_unused=True, materialize_grads=True)
    for got, want in zip(gradients, known, strict=True):
        torch.testing.assert_close(got, want)


def test_plain_logits_alone_have_the_loss_of_the_base() -> None:
    """As the head gives them where nothing is trained."""
    alone = Prediction(prediction([], 0.0).branches[:1], normal(12, 4))
    torch.testing.assert_close(ClassSuppression()(alone, LABELS), F.cross_entropy(alone.logits, LABELS))


def test_a_negative_weight_of_the_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="alpha must be 0 or more; got -1"):
        ClassSuppression(alpha=-1)


def test_the_penalty_of_one_labelled_row_is_its_own() -> None:
    p, one = prediction([1], 0.5), torch.full((12,), -100)
    one[4] = 0
    loss = ClassSuppression(alpha=3.0)(p, one)
    branches = [branch.logits[4].log_softmax(0) for branch in p.branches]
    expected = -0.5 * branches[0][0] - 0.5 * branches[1][0] + 3.0 * branches[1][1].exp()
    torch.testing.assert_close(loss, expected)


def test_the_loss_passes_gradcheck() -> None:
    def loss(plain: Tensor, suppressed: Tensor) -> Tensor:
        p = Prediction((Branch(plain, 0.6), Branch(suppressed, 0.4, torch.tensor([1, 2]))), plain)
        return ClassSuppression(alpha=2.0)(p, torch.tensor([0, 1, -100, 3, 1]))  # type: ignore[no-any-return]

    inputs = (normal(5, 4).requires_grad_(), normal(5, 4, seed=1).requires_grad_())
    assert torch.autograd.gradcheck(loss, inputs)


def test_at_the_start_the_loss_is_exactly_cross_entropy() -> None:
    p = prediction([], 0.0)
    torch.testing.assert_close(
        ClassSuppression()(p, LABELS), F.cross_entropy(p.logits, LABELS), rtol=1e-15, atol=1e-15
    )


def test_at_the_end_the_plain_logits_have_no_weight() -> None:
    p = prediction([1], 1.0)
    ClassSuppression()(p, LABELS).backward()
    assert p.logits.grad is not None and not p.logits.grad.any()


def test_rows_of_a_dropped_class_get_no_classification_gradient() -> None:
    p = prediction([1], 1.0)
    ClassSuppression(alpha=0.0)(p, LABELS).backward()
    gradient = suppressed_logits(p).grad
    assert gradient is not None
    assert not gradient[LABELS == 1].any() and bool(gradient[LABELS == 0].any())


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3])
def test_the_penalty_lies_between_zero_and_alpha(scale: float, make_rows: MakeRows) -> None:
    rows = make_rows()
    suppressed = Branch(scale * rows.logits, 0.5, torch.tensor([2, 4]))
    value = IgnoredProbability(7.0).of(replace(rows, branches=(*rows.branches, suppressed))).item()
    assert 0 <= value <= 7.0
    if scale == 0:
        assert value == pytest.approx(7.0 * 2 / 5)


@pytest.mark.parametrize("labels", [torch.full((12,), -100), torch.ones(12, dtype=torch.int64)])
@pytest.mark.parametrize("base", [None, PixelAdaptive(), TiltedCrossEntropy(1.0, solver="running_weights")])
def test_no_row_to_classify_gives_no_nan(labels: Tensor, base: nn.Module | None) -> None:
    p = prediction([1], 1.0)
    loss = ClassSuppression(base, alpha=0.0)(p, labels)
    loss.backward()
    assert float(loss.detach()) == 0.0
    gradient = suppressed_logits(p).grad
    assert gradient is not None and not gradient.any()


def test_any_classification_loss_can_lie_under_it() -> None:
    p = prediction([1], 0.25)
    base = PixelAdaptive()
    kept = torch.where(LABELS == 1, -100, LABELS)
    expected = 0.75 * base(p.logits, LABELS) + 0.25 * base(suppressed_logits(p), kept)
    torch.testing.assert_close(ClassSuppression(PixelAdaptive(), alpha=0.0)(p, LABELS), expected)


def test_the_branches_do_not_share_running_state() -> None:
    criterion = ClassSuppression(TiltedCrossEntropy(1.0, solver="running_weights"))
    criterion(prediction([1], 0.5), LABELS)
    state = criterion.state_dict()
    assert float(state["base.estimate"]) != float(state["dropped_base.estimate"])


def head(training: bool = True, **options: object) -> ClassSuppressionHead:
    torch.manual_seed(0)
    made = ClassSuppressionHead(4, 6, **options).double()  # type: ignore[arg-type]
    return made.train(training)


def gated(made: ClassSuppressionHead, features: Tensor, keep: Tensor) -> Tensor:
    """The gated features themselves: what an identity in place of the linear layer gives."""
    with torch.no_grad():
        made.linear.weight.copy_(torch.eye(4))
        made.linear.bias.zero_()
    return made.linear_of_gated(features, keep)


@pytest.mark.parametrize("keep", [[0, 1, 2, 3, 4, 5], [0, 2, 3, 4, 5], [3]])
def test_the_two_gates_equal_the_mean_over_classes_for_signed_features(keep: list[int]) -> None:
    features = normal(5, 4).requires_grad_()
    weight = head().classifier.weight
    marks = torch.zeros(6, dtype=torch.float64)
    marks[keep] = 1
    got, expected = gated(head(), features, marks), oracles.gated(features, weight, keep)
    torch.testing.assert_close(got, expected)
    upstream = normal(5, 4, seed=3)
    torch.testing.assert_close(
        torch.autograd.grad(got, features, upstream)[0],
        torch.autograd.grad(expected, features, upstream)[0],
    )


def test_the_gate_passes_its_gradient_to_the_classifier() -> None:
    made, features = head(), normal(5, 4)
    marks = torch.ones(6, dtype=torch.float64)
    got = torch.autograd.grad(gated(made, features, marks).square().sum(), made.classifier.weight)[0]
    expected = oracles.gated(features, made.classifier.weight, list(range(6))).square().sum()
    torch.testing.assert_close(got, torch.autograd.grad(expected, made.classifier.weight)[0])


def test_for_features_without_negative_values_it_is_the_released_gate() -> None:
    made, features = head(), normal(5, 4).abs()
    keep = torch.tensor([1.0, 0, 1, 1, 1, 1], dtype=torch.float64)
    gate = (keep[:, None] * F.relu(made.classifier.weight)).sum(0) / keep.sum()
    torch.testing.assert_close(gated(made, features, keep), features * gate)


def test_a_channel_of_the_dropped_class_alone_is_shut() -> None:
    made = head()
    with torch.no_grad():
        made.classifier.weight[:, 2] = -1.0
        made.classifier.weight[4, 2] = 1.0
    keep = torch.ones(6, dtype=torch.float64)
    features = normal(5, 4).abs()
    assert bool(gated(made, features, keep)[:, 2].all())
    keep[4] = 0
    assert not gated(made, features, keep)[:, 2].any()


def test_at_progress_zero_nothing_is_ever_dropped_and_at_one_always() -> None:
    made = head(num_dropped=2)
    for _ in range(20):
        none, two = (ignored(made(normal(5, 4), progress=p)) for p in (0.0, 1.0))
        assert none == [] and len(set(two)) == 2


def test_classes_are_dropped_as_often_as_the_training_is_far() -> None:
    made = head()
    torch.manual_seed(0)
    drawn = [made._draw(None, 0.3, torch.device("cpu")).tolist() for _ in range(600)]
    assert sum(map(len, drawn)) / 600 == pytest.approx(0.3, abs=0.05)
    assert {c for classes in drawn for c in classes} == set(range(6))


def test_classes_can_be_drawn_from_those_present() -> None:
    made = head(sample_from="present", num_dropped=3)
    labels = torch.tensor([1, 4, 4, -100, 1])
    for _ in range(10):
        # One of the two is kept.
        assert ignored(made(normal(5, 4), labels, 1.0)) in ([1], [4])
    assert ignored(made(normal(5, 4), torch.full((5,), 3), 1.0)) == [3]
    with pytest.raises(ValueError, match="needs labels in training"):
        made(normal(5, 4), progress=1.0)


def test_nothing_present_means_nothing_dropped() -> None:
    assert ignored(head(sample_from="present")(normal(5, 4), torch.full((5,), -100), 1.0)) == []


def test_classes_of_the_other_parts_of_a_step_are_present_too() -> None:
    present = torch.tensor([False, True, False, False, False, True])
    made = head(sample_from="present", num_dropped=3)
    drawn = {tuple(ignored(made(normal(5, 4), torch.full((5,), 1), 1.0, present))) for _ in range(20)}
    assert drawn == {(1,), (5,)}


def test_training_scores_features_and_their_suppressed_form_with_one_classifier() -> None:
    made, features = head(), normal(5, 4)
    p = made(features, progress=0.0)
    torch.testing.assert_close(p.logits, F.linear(features, made.classifier.weight, made.classifier.bias))
    gated = oracles.gated(features, made.classifier.weight, list(range(6)))
    hidden = gated @ made.linear.weight.T + made.linear.bias
    normed = (hidden - hidden.mean(0)) / (hidden.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(
        suppressed_logits(p), F.linear(F.relu(normed), made.classifier.weight, made.classifier.bias)
    )


def test_evaluation_is_deterministic_and_uses_the_module() -> None:
    made, features = head(training=False), normal(5, 4)
    first, second = made(features, progress=1.0), made(features, progress=0.3)
    assert torch.equal(first.logits, second.logits) and len(first.branches) == 1
    torch.testing.assert_close(
        first.logits, F.linear(first.features, made.classifier.weight, made.classifier.bias)
    )
    plain = F.linear(features, made.classifier.weight, made.classifier.bias)
    assert float((first.logits - plain).detach().abs().max()) > 1e-2
    with torch.no_grad():
        made.linear.weight.mul_(2)
    assert not torch.equal(made(features).logits, first.logits)


def test_it_adds_a_linear_layer_and_a_norm() -> None:
    added = sum(p.numel() for p in head().parameters()) - (6 * 4 + 6)
    assert added == 4 * 4 + 4 + 2 * 4


def test_images_are_rows_in_another_layout() -> None:
    made = head()
    image = normal(2, 4, 3, 5)
    rows = image.permute(0, 2, 3, 1).reshape(-1, 4)
    as_image, as_rows = made(image), made(rows)
    assert as_image.logits.shape == (2, 6, 3, 5)
    flat = suppressed_logits(as_image).permute(0, 2, 3, 1).reshape(-1, 6)
    torch.testing.assert_close(flat, suppressed_logits(as_rows))
    labels = torch.randint(0, 6, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    criterion = ClassSuppression()
    torch.testing.assert_close(criterion(as_image, labels), criterion(as_rows, labels.flatten()))


def test_a_batch_of_one_row_or_none_goes_through() -> None:
    for rows in (1, 0):
        p = head()(normal(rows, 4), progress=1.0)
        assert suppressed_logits(p).shape == (rows, 6)
        assert bool(suppressed_logits(p).isfinite().all())


def test_gates_are_summed_in_float32_under_autocast() -> None:
    made = head().float()
    features = normal(5, 4).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        gates = made.gates(torch.ones(6))
        prediction = made(features.bfloat16(), progress=1.0)
    for gate, expected in zip(gates, made.gates(torch.ones(6)), strict=True):
        assert torch.equal(gate, expected) and gate.dtype == torch.float32
    assert bool(suppressed_logits(prediction).isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_dropped": 6}, "fewer than the 6 classes; got 6"),
        ({"num_dropped": 7}, "num_dropped must be 1 to 5"),
        ({"num_dropped": 0}, "num_dropped must be 1 to 5"),
        ({"sample_from": "batch"}, "sample_from must be all or present"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        head(**options)


@pytest.mark.parametrize("progress", [-0.1, 1.1, float("nan")])
def test_progress_is_a_share(progress: float) -> None:
    with pytest.raises(ValueError, match=r"progress must lie in \[0, 1\]"):
        head()(normal(5, 4), progress=progress)
