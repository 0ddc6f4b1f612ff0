"""The losses once more, from their formulas: float64, straight from logits, one class after the other.

An implementation of its own for the golden file: imports nothing of pointseg, and shares no line with it.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

IGNORED = -100


def case(num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Logits (24, K), labels with absent classes, classes of one row and ignored rows, and counts (K,)."""
    generator = torch.Generator().manual_seed(num_classes)
    logits = 2 * torch.randn(24, num_classes, generator=generator, dtype=torch.float64)
    labels = torch.tensor([0] * 9 + [1] * 5 + [2] * 3 + [5, 7, 11, num_classes - 1] + [IGNORED] * 3)
    counts = torch.tensor([max(1, round(1e6 * 0.7**c)) for c in range(num_classes)], dtype=torch.float64)
    return logits, labels[torch.randperm(24, generator=generator)], counts


def rows_of(labels: Tensor) -> dict[int, Tensor]:
    """Class -> its rows, classes that have some."""
    return {c: torch.nonzero(labels == c).flatten() for c in sorted(set(labels.tolist()) - {IGNORED})}


def log_p(logits: Tensor, labels: Tensor) -> Tensor:
    """Log probability of the true class of the labelled rows, in their order."""
    keep = labels != IGNORED
    exps = logits[keep].exp()
    return (exps.gather(1, labels[keep, None]).squeeze(1) / exps.sum(1)).log()


def class_means(values: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Means of the values of labelled rows by class, and the number of rows of each."""
    kept = labels[labels != IGNORED]
    members = rows_of(kept)
    means = torch.stack([values[rows].mean() for rows in members.values()])
    return means, torch.tensor([float(len(rows)) for rows in members.values()], dtype=torch.float64)


def shares(numbers: Tensor, exponent: float) -> Tensor:
    return numbers**exponent / (numbers**exponent).sum()


def pat_rows(logits: Tensor, labels: Tensor) -> Tensor:
    p = log_p(logits, labels).exp()
    return -p.log() / (2 * (p - 1).exp())


def cross_entropy(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return -log_p(z, y).mean()


def weighted(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    weight = (n**-0.5)[y[y != IGNORED]]
    return -(weight * log_p(z, y)).sum() / weight.sum()


def class_mean(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return class_means(-log_p(z, y), y)[0].mean()


def class_mean_root(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    means, numbers = class_means(-log_p(z, y), y)
    return (shares(numbers, 0.5) * means).sum()


def pat_released(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return pat_rows(z, y).mean()


def pat_mean(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return class_means(pat_rows(z, y), y)[0].mean()


def pat(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    norms = []
    for c, rows in rows_of(y).items():
        gradient = z[rows].detach().softmax(1) - F.one_hot(torch.tensor(c), z.shape[1])
        norms.append(gradient.mean(0).square().sum().sqrt())
    norm = torch.stack(norms)
    return (class_means(pat_rows(z, y), y)[0] * norm.mean() / norm).mean()


def tilted(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return class_means(-log_p(z, y), y)[0].exp().mean().log()


def tilted_frequency(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    means, numbers = class_means(-log_p(z, y), y)
    return ((shares(numbers, 1.0) * (2 * means).exp()).sum()).log() / 2


def balanced_softmax(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return -log_p(z + n.log(), y).mean()


def focal(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    p = log_p(z, y).exp()
    return -((1 - p) ** 2 * p.log()).mean()


def ldam(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    margin = 0.5 * (n.min() / n) ** 0.25
    return -log_p(z - F.one_hot(y.clamp(min=0), z.shape[1]) * margin, y).mean()


def seesaw(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    costs, seen = [], {c: len(rows) for c, rows in rows_of(y).items()}
    for i in range(len(y)):
        c = int(y[i])
        if c == IGNORED:
            continue
        p = z[i].detach().softmax(0)
        factors = []
        for j in range(z.shape[1]):
            mitigation = min(1.0, max(1, seen.get(j, 0)) / max(1, seen[c])) ** 0.8
            compensation = max(1.0, float(p[j] / p[c].clamp(min=0.01))) ** 2
            factors.append(1.0 if j == c else mitigation * compensation)
        factor = torch.tensor(factors, dtype=torch.float64)
        costs.append(-(z[i, c].exp() / (factor * z[i].exp()).sum()).log())
    return torch.stack(costs).mean()


def recall(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    total = torch.zeros((), dtype=torch.float64)
    for c, rows in rows_of(y).items():
        misses = max(1, int((z[rows].argmax(1) != c).sum()))
        total = total - misses / len(rows) * log_p(z[rows], y[rows]).sum()
    return total / (y != IGNORED).sum()


def auc(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    score, members, pairs = z.sigmoid(), rows_of(y), []
    for i, mine in members.items():
        for j, theirs in members.items():
            if i != j:
                short = 1 - score[mine, i][:, None] + score[theirs, i][None]
                pairs.append((short**2 / 2).mean())
    return torch.stack(pairs).mean()


def label_smoothing(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    keep = y != IGNORED
    of_all = (z[keep].exp() / z[keep].exp().sum(1, keepdim=True)).log()
    return -(0.9 * log_p(z, y) + 0.1 * of_all.mean(1)).mean()


def logit_adjustment(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return -log_p(z + samples(n).log(), y).mean()


def lovasz(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """By the set function itself: the loss of growing sets of wrong rows, and the extension between them."""
    keep = torch.nonzero(y != IGNORED).flatten()
    p, total = z[keep].softmax(1), []
    for c in rows_of(y):
        mine = (y[keep] == c).tolist()
        errors = [1 - p[i, c] if own else p[i, c] for i, own in enumerate(mine)]
        order = sorted(range(len(errors)), key=lambda i: -float(errors[i].detach()))
        value, before = torch.zeros((), dtype=torch.float64), 0.0
        for number in range(1, len(order) + 1):
            wrong = set(order[:number])
            missed = sum(mine[i] for i in wrong)
            union = sum(mine) + sum(not mine[i] for i in wrong)
            loss = 1 - (sum(mine) - missed) / union
            value = value + errors[order[number - 1]] * (loss - before)
            before = loss
        total.append(value)
    return torch.stack(total).mean()


def _dice(z: Tensor, y: Tensor, exponent: int) -> Tensor:
    keep = y != IGNORED
    p, costs = z[keep].softmax(1), []
    for c in rows_of(y):
        mine = (y[keep] == c).double()
        overlap = (p[:, c] * mine).sum()
        costs.append(1 - (2 * overlap + 1) / ((p[:, c] ** exponent).sum() + mine.sum() + 1))
    return torch.stack(costs).mean()


def dice(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return _dice(z, y, 2)


def dice_first_power(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    return _dice(z, y, 1)


def eqlv2(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """The second of two batches: the first has no past, and weighs every class as 1."""
    keep = y != IGNORED
    target = F.one_hot(y[keep], z.shape[1]).double()
    score = 1 / (1 + (-earlier(z)[keep]).exp())
    pulls, pushes = ((1 - score) * target).sum(0), (score * (1 - target)).sum(0)
    share = 1 / (1 + (-12 * (pulls / pushes - 0.8)).exp())
    weight = target * (1 + 4 * (1 - share)) + (1 - target) * share
    now = 1 / (1 + (-z[keep]).exp())
    return -(weight * (target * now.log() + (1 - target) * (1 - now).log())).sum() / keep.sum()


def blv(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    noise = 4 * torch.randn(*z.shape, generator=torch.Generator().manual_seed(SEED), dtype=torch.float64)
    rarity = n.sum().log() - n.log()
    return -log_p(z + noise.clamp(-1, 1).abs() * rarity / rarity.max(), y).mean()


def top_k(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    costs = sorted((-log_p(z, y)).unbind(), key=lambda cost: -float(cost.detach()))
    return torch.stack(costs[: -(-len(costs) // 4)]).mean()


def top_k_threshold(z: Tensor, y: Tensor, n: Tensor) -> Tensor:
    """Every row whose class has a probability below 0.7, which are more than a quarter here."""
    costs = -log_p(z, y)
    kept = costs[costs.exp() > 1 / 0.7]
    assert len(kept) > len(costs) / 4
    return kept.mean()


#: Of the random numbers that a loss draws.
SEED = 11


def earlier(z: Tensor) -> Tensor:
    """Logits of the batch before, with the same labels, for losses that remember."""
    return z.detach().flip(0)


def samples(n: Tensor) -> Tensor:
    """Training samples with each class, from its points."""
    return n.sqrt().ceil()


Reference = Callable[[Tensor, Tensor, Tensor], Tensor]
#: Losses whose value is that of a second batch.
SECOND = {"eqlv2"}
#: Name -> the loss here, its type there, and the options that make them the same.
LOSSES: dict[str, tuple[Reference, str, dict[str, object]]] = {
    "cross_entropy": (cross_entropy, "cross_entropy", {}),
    "weighted": (weighted, "cross_entropy", {"class_weights": {"power": -0.5}}),
    "class_mean": (class_mean, "class_mean", {}),
    "class_mean_root": (class_mean_root, "class_mean", {"exponent": 0.5}),
    "pat": (pat, "pat", {}),
    "pat_mean": (pat_mean, "pat", {"homogenize": "mean"}),
    "pat_released": (pat_released, "pat", {"homogenize": "none"}),
    "tilted": (tilted, "tilted", {"t": 1.0}),
    "tilted_frequency": (tilted_frequency, "tilted", {"t": 2.0, "exponent": 1.0}),
    "balanced_softmax": (balanced_softmax, "balanced_softmax", {}),
    "focal": (focal, "focal", {}),
    "ldam": (ldam, "ldam", {"count": "points"}),
    "seesaw": (seesaw, "seesaw", {}),
    "recall": (recall, "recall", {}),
    "auc": (auc, "auc", {}),
    "label_smoothing": (label_smoothing, "cross_entropy", {"label_smoothing": 0.1}),
    "logit_adjustment": (logit_adjustment, "logit_adjustment", {"prior": "samples"}),
    "lovasz": (lovasz, "lovasz", {}),
    "dice": (dice, "dice", {}),
    "dice_first_power": (dice_first_power, "dice", {"exponent": 1}),
    "eqlv2": (eqlv2, "eqlv2", {}),
    "blv": (blv, "blv", {}),
    "top_k": (top_k, "top_k", {}),
    "top_k_threshold": (top_k_threshold, "top_k", {"threshold": 0.7}),
}


def probes(num_classes: int) -> Tensor:
    """(K, 3) fixed directions: a gradient is kept as its products with them."""
    place = torch.arange(num_classes, dtype=torch.float64)
    return torch.stack([torch.cos(place), torch.sin(2.3 * place + 0.5), torch.cos(0.7 * place**1.5)], dim=1)


def golden(name: str, num_classes: int) -> tuple[float, Tensor]:
    """Value of a loss, and (24, 3) products of its gradient with the probes."""
    logits, labels, counts = case(num_classes)
    logits.requires_grad_()
    value = LOSSES[name][0](logits, labels, counts)
    (gradient,) = torch.autograd.grad(value, logits)
    return float(value.detach()), gradient @ probes(num_classes)
