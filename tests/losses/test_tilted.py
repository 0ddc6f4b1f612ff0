"""TCE: the tilted mean, its levels, its running estimate."""

import math

import pytest
import torch
from losses import oracles
from torch import Tensor

from pointseg.losses import TiltedCrossEntropy
from pointseg.losses.class_sums import class_means
from pointseg.losses.softmax_rows import row_cross_entropy
from pointseg.losses.tilted import TiltedCrossEntropyConfig, TiltedCrossEntropyTerm
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
    tilted = TiltedCrossEntropy(t, prior=prior, level=level, within_t=0.7)
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
    torch.testing.assert_close(TiltedCrossEntropy(0.0, prior="frequency")(logits, LABELS), plain)
    torch.testing.assert_close(
        TiltedCrossEntropy(1e-9, prior="frequency")(logits, LABELS), plain, rtol=1e-7, atol=0
    )


@pytest.mark.parametrize("t", [-2.0, 1.0, 10.0])
@pytest.mark.parametrize("prior", ["frequency", "uniform"])
def test_rate_one_has_exactly_the_gradient_of_the_tilted_mean(t: float, prior: str) -> None:
    logits = (3 * normal(12, 6)).requires_grad_()
    exact = TiltedCrossEntropy(t, prior=prior)(logits, LABELS)
    running = TiltedCrossEntropy(t, prior=prior, stochastic=True, rho=1.0)(logits, LABELS)
    torch.testing.assert_close(torch.autograd.grad(running, logits)[0], torch.autograd.grad(exact, logits)[0])


def test_rare_and_bad_classes_are_not_capped_at_rate_one() -> None:
    """The hardest case of the known values: weight 1e-5 and t = 10."""
    tilted = TiltedCrossEntropy(10.0, stochastic=True, rho=1.0)
    losses = LOSSES.clone().requires_grad_()
    (expected,) = torch.autograd.grad(tilted_mean(losses, COUNTS, 10.0), losses)
    (got,) = torch.autograd.grad(tilted._stochastic(losses, COUNTS), losses)
    torch.testing.assert_close(got, expected)


def test_the_running_estimate_follows_in_the_log_domain() -> None:
    tilted = TiltedCrossEntropy(2.0, stochastic=True, rho=0.25)
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
    tilted = TiltedCrossEntropy(2.0, stochastic=True, rho=0.02)
    naive, followed = [], []
    for _ in range(600):
        batch = losses[torch.randperm(100, generator=generator)[:4]]
        naive.append(float(tilted_mean(batch, torch.ones(4), 2.0)))
        tilted.estimate.copy_(tilted._updated(tilted_mean(batch, torch.ones(4, dtype=torch.float64), 2.0)))
        followed.append(float(tilted.estimate))
    naive_mean, followed_mean = sum(naive) / 600, sum(followed[200:]) / 400
    assert naive_mean < full - 0.05
    assert abs(followed_mean - full) < 0.4 * (full - naive_mean)


def test_the_estimate_moves_in_training_only_and_is_saved() -> None:
    tilted = TiltedCrossEntropy(1.0, stochastic=True)
    tilted(normal(12, 6), LABELS)
    before = tilted.estimate.clone()
    tilted.eval()(normal(12, 6, seed=5), LABELS)
    assert torch.equal(tilted.estimate, before) and bool(before.isfinite())
    restored = TiltedCrossEntropy(1.0, stochastic=True)
    restored.load_state_dict(tilted.state_dict())
    assert torch.equal(restored.estimate, before)


def test_without_normalising_weights_are_relative_to_the_estimate() -> None:
    tilted = TiltedCrossEntropy(1.0, stochastic=True, normalize=False).eval()
    tilted.estimate.fill_(1.0)
    losses = torch.tensor([1.0, 3.0], dtype=torch.float64, requires_grad=True)
    tilted._stochastic(losses, torch.ones(2, dtype=torch.float64)).backward()
    assert losses.grad is not None
    assert losses.grad.tolist() == pytest.approx([0.5, 0.5 * math.exp(2)])


def test_classes_are_drawn_in_proportion_to_their_tilted_share() -> None:
    torch.manual_seed(0)
    tilted = TiltedCrossEntropy(1.0, sampled_classes=1)
    losses = torch.tensor([0.0, math.log(3)], dtype=torch.float64, requires_grad=True)
    hits = torch.zeros(2)
    for _ in range(800):
        (gradient,) = torch.autograd.grad(tilted._sampled(losses, torch.ones(2), 1), losses)
        hits += gradient
    assert float(hits[1] / 800) == pytest.approx(0.75, abs=0.05)


def test_more_classes_may_be_drawn_than_are_present() -> None:
    tilted = TiltedCrossEntropy(1.0, sampled_classes=5)
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
@pytest.mark.parametrize("stochastic", [False, True])
@pytest.mark.parametrize("labels", [torch.full((4,), -100), torch.zeros(0, dtype=torch.int64)])
def test_without_a_labelled_row_the_loss_is_a_connected_zero(
    level: str, stochastic: bool, labels: Tensor
) -> None:
    tilted = TiltedCrossEntropy(2.0, level=level, stochastic=stochastic)
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
        ({"prior": "count"}, "prior must be frequency or uniform; got 'count'"),
        ({"level": "pixel"}, "level must be class, row, scene or hierarchical"),
        ({"row_loss": "focal"}, "row_loss must be cross_entropy or pat"),
        ({"sampled_classes": 3, "stochastic": True}, "not stochastic"),
        ({"sampled_classes": 3, "level": "row"}, "level class or hierarchical"),
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
    with pytest.raises(ValueError, match="not stochastic"):
        TiltedCrossEntropyConfig(sampled_classes=2)
    with pytest.raises(ValueError, match="finite"):
        TiltedCrossEntropyConfig(t=math.nan)


def test_training_begins_with_plain_cross_entropy(make_rows: object) -> None:
    term = TiltedCrossEntropyTerm(TiltedCrossEntropy(5.0, stochastic=True), warmup=0.2)
    early, late = make_rows(progress=0.19), make_rows(progress=0.2)  # type: ignore[operator]
    torch.testing.assert_close(term.of(early), torch.nn.functional.cross_entropy(early.logits, early.labels))
    assert bool(term.tilted.estimate.isinf())
    assert term.of(late).item() != pytest.approx(term.of(early).item())
    assert bool(term.tilted.estimate.isfinite())
