"""CeCo: the simplex, the centers, the projection by covariance, settings that cannot be."""

import math
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from losses import oracles
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses import CenterCollapse, simplex_etf
from pointseg.losses.ceco import CenterCollapseConfig
from pointseg.losses.center_projection import EPS, CenterProjection, class_moments

SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * 5, distinct_colors(5))


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


#: Six classes: 2 and 5 are absent, 3 has one row, two rows are ignored.
LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 0, 4, 4, -100, 0, 1])


@pytest.mark.parametrize(("K", "d"), [(2, 1), (5, 4), (5, 9), (200, 199), (200, 512)])
def test_the_cosines_of_the_simplex_are_all_minus_one_over_k_minus_one(K: int, d: int) -> None:
    simplex = simplex_etf(K, d, dtype=torch.float64)
    expected = K / (K - 1) * torch.eye(K, dtype=torch.float64) - 1 / (K - 1)
    torch.testing.assert_close(simplex @ simplex.T, expected, rtol=0, atol=1e-12)


def test_the_rows_of_the_simplex_sum_to_zero_and_have_rank_k_minus_one() -> None:
    simplex = simplex_etf(20, 32, dtype=torch.float64)
    assert float(simplex.sum(0).abs().max()) < 1e-12
    assert int(torch.linalg.matrix_rank(simplex)) == 19


def test_the_simplex_is_the_same_whatever_the_global_seed() -> None:
    torch.manual_seed(1)
    first = simplex_etf(5, 8)
    torch.manual_seed(2)
    assert torch.equal(first, simplex_etf(5, 8))


@pytest.mark.parametrize(("scale", "loss"), [(1.0, 4.302), (5.0, 0.8362), (10.0, 0.0086)])
def test_features_at_their_vertex_have_the_known_loss(scale: float, loss: float) -> None:
    simplex = simplex_etf(200, 256)
    collapse = CenterCollapse(200, 256, scale=scale)
    assert float(collapse(simplex, torch.arange(200))) == pytest.approx(loss, abs=5e-4 if loss > 1 else 5e-5)


def test_equal_logits_have_the_loss_log_k() -> None:
    collapse = CenterCollapse(200, 199)
    assert float(collapse(torch.zeros(200, 199), torch.arange(200))) == pytest.approx(math.log(200))


def test_a_relu_before_the_norm_bounds_the_cosine_near_root_one_half() -> None:
    simplex = simplex_etf(200, 512)
    # The best that non-negative features can do is the positive part of the vertex itself.
    cosines = (F.normalize(F.relu(simplex), dim=1) * simplex).sum(1)
    assert float(cosines.max()) < 0.80 and float(cosines.mean()) == pytest.approx(math.sqrt(0.5), abs=0.02)


@pytest.mark.parametrize("scope", ["batch", "scene"])
def test_value_and_gradient_equal_the_loops(scope: str) -> None:
    features = normal(12, 7).requires_grad_()
    prior = torch.tensor([9.0, 5, 1, 2, 7, 3])
    collapse = CenterCollapse(6, 7, prior=prior, scale=3.0, scope=scope).double()
    log_prior = (prior / prior.sum()).log().tolist()
    sample = torch.arange(12) // 6
    if scope == "batch":
        expected = oracles.center_collapse(features, LABELS.tolist(), collapse.weight, 3.0, log_prior)
    else:
        halves = [(features[:6], LABELS[:6].tolist()), (features[6:], LABELS[6:].tolist())]
        # A mean over all centers: each scene counts by its number of classes.
        numbers = [len(oracles.present_classes(labels, 6)) for _, labels in halves]
        parts = [oracles.center_collapse(f, y, collapse.weight, 3.0, log_prior) for f, y in halves]
        expected = sum(n * part for n, part in zip(numbers, parts, strict=True)) / sum(numbers)
    loss = collapse(features, LABELS, sample)
    torch.testing.assert_close(loss, expected, rtol=1e-6, atol=1e-6)
    for got, known in zip(*(torch.autograd.grad(x, features) for x in (loss, expected)), strict=True):
        torch.testing.assert_close(got, known, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("projection", ["none", "frozen", "learned"])
@pytest.mark.parametrize("training", [True, False])
def test_the_gradient_is_that_of_the_value(projection: str, training: bool) -> None:
    collapse = CenterCollapse(4, 3, projection=projection).double().train(training)
    labels = torch.tensor([0, 1, 1, 3, -100, 0, 0])
    assert torch.autograd.gradcheck(lambda f: collapse(f, labels), normal(7, 3).requires_grad_())


def test_duplicating_all_rows_of_a_class_changes_nothing() -> None:
    collapse = CenterCollapse(6, 7, projection="frozen").double().eval()
    features, twice = normal(12, 7), torch.cat([torch.arange(12), torch.nonzero(LABELS == 0).squeeze(1)])
    torch.testing.assert_close(collapse(features[twice], LABELS[twice]), collapse(features, LABELS))


def test_the_gradient_on_a_row_goes_as_one_over_the_rows_of_its_class() -> None:
    collapse = CenterCollapse(4, 3).double()
    few = normal(2, 3).requires_grad_()
    many = torch.cat([few[:1].detach(), few[1:].detach().repeat(10, 1)]).requires_grad_()
    collapse(few, torch.tensor([0, 1])).backward()
    collapse(many, torch.tensor([0] + [1] * 10)).backward()
    assert few.grad is not None and many.grad is not None
    torch.testing.assert_close(many.grad[5], few.grad[1] / 10)
    torch.testing.assert_close(many.grad[0], few.grad[0])


class NaiveProjection(nn.Module):
    """The released order: every row is projected and normalised, then come class means."""

    def __init__(self, projection: CenterProjection) -> None:
        super().__init__()
        self.projection = projection
        self.norm = nn.BatchNorm1d(128, eps=EPS).double()

    def forward(self, rows: Tensor, labels: Tensor, classes: list[int]) -> Tensor:
        p = self.projection
        hidden = self.norm(rows @ p.reduce.T)
        centers = torch.stack([hidden[labels == c].mean(0) for c in classes])
        return F.relu(centers @ p.expand.T + p.bias)


@pytest.mark.parametrize("training", [True, False])
def test_the_covariance_trick_equals_projecting_every_row(training: bool) -> None:
    rows, labels = 3 + normal(300, 5) * torch.tensor([1.0, 2, 0.1, 5, 1]), torch.arange(300) % 4
    trick = CenterCollapse(4, 5, projection="frozen").double()
    assert trick.projection is not None
    naive = NaiveProjection(trick.projection)
    for seed in range(3 if not training else 0):  # running moments worth evaluating with
        moved = normal(50, 5, seed=seed + 9)
        naive(moved, labels[:50], [0, 1])
        trick(moved, labels[:50])
    trick.train(training)
    naive.train(training)
    gradients, losses = [], []
    for forward in (
        lambda f: trick(f, labels),
        lambda f: F.cross_entropy(trick.center_logits(naive(f, labels, [0, 1, 2, 3])), torch.arange(4)),
    ):
        features = rows.clone().requires_grad_()
        loss = forward(features)
        gradients += torch.autograd.grad(loss, features)
        losses.append(loss)
    torch.testing.assert_close(losses[0], losses[1])
    torch.testing.assert_close(gradients[0], gradients[1])


def test_the_running_moments_are_those_of_batchnorm() -> None:
    trick = CenterCollapse(4, 5, projection="frozen").double()
    assert trick.projection is not None
    norm = nn.BatchNorm1d(128).double()
    for seed in range(3):
        rows = 2 + normal(30, 5, seed=seed)
        trick(rows, torch.arange(30) % 4)
        norm(rows @ trick.projection.reduce.T)
    torch.testing.assert_close(trick.projection.running_mean, norm.running_mean)
    torch.testing.assert_close(trick.projection.running_var, norm.running_var)


def test_the_scatter_keeps_its_digits_beside_a_large_mean() -> None:
    rows = 1000 + normal(20_000, 3)
    labels = torch.arange(20_000) % 7 - 1
    valid = rows[labels >= 0]
    _, gram = class_moments(valid.float(), labels[labels >= 0], 6)
    expected = (valid - valid.mean(0)).T @ (valid - valid.mean(0))
    torch.testing.assert_close(gram.double(), expected, rtol=1e-3, atol=20.0)


def test_ignored_rows_have_no_part_and_no_gradient() -> None:
    for projection in ("none", "frozen"):
        collapse = CenterCollapse(6, 7, projection=projection).double()
        features = normal(12, 7)
        wild = torch.where((LABELS == -100)[:, None], 1e3, features).requires_grad_()
        loss = collapse(wild, LABELS)
        torch.testing.assert_close(loss, collapse(features, LABELS), rtol=1e-6, atol=1e-6)
        loss.backward()
        assert wild.grad is not None and not wild.grad[LABELS == -100].any()


@pytest.mark.parametrize("labels", [torch.full((4,), -100), torch.zeros(0, dtype=torch.int64)])
@pytest.mark.parametrize("projection", ["none", "frozen"])
def test_without_a_labelled_row_the_loss_is_a_connected_zero(labels: Tensor, projection: str) -> None:
    collapse = CenterCollapse(3, 5, projection=projection)
    before = {name: value.clone() for name, value in collapse.state_dict().items()}
    features = torch.randn(len(labels), 5, requires_grad=True)
    loss = collapse(features, labels)
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert features.grad is not None and not features.grad.any()
    assert all(torch.equal(before[name], value) for name, value in collapse.state_dict().items())


def test_images_are_rows_in_another_layout() -> None:
    collapse = CenterCollapse(4, 6, projection="frozen").double().eval()
    features = normal(2, 6, 3, 5)
    labels = torch.randint(-1, 4, (2, 3, 5), generator=torch.Generator().manual_seed(0))
    labels[labels == -1] = 255
    rows = features.permute(0, 2, 3, 1).reshape(-1, 6)
    as_image = CenterCollapse(4, 6, projection="frozen", ignore_index=255).double().eval()
    expected = collapse(rows, torch.where(labels == 255, -100, labels).flatten())
    torch.testing.assert_close(as_image(features, labels), expected)


def test_sums_run_in_float32_for_half_features_and_under_autocast() -> None:
    # 70,000 rows of 8.0: their sum is beyond float16.
    features = torch.full((70_000, 4), 8.0, dtype=torch.float16).requires_grad_()
    labels = torch.zeros(70_000, dtype=torch.int64)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = CenterCollapse(3, 4, projection="learned")(features, labels)
    loss.backward()
    assert loss.dtype == torch.float32 and bool(torch.isfinite(loss))
    assert features.grad is not None and features.grad.dtype == torch.float16


def test_a_frozen_projection_has_no_parameter_and_is_the_same_for_all() -> None:
    torch.manual_seed(1)
    first = CenterCollapse(4, 6, projection="frozen")
    torch.manual_seed(2)
    second = CenterCollapse(4, 6, projection="frozen")
    assert not list(first.parameters()) and list(CenterCollapse(4, 6, projection="learned").parameters())
    assert first.projection is not None and second.projection is not None
    assert torch.equal(first.projection.expand, second.projection.expand)


def test_a_learned_projection_learns() -> None:
    torch.manual_seed(0)
    collapse = CenterCollapse(4, 6, projection="learned")
    features, labels = torch.randn(40, 6), torch.arange(40) % 4
    optimizer = torch.optim.SGD(collapse.parameters(), lr=0.1)
    losses = []
    for _ in range(20):
        optimizer.zero_grad()
        loss = collapse(features, labels)
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0] - 0.1


def test_too_few_dimensions_are_refused_with_a_way_out() -> None:
    with pytest.raises(ValueError, match=r"200 vectors needs at least 199 dimensions; got 96.*projection"):
        CenterCollapse(200, 96)
    assert CenterCollapse(200, 96, projection="frozen").weight.shape == (200, 512)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 0.0}, "scale must be a positive number"),
        ({"projection": "random"}, "projection must be none, frozen or learned"),
        ({"scope": "epoch"}, "scope must be batch or scene"),
        ({"prior": torch.ones(3)}, "must have 4 numbers"),
        ({"prior": torch.tensor([1.0, 0, 1, 1])}, "positive and finite"),
    ],
)
def test_settings_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CenterCollapse(4, 6, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (torch.zeros(2, 6), torch.tensor([0, 255]), "pass it as ignore_index"),
        (torch.zeros(2, 6), torch.zeros(3, dtype=torch.int64), r"got \(2, 6\) with \(3,\)"),
        (torch.zeros(2, 5), torch.zeros(2, dtype=torch.int64), "Expected features of 6 channels; got 5"),
    ],
)
def test_wrong_calls_say_what_to_do(features: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CenterCollapse(4, 6)(features, labels)


def test_scene_centers_need_to_know_the_scene() -> None:
    with pytest.raises(ValueError, match="needs the scene of each row"):
        CenterCollapse(4, 6, scope="scene")(torch.zeros(2, 6), torch.zeros(2, dtype=torch.int64))


def test_the_default_prior_counts_training_scenes(statistics: ClassStatistics, make_rows: object) -> None:
    term = CenterCollapseConfig().build(statistics, label_space=SPACE, feature_channels=6)
    log_prior = term.log_prior
    assert log_prior is not None
    # Scenes 10, 9, 3, 0, 1; none counts as one.
    torch.testing.assert_close(log_prior.exp() * 24, torch.tensor([10.0, 9, 3, 1, 1]))


def test_a_prior_file_is_read_and_must_fit(tmp_path: Path, statistics: ClassStatistics) -> None:
    path = tmp_path / "prior.txt"
    path.write_text("4\n1\n1\n1\n1\n")
    term = CenterCollapseConfig(prior=path).build(statistics, label_space=SPACE, feature_channels=6)
    assert term.log_prior is not None
    assert float(term.log_prior[0].exp()) == pytest.approx(0.5)
    for text, message in (("1 1 1", "3 numbers for 5 classes"), ("1 1 x 1 1", "one number a class")):
        path.write_text(text)
        with pytest.raises(ValueError, match=message):
            CenterCollapseConfig(prior=path).build(statistics, label_space=SPACE, feature_channels=6)
    with pytest.raises(ValueError, match="No prior file scene_freqency"):
        misspelt = CenterCollapseConfig(prior=Path("scene_freqency"))
        misspelt.build(statistics, label_space=SPACE, feature_channels=6)


def test_dropout_acts_in_training_only(make_rows: object) -> None:
    collapse = CenterCollapse(4, 6, dropout=0.5).double()
    features, labels = normal(8, 6), torch.arange(8) % 4
    torch.manual_seed(0)
    assert collapse(features, labels).item() != collapse(features, labels).item()
    collapse.eval()
    assert collapse(features, labels).item() == collapse(features, labels).item()


def test_the_branch_reads_features_and_leaves_the_logits_alone(make_rows: object) -> None:
    rows: Supervised = make_rows()  # type: ignore[operator]
    statistics = ClassStatistics.uniform(5)
    term = CenterCollapseConfig().build(statistics, label_space=SPACE, feature_channels=6).double()
    term.of(rows).backward()
    assert rows.logits.grad is None and rows.features.grad is not None
