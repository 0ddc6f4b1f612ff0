"""Which reading of PAT's class-wise homogenisation separates it from class-mean cross entropy?

A linear classifier learns a toy long tail (40 Gaussian classes of 4,000 down to 7 rows, 24 features, Adam,
whole batches) by cross entropy and by class-mean cross entropy; at some steps it prints cosines between the
gradients that different forms of the loss have for its weights. Plain torch in float64, nothing of pointseg:
the forms are written down here. Takes a minute:

    python scripts/study_homogenisation.py
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

CLASSES, FEATURES = 40, 24
STEPS = (0, 50, 200, 800)
PAIRS = [
    ("PAT mean", "class mean"),
    ("PAT released", "cross entropy"),
    ("PAT norm", "class mean"),
    ("PAT norm", "CE norm"),
    ("PAT own norm", "class mean"),
    ("PAT own norm", "CE own norm"),
]


def pcla(cross_entropy: Tensor) -> Tensor:
    """The released row loss."""
    return 0.5 * torch.exp(1 - torch.exp(-cross_entropy)) * cross_entropy


def class_means(rows: Tensor, labels: Tensor, counts: Tensor) -> Tensor:
    return torch.zeros_like(counts).index_add(0, labels, rows) / counts


def norms(logits: Tensor, labels: Tensor, counts: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    """Norm of the mean logit gradient of each class."""
    logits = logits.detach().requires_grad_()
    rows = loss(F.cross_entropy(logits, labels, reduction="none"))
    (gradient,) = torch.autograd.grad(rows.sum(), logits)
    of_class = torch.zeros(CLASSES, CLASSES).index_add(0, labels, gradient)
    return (of_class / counts[:, None]).norm(dim=1)


def forms(weight: Tensor, features: Tensor, labels: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """``norm``: weights from the cross entropy's gradients; ``own norm``: from those of the loss itself."""
    logits = features @ weight.T
    plain = F.cross_entropy(logits, labels, reduction="none")
    of_plain, of_pat = (class_means(rows, labels, counts) for rows in (plain, pcla(plain)))
    g_plain = norms(logits, labels, counts, lambda rows: rows)
    g_pat = norms(logits, labels, counts, pcla)
    return {
        "cross entropy": plain.mean(),
        "class mean": of_plain.mean(),
        "PAT released": pcla(plain).mean(),
        "PAT mean": of_pat.mean(),
        "CE norm": (of_plain * g_plain.mean() / g_plain).mean(),
        "PAT norm": (of_pat * g_plain.mean() / g_plain).mean(),
        "CE own norm": (of_plain * g_plain.mean() / g_plain).mean(),
        "PAT own norm": (of_pat * g_pat.mean() / g_pat).mean(),
    }


def main() -> None:
    torch.set_default_dtype(torch.float64)
    counts = torch.tensor([float(max(2, round(4000 * 0.85**c))) for c in range(CLASSES)])
    labels = torch.arange(CLASSES).repeat_interleave(counts.long())
    centers = 1.1 * torch.randn(CLASSES, FEATURES, generator=torch.Generator().manual_seed(100))
    noise = torch.randn(len(labels), FEATURES, generator=torch.Generator().manual_seed(0))
    features = torch.cat([centers[labels] + noise, torch.ones(len(labels), 1)], dim=1)
    for teacher in ("cross entropy", "class mean"):
        weight = torch.zeros(CLASSES, FEATURES + 1, requires_grad=True)
        moves = torch.optim.Adam([weight], lr=0.02)
        for step in range(max(STEPS) + 1):
            if step in STEPS:
                values = forms(weight, features, labels, counts)
                slopes = {
                    name: torch.autograd.grad(value, weight, retain_graph=True)[0].flatten()
                    for name, value in values.items()
                }
                print(f"after {step} steps of {teacher}")
                for first, second in PAIRS:
                    cosine = torch.cosine_similarity(slopes[first], slopes[second], dim=0).item()
                    print(f"  {first:14} {second:14} {cosine:.4f}")
            rows = F.cross_entropy(features @ weight.T, labels, reduction="none")
            loss = rows.mean() if teacher == "cross entropy" else class_means(rows, labels, counts).mean()
            moves.zero_grad()
            loss.backward()
            moves.step()


if __name__ == "__main__":
    main()
