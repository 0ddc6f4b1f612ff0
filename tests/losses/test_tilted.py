"""TCE: the tilted mean, its levels, its running estimate."""

import math

import pytest
import torch
from losses import oracles
from torch import Tensor

from pointseg.losses import ClassMeanCrossEntropy, ClassPrior, TiltedCrossEntropy
from pointseg.losses.class_sums import class_means
from pointseg.losses.softmax_rows import row_cross_entropy
from pointseg.losses.tilted import TiltedCrossEntropyConfig
from pointseg.losses.tilted_mean import tilted_mean

LOSSES = torch.tensor([0.1, 0.5, 2.0, 3.0], dtype=torch.float64)
COUNTS = torch.tensor([9e5, 9e4, 900.0, 10.0], dtype=torch.float64)
UNIFORM = torch.ones(4, dtype=torch.float64)

#: Six classes: 2 and 5 are absent, 3 has one row, two rows are ignored; two scenes.
LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 0, 4, 4, -100, 0, 1])
SAMPLE = torch.arange(12) // 6


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize(("t", "value"), [(1e-6, 0.1381), (1.0, 0.1488), (10.0, 1.850), (100.0, 2.885)])
def test_known_values_with_the_frequency_prior(t: float, value: float) -> None:
    assert float(tilted_mean(LOSSES, COUNTS, t)) == pytest.approx(value, abs=6e-4 if value > 1 else 6e-5)


@pytest.mark.parametrize(("t", "value"), [(1e-6, 1.400), (1.0, 2.0225), (10.0, 2.861), (100.0, 2.986)])
def test_known_values_with_the_uniform_prior(t: float, value: float) -> None:
    assert float(tilted_mean(LOSSES, UNIFORM, t)) == pytest.approx(value, abs=6e-4)


@pytest.mark.parametrize("prior", [COUNTS, UNIFORM])
def test_the_tilted_mean_does_not_decrease_in_t_and_stays_in_range(prior: Tensor) -> None:
    values = [float(tilted_mean(LOSSES, prior, t)) for t in (-1e4, -100, -1, -1e-6, 0, 1e-6, 1, 100, 1e4)]
    assert values == sorted(values)
    assert values[0] == pytest.approx(0.1, abs=1e-2) and values[-1] == pytest.approx(3.0, abs=1e-2)


@pytest.mark.parametrize("t", [-5.0, -1e-9, 0.0, 1e-9, 1.0, 50.0])
def test_equal_losses_are_their_own_tilted_mean(t: float) -> None:
    assert float(tilted_mean(torch.full((4,), 1.7, dtype=torch.float64), COUNTS, t)) == pytest.approx(1.7)


@pytest.mark.parametrize("t", [-2.0, 0.0, 1e-6, 3.0])
def test_adding_a_constant_adds_it_to_the_tilted_mean(t: float) -> None:
    torch.testing.assert_close(tilted_mean(LOSSES + 5, COUNTS, t), tilted_mean(LOSSES, COUNTS, t) + 5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("t", [-100.0, 1.0, 100.0, 1e30])
def test_large_losses_stay_finite(dtype: torch.dtype, t: float) -> None:
    losses = torch.tensor([1e3, 0.0, 999.0], dtype=dtype, requires_grad=True)
    value = tilted_mean(losses, torch.ones(3, dtype=dtype), t)
    value.backward()
    assert bool(torch.isfinite(value)) and losses.grad is not None
    assert bool(losses.grad.isfinite().all()) and float(losses.grad.sum()) == pytest.approx(1.0)


def test_a_small_tilt_keeps_its_digits_in_float32() -> None:
    losses = LOSSES.float().requires_grad_()
    value = tilted_mean(losses, UNIFORM.float(), 1e-6)
    assert float(value.detach()) == pytest.approx(1.4, rel=1e-6)


@pytest.mark.parametrize("t", [-3.0, 1e-7, 0.0, 2.0, 40.0])
def test_the_gradient_is_that_of_the_value(t: float) -> None:
    assert torch.autograd.gradcheck(lambda v: tilted_mean(v, COUNTS, t), LOSSES.clone().requires_grad_())


@pytest.mark.parametrize("level", ["class", "row", "scene", "hierarchical"])
@pytest.mark.parametrize("prior", ["frequency", "uniform"])
@pytest.mark.parametrize("t", [-1.5, 0.0, 2.0])
def test_value_and_gradient_equal_the_loops(level: str, prior: str, t: float) -> None:
    logits = (3 * normal(12, 6)).requires_grad_()
    exponent = ClassPrior(1.0 if prior == "frequency" else 0.0)
    tilted = TiltedCrossEntropy(t, prior=exponent, level=level, within_t=0.7)
    # Scenes count alike, whatever the prior of the classes.
    prior = "uniform" if level == "scene" else prior
    expected = oracles.tilted(logits, LABELS.tolist(), t, prior, level, SAMPLE.tolist(), 0.7)
    loss = tilted(logits, LABELS, SAMPLE)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(torch.autograd.grad(loss, logits)[0], torch.autograd.grad(expected, logits)[0])


@pytest.mark.parametrize("level", ["class", "row", "hierarchical"])
def test_the_module_passes_gradcheck(level: str) -> None:
    tilted = TiltedCrossEntropy(1.5, level=level, within_t=-2.0)
    assert torch.autograd.gradcheck(lambda z: tilted(z, LABELS), normal(12, 6).requires_grad_())


def test_no_tilt_and_the_frequency_prior_is_plain_cross_entropy() -> None:
    logits = normal(12, 6)
    plain = torch.nn.functional.cross_entropy(logits, LABELS)
    torch.testing.assert_close(TiltedCrossEntropy(0.0, prior=ClassPrior(1.0))(logits, LABELS), plain)
    torch.testing.assert_close(
        TiltedCrossEntropy(1e-9, prior=ClassPrior(1.0))(logits, LABELS), plain, rtol=1e-7, atol=0
    )


@pytest.mark.parametrize("t", [-2.0, 1.0, 10.0])
@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0])
def test_at_rate_one_the_running_weights_are_those_of_the_batch(t: float, exponent: float) -> None:
    logits = (3 * normal(12, 6)).requires_grad_()
    prior = ClassPrior(exponent)
    exact = TiltedCrossEntropy(t, prior=prior)(logits, LABELS)
    running = TiltedCrossEntropy(t, prior=prior, solver="running_weights", rho=1.0)(logits, LABELS)
    torch.testing.assert_close(torch.autograd.grad(running, logits)[0], torch.autograd.grad(exact, logits)[0])


def class_logits(losses: list[float]) -> tuple[Tensor, Tensor]:
    """Two rows of two classes whose class losses are these."""
    margins = torch.tensor([math.log(math.expm1(loss)) for loss in losses], dtype=torch.float64)
    logits = torch.stack(
        [torch.stack([-margins[0], margins[0] * 0]), torch.stack([margins[1] * 0, -margins[1]])]
    )
    return logits.requires_grad_(), torch.tensor([0, 1])


def test_after_a_falling_loss_the_running_weights_are_smaller_than_those_of_the_batch() -> None:
    """By hand: t = 1, q = 1/2, rho = 0.1; losses (2, 4), then (0.5, 1)."""
    running = TiltedCrossEntropy(1.0, solver="running_weights", rho=0.1)
    running(*class_logits([2.0, 4.0]))
    first = math.log((math.exp(2) + math.exp(4)) / 2)
    assert float(running.estimate) == pytest.approx(first)
    second = math.log((math.exp(0.5) + math.exp(1)) / 2)
    estimate = math.log(0.9 * math.exp(first) + 0.1 * math.exp(second))
    weights = [0.5 * math.exp(loss - estimate) for loss in (0.5, 1.0)]
    assert sum(weights) < 0.1
    logits, labels = class_logits([0.5, 1.0])
    loss = running(logits, labels)
    assert float(loss.detach()) == pytest.approx(weights[0] * 0.5 + weights[1] * 1.0)
    (got,) = torch.autograd.grad(loss, logits)
    (of_batch,) = torch.autograd.grad(TiltedCrossEntropy(1.0)(logits, labels), logits)
    torch.testing.assert_close(got, of_batch * sum(weights))


def test_the_tilt_is_annealed_in_a_line() -> None:
    tilted = TiltedCrossEntropy(2.0, t_start=0.5, anneal=0.5)
    assert [tilted.tilt(p) for p in (0.0, 0.25, 0.5, 1.0)] == [0.5, 1.25, 2.0, 2.0]
    logits = 3 * normal(12, 6)
    first = TiltedCrossEntropy(2.0, anneal=0.5)(logits, LABELS)
    torch.testing.assert_close(first, ClassMeanCrossEntropy()(logits, LABELS), rtol=1e-5, atol=0)


@pytest.mark.parametrize("level", ["class", "row", "scene"])
def test_an_annealed_tilt_is_the_tilt_of_its_moment(level: str, make_rows: object) -> None:
    annealed = TiltedCrossEntropy(2.0, anneal=1.0, level=level)
    rows = make_rows(progress=0.25)  # type: ignore[operator]
    torch.testing.assert_close(annealed.of(rows), TiltedCrossEntropy(0.5, level=level).of(rows))


def test_the_running_estimate_follows_in_the_log_domain() -> None:
    tilted = TiltedCrossEntropy(2.0, solver="running_weights", rho=0.25)
    means = []
    for seed in (1, 2):
        logits = normal(12, 6, seed=seed)
        tilted(logits, LABELS)
        means.append(float(TiltedCrossEntropy(2.0)(logits, LABELS)))
    expected = math.log(0.75 * math.exp(2 * means[0]) + 0.25 * math.exp(2 * means[1])) / 2
    assert float(tilted.estimate) == pytest.approx(expected)


def test_the_running_estimate_is_less_biased_than_the_batches() -> None:
    """Batches that see a few of the classes: the mean of their tilted means lies well below the full one."""
    generator = torch.Generator().manual_seed(0)
    losses = torch.rand(100, dtype=torch.float64, generator=generator) * 3
    full = float(tilted_mean(losses, torch.ones(100), 2.0))
    tilted = TiltedCrossEntropy(2.0, solver="running_weights", rho=0.02)
    naive, followed = [], []
    for _ in range(600):
        batch = losses[torch.randperm(100, generator=generator)[:4]]
        naive.append(float(tilted_mean(batch, torch.ones(4), 2.0)))
        tilted.estimate.copy_(
            tilted._updated(tilted_mean(batch, torch.ones(4, dtype=torch.float64), 2.0), 2.0)
        )
        followed.append(float(tilted.estimate))
    naive_mean, followed_mean = sum(naive) / 600, sum(followed[200:]) / 400
    assert naive_mean < full - 0.05
    assert abs(followed_mean - full) < 0.4 * (full - naive_mean)


def test_the_estimate_moves_in_training_only_and_is_saved() -> None:
    tilted = TiltedCrossEntropy(1.0, solver="running_weights")
    tilted(normal(12, 6), LABELS)
    before = tilted.estimate.clone()
    tilted.eval()(normal(12, 6, seed=5), LABELS)
    assert torch.equal(tilted.estimate, before) and bool(before.isfinite())
    restored = TiltedCrossEntropy(1.0, solver="running_weights")
    restored.load_state_dict(tilted.state_dict())
    assert torch.equal(restored.estimate, before)


def test_running_weights_are_relative_to_the_estimate() -> None:
    tilted = TiltedCrossEntropy(1.0, solver="running_weights").eval()
    tilted.estimate.fill_(1.0)
    logits, labels = class_logits([1.0, 3.0])
    expected = 0.5 * 1.0 + 0.5 * math.exp(2) * 3.0
    assert float(tilted(logits, labels).detach()) == pytest.approx(expected)


def test_classes_are_drawn_by_their_running_losses() -> None:
    """The batch's losses are equal, but class 1 was worse by log 3 before: it is drawn thrice as often."""
    torch.manual_seed(0)
    tilted = TiltedCrossEntropy(1.0, solver="group_sampling", rho=1e-9, num_classes=2)
    tilted.class_losses.copy_(torch.tensor([0.0, math.log(3)]))
    logits, labels = class_logits([0.5, 0.5])
    hits = torch.zeros(2, dtype=torch.float64)
    for _ in range(800):
        (gradient,) = torch.autograd.grad(tilted(logits, labels), logits)
        hits += (gradient.abs().sum(1) > 0).double()
    assert float(hits.sum()) == 800 and float(hits[1] / 800) == pytest.approx(0.75, abs=0.05)


def test_running_class_losses_follow_the_classes_that_are_there() -> None:
    tilted = TiltedCrossEntropy(1.0, solver="group_sampling", rho=0.25)
    tilted(*class_logits([1.0, 3.0]))
    assert tilted.class_losses.tolist() == pytest.approx([1.0, 3.0])
    logits, _ = class_logits([2.0, 3.0])
    tilted(logits[:1], torch.tensor([0]))
    assert tilted.class_losses.tolist() == pytest.approx([1.25, 3.0])
    restored = TiltedCrossEntropy(1.0, solver="group_sampling")
    restored.load_state_dict(tilted.state_dict())
    assert torch.equal(restored.class_losses, tilted.class_losses)


def test_more_classes_may_be_drawn_than_are_present() -> None:
    tilted = TiltedCrossEntropy(1.0, solver="group_sampling", sampled_classes=5)
    logits = normal(12, 6)
    means, counts = class_means(row_cross_entropy(logits, LABELS), LABELS, 6)
    torch.testing.assert_close(tilted(logits, LABELS), means[counts > 0].mean())


def test_pixel_adaptive_weights_can_lie_under_the_tilt() -> None:
    logits = normal(12, 6)
    rows = oracles.pat_rows(logits, LABELS.tolist(), 1.0, False)
    classes = oracles.present_classes(LABELS.tolist(), 6)
    losses = [oracles.mean([rows[i] for i in rows if int(LABELS[i]) == c]) for c in classes]
    expected = oracles.tilt(losses, [1 / len(classes)] * len(classes), 2.0)
    torch.testing.assert_close(TiltedCrossEntropy(2.0, row_loss="pat")(logits, LABELS), expected)


@pytest.mark.parametrize("level", ["class", "row", "scene", "hierarchical"])
@pytest.mark.parametrize("solver", ["batch", "running_weights"])
@pytest.mark.parametrize("labels", [torch.full((4,), -100), torch.zeros(0, dtype=torch.int64)])
def test_without_a_labelled_row_the_loss_is_a_connected_zero(level: str, solver: str, labels: Tensor) -> None:
    tilted = TiltedCrossEntropy(2.0, level=level, solver=solver)
    logits = torch.randn(len(labels), 3, requires_grad=True)
    loss = tilted(logits, labels, torch.zeros_like(labels))
    loss.backward()
    assert float(loss.detach()) == 0.0 and bool(tilted.estimate.isinf())
    assert logits.grad is not None and not logits.grad.any()


def test_images_are_rows_in_another_layout_and_scenes_by_themselves() -> None:
    logits = normal(2, 4, 3, 5)
    labels = torch.randint(0, 4, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    labels[0, 0] = 255
    rows, flat = logits.permute(0, 2, 3, 1).reshape(-1, 4), torch.where(labels == 255, -100, labels).flatten()
    sample = torch.arange(2).repeat_interleave(15)
    for level in ("class", "row", "scene", "hierarchical"):
        expected = TiltedCrossEntropy(2.0, level=level)(rows, flat, sample)
        torch.testing.assert_close(
            TiltedCrossEntropy(2.0, level=level, ignore_index=255)(logits, labels), expected
        )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_summed_in_float32(dtype: torch.dtype) -> None:
    logits = torch.zeros(70_000, 3, dtype=dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = TiltedCrossEntropy(1.0)(logits, torch.zeros(70_000, dtype=torch.int64))
    loss.backward()
    assert loss.dtype == torch.float32 and float(loss.detach()) == pytest.approx(math.log(3), rel=1e-5)
    assert logits.grad is not None and logits.grad.dtype == dtype


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"t": math.nan}, "must be a finite number"),
        ({"t": math.inf}, "must be a finite number"),
        ({"within_t": math.nan}, "must be a finite number"),
        ({"rho": 0.0}, "rho must lie in"),
        ({"solver": "sgd"}, "solver must be batch, running_weights or group_sampling; got 'sgd'"),
        ({"anneal": 2.0}, "anneal is a share of the training"),
        ({"level": "pixel"}, "level must be class, row, scene or hierarchical"),
        ({"row_loss": "focal"}, "row_loss must be cross_entropy or pat"),
        ({"solver": "group_sampling", "level": "row"}, "level class or hierarchical"),
        ({"sampled_classes": 0}, "must be 1 or more"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TiltedCrossEntropy(**{"t": 1.0, **options})  # type: ignore[arg-type]


def test_scenes_must_be_known() -> None:
    with pytest.raises(ValueError, match="needs the scene of each row"):
        TiltedCrossEntropy(1.0, level="scene")(normal(12, 6), LABELS)


def test_configurations_are_checked_when_they_are_read() -> None:
    with pytest.raises(ValueError, match="level class or hierarchical"):
        TiltedCrossEntropyConfig(solver="group_sampling", level="scene")
    with pytest.raises(ValueError, match="finite"):
        TiltedCrossEntropyConfig(t=math.nan)
