"""The four methods as plain loops over rows and classes: slow, obvious, importing nothing of pointseg.

Values are torch scalars only so that autograd gives the gradient of the very same loops.
"""

import math

import torch
from torch import Tensor

IGNORED = -100


def present_classes(labels: list[int], num_classes: int) -> list[int]:
    return [c for c in range(num_classes) if c in labels]


def softmax(scores: Tensor) -> list[Tensor]:
    total = sum((score.exp() for score in scores), torch.zeros((), dtype=scores.dtype))
    return [score.exp() / total for score in scores]


def row_cross_entropies(logits: Tensor, labels: list[int]) -> dict[int, Tensor]:
    """Row -> cross entropy, labelled rows only."""
    return {i: -softmax(logits[i])[y].log() for i, y in enumerate(labels) if y != IGNORED}


def mean(values: list[Tensor]) -> Tensor:
    return torch.stack(values).sum(0) / len(values)


def tilt(values: list[Tensor], shares: list[float], t: float) -> Tensor:
    if t == 0:
        return torch.stack([q * v for q, v in zip(shares, values, strict=True)]).sum()
    return torch.stack([q * (t * v).exp() for q, v in zip(shares, values, strict=True)]).sum().log() / t


def tilted(
    logits: Tensor, labels: list[int], t: float, prior: str, level: str, sample: list[int], within_t: float
) -> Tensor:
    """Tilted cross entropy at any level."""
    rows = row_cross_entropies(logits, labels)
    if level == "row":
        return tilt(list(rows.values()), [1 / len(rows)] * len(rows), t)
    group_of = {i: sample[i] if level == "scene" else labels[i] for i in rows}
    groups = sorted(set(group_of.values()))
    members = {g: [rows[i] for i in rows if group_of[i] == g] for g in groups}
    if level == "hierarchical":
        losses = [tilt(members[g], [1 / len(members[g])] * len(members[g]), within_t) for g in groups]
    else:
        losses = [mean(members[g]) for g in groups]
    if prior == "frequency":
        shares = [len(members[g]) / len(rows) for g in groups]
    else:
        shares = [1 / len(groups)] * len(groups)
    return tilt(losses, shares, t)


def pat_rows(logits: Tensor, labels: list[int], temperature: float, detach: bool) -> dict[int, Tensor]:
    """Row -> -beta log p_y."""
    losses = {}
    for i, cross_entropy in row_cross_entropies(logits / temperature, labels).items():
        p = (-cross_entropy).exp()
        beta = 1 / (2 * (p - 1).exp())
        losses[i] = (beta.detach() if detach else beta) * cross_entropy
    return losses


def pat(logits: Tensor, labels: list[int], homogenize: str, temperature: float, detach: bool) -> Tensor:
    """Pixel-wise adaptive training with each homogenisation."""
    rows = pat_rows(logits, labels, temperature, detach)
    if homogenize == "none":
        return mean(list(rows.values()))
    classes = present_classes(labels, logits.shape[1])
    class_means = {c: mean([rows[i] for i in rows if labels[i] == c]) for c in classes}
    if homogenize == "mean":
        return mean(list(class_means.values()))
    norms = {}
    plain = row_cross_entropies(logits / temperature, labels)
    for c in classes:
        of_class = mean([plain[i] for i in rows if labels[i] == c])
        (gradient,) = torch.autograd.grad(of_class, logits, retain_graph=True)
        norms[c] = math.sqrt(sum(float(g) ** 2 for g in gradient.sum(0)))
    average = sum(norms.values()) / len(norms)
    return mean([class_means[c] * (average / norms[c]) for c in classes])


def class_center(features: Tensor, labels: list[int], c: int) -> Tensor:
    return mean([features[i] for i, y in enumerate(labels) if y == c])


def center_collapse(
    features: Tensor, labels: list[int], simplex: Tensor, scale: float, log_prior: list[float]
) -> Tensor:
    """Cross entropy of the normalised class centers against the simplex, features as they are."""
    losses = []
    for c in present_classes(labels, len(simplex)):
        center = class_center(features, labels, c)
        direction = center / center.square().sum().sqrt()
        scores = [
            scale * sum(d * w for d, w in zip(direction, row, strict=True)) + prior
            for row, prior in zip(simplex, log_prior, strict=True)
        ]
        losses.append(-softmax(torch.stack(scores))[c].log())
    return mean(losses)


def gated(features: Tensor, weight: Tensor, keep: list[int]) -> Tensor:
    """Mean over the kept classes of ReLU(W_c * A), element by element."""
    rows = []
    for feature in features:
        total = torch.zeros_like(feature)
        for c in keep:
            for d in range(len(feature)):
                product = weight[c, d] * feature[d]
                if product > 0:
                    unit = torch.zeros_like(feature)
                    unit[d] = 1.0
                    total = total + product * unit
        rows.append(total / len(keep))
    return torch.stack(rows)


def class_suppression(
    logits: Tensor,
    suppressed_logits: Tensor,
    labels: list[int],
    dropped: list[int],
    share: float,
    alpha: float,
) -> Tensor:
    """(1 - p) CE + p CE without the dropped classes' rows + alpha mean probability of the dropped."""
    plain = row_cross_entropies(logits, labels)
    kept = row_cross_entropies(suppressed_logits, [IGNORED if y in dropped else y for y in labels])
    loss = (1 - share) * mean(list(plain.values()))
    if kept:
        loss = loss + share * mean(list(kept.values()))
    if dropped:
        loss = loss + alpha * mean([sum(softmax(suppressed_logits[i])[z] for z in dropped) for i in plain])
    return loss
