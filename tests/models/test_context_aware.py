"""The context-aware classifier against loops over samples and classes."""

import pytest
import torch
import torch.nn.functional as F
from models.test_image_heads import CLASSES, batch, segmenter
from torch import Tensor, nn

from pointseg.config import ConfigError
from pointseg.core.prediction import FeatureMap
from pointseg.experiment import load_experiment
from pointseg.losses.base import BranchTerms
from pointseg.models.context_aware import ContextAwareHead, ContextAwareHeadConfig

K, D, SIZES = 4, 6, [5, 9]
FEATURES = torch.randn(14, D, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.tensor([0, 0, 1, -100, 1, 3, 3, 3, 0, -100, 1, 1, 0, 3])


def make(**options: object) -> ContextAwareHead:
    torch.manual_seed(0)
    return ContextAwareHead(D, K, **options).double()  # type: ignore[arg-type]


def mapped(head: ContextAwareHead, training: bool) -> Tensor:
    hidden = FEATURES @ head.reduce.weight.T
    mean, variance = head.norm.running_mean, head.norm.running_var
    if training:
        mean, variance = hidden.mean(0), ((hidden - hidden.mean(0)) ** 2).mean(0)
    normed = (hidden - mean) / (variance + head.norm.eps).sqrt()  # type: ignore[operator]
    return head.expand((normed * head.norm.weight + head.norm.bias).relu())


def cosine(feature: Tensor, vector: Tensor) -> Tensor:
    return (feature * vector).sum() / (feature.norm() * vector.norm())


def refined(head: ContextAwareHead, training: bool) -> Tensor:
    rows = []
    for start, end in ((0, 5), (5, 14)):
        p = (FEATURES[start:end] @ head.classifier.weight.T + head.classifier.bias).softmax(1)
        vectors = []
        for c in range(K):
            mean = sum(p[i, c] * FEATURES[start + i] for i in range(end - start)) / (p[:, c].sum() + 1e-7)
            vectors.append(head.refine(torch.cat([mean, head.classifier.weight[c]])))
        rows += [torch.stack([15 * cosine(x, v) for v in vectors]) for x in mapped(head, training)[start:end]]
    return torch.stack(rows)


def taught(head: ContextAwareHead) -> Tensor:
    vectors = []
    for c in range(K):
        rows = FEATURES[c == LABELS]
        mean = rows.sum(0) / (len(rows) + 1e-4) if len(rows) else head.classifier.weight[c].detach()
        vectors.append(head.perspective(torch.cat([mean, head.classifier.weight[c]])))
    return torch.stack([torch.stack([15 * cosine(x, v) for v in vectors]) for x in mapped(head, True)])


def test_three_branches_in_training_and_the_refined_scores_at_evaluation() -> None:
    head = make()
    prediction = head(FEATURES, LABELS, 0.5, sizes=SIZES)
    first, second, third = (branch.logits for branch in prediction.branches)
    torch.testing.assert_close(first, refined(head, True))
    torch.testing.assert_close(second, taught(head))
    torch.testing.assert_close(third, head.classifier(FEATURES))
    assert [branch.weight for branch in prediction.branches] == [1.0, 1.0, 1.0]
    evaluated = head.eval()(FEATURES, LABELS, 0.5, sizes=SIZES)
    assert len(evaluated.branches) == 1
    torch.testing.assert_close(evaluated.logits, refined(head, False))


def test_a_scene_is_scored_as_if_it_were_alone() -> None:
    head = make().eval()
    both = head(FEATURES, LABELS, 0.0, sizes=SIZES).logits
    alone = torch.cat([head(x, LABELS[:0], 0.0).logits for x in FEATURES.split(SIZES)])
    torch.testing.assert_close(both, alone)


def test_gradients_are_exact() -> None:
    head, leaf = make(detach=False), FEATURES.clone().requires_grad_()

    def scores(features: Tensor) -> Tensor:
        branches = head(features, LABELS, 0.5, sizes=SIZES).branches
        return torch.stack([branch.logits for branch in branches])

    assert torch.autograd.gradcheck(scores, leaf)


@pytest.mark.parametrize("detach", [True, False])
def test_probabilities_learn_from_the_scores_they_refine_only_where_asked(detach: bool) -> None:
    head = make(detach=detach)
    head(FEATURES, LABELS, 0.5, sizes=SIZES).branches[0].logits.square().sum().backward()
    bias = head.classifier.bias.grad
    assert (bias is None or not bias.any()) == detach
    assert head.classifier.weight.grad is not None and head.classifier.weight.grad.any()


def test_no_row_and_one_row_are_no_harm() -> None:
    head = make()
    for rows in (0, 1):
        prediction = head(FEATURES[:rows], LABELS[:rows], 0.5, sizes=[rows])
        total = sum(branch.logits.sum() for branch in prediction.branches)
        total.backward()
        assert bool(torch.isfinite(total))
        assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in head.parameters())


def test_on_images_each_is_a_sample_and_labels_are_those_at_the_rows() -> None:
    network, images = segmenter(ContextAwareHeadConfig()), batch()
    seen: list[tuple[Tensor, list[int]]] = []
    real = network.head.forward

    def watched(features: Tensor, labels: Tensor, *others: object, sizes: list[int]) -> object:
        seen.append((labels, sizes))
        return real(features, labels, *others, sizes=sizes)  # type: ignore[arg-type]

    network.head.forward = watched  # type: ignore[method-assign, assignment]
    prediction = network(images)
    labels, sizes = seen[0]
    assert sizes == [24, 24]
    assert torch.equal(labels, images.pixel_labels[:, ::4, ::4].flatten())
    assert all(branch.logits.shape == (2 * 16 * 24, CLASSES) for branch in prediction.branches)


def test_labels_are_reduced_to_the_nearest_as_torch_does() -> None:
    labels = torch.randint(0, 9, (2, 7, 10), generator=torch.Generator().manual_seed(0))
    map_ = FeatureMap(torch.zeros(2 * 3 * 4, 1), (2, 3, 4), (7, 10))
    expected = F.interpolate(labels[:, None].float(), (3, 4), mode="nearest").long()
    assert torch.equal(map_.reduced(labels.flatten()), expected.flatten())


def test_each_branch_has_a_loss_and_the_head_brings_the_distillation() -> None:
    chosen = load_experiment("synthetic/minkunet", methods=["cac", "lovasz"])
    assert set(chosen.extra_losses) == {"distillation"}
    from pointseg.core.labels import LabelSpace, distinct_colors
    from pointseg.core.statistics import ClassStatistics

    space = LabelSpace("four", (1, 2, 3, 4), tuple("abcd"), ("",) * 4, distinct_colors(4))
    objective = chosen.build_objective(ClassStatistics.uniform(4), label_space=space, feature_channels=6)
    lengths = {
        name: len(term) if isinstance(term, BranchTerms) else 1 for name, term in objective.terms.items()
    }
    assert lengths == {"main": 3, "lovasz": 3, "distillation": 1}


def test_its_class_vectors_are_not_normalised_after_training() -> None:
    with pytest.raises(ValueError, match="tau_normalisation is for linear classifiers"):
        make().normalise_classifier(1.0)


def test_a_misspelt_option_is_named() -> None:
    with pytest.raises(ConfigError, match="scal"):
        load_experiment("synthetic/minkunet", methods="cac", overrides=["head.scal=3"])
    assert isinstance(make(), nn.Module)


@pytest.mark.parametrize("training", [True, False])
def test_under_mixed_precision_scores_are_near_those_of_float32(training: bool) -> None:
    head = make().float().train(training)
    exact = head(FEATURES.float(), LABELS, 0.5, sizes=SIZES)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = head(FEATURES.float(), LABELS, 0.5, sizes=SIZES)
    for whole, half in zip(exact.branches, rough.branches, strict=True):
        assert half.logits.dtype == torch.bfloat16
        torch.testing.assert_close(half.logits.float(), whole.logits, rtol=0.05, atol=0.5)
    rough.logits.float().sum().backward()
    assert all(p.grad is None or bool(p.grad.isfinite().all()) for p in head.parameters())
