"""PAT: pixel-wise adaptive training. Unsure rows weigh more; sure rows keep half their weight, not none.

Two parts are named in the abstract: class-wise gradient magnitude homogenisation, whose formula is not public
(``homogenize`` is a reconstruction), and pixel-wise class-specific loss adaptation (PCLA), which is the
released code (``inap``) and all of it.

Source: Do et al., "Pixel-Wise Adaptive Training" (arXiv 2404.05393; Pattern Recognition Letters), and its
released code.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import Sums
from pointseg.losses.class_prior import ClassPrior, ClassPriorConfig
from pointseg.losses.class_sums import class_sums, mean_over_present, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.row_loss import RowLoss
from pointseg.losses.softmax_rows import class_logit_gradients, row_cross_entropy

Homogenize = Literal["none", "mean", "gradient_norm"]


def adaptive_row_losses(cross_entropy: Tensor, *, detach: bool = False) -> Tensor:
    """(N,) cross entropies -> (N,) losses beta * CE with beta = exp(1 - p_y) / 2, p_y = exp(-CE).

    Args:
        cross_entropy: CE of each row.
        detach: hold beta constant.
    """
    confidence = torch.exp(-(cross_entropy.detach() if detach else cross_entropy))
    return 0.5 * torch.exp(1 - confidence) * cross_entropy


class PixelAdaptive(RowLoss):
    """Cross entropy of each row times beta = exp(1 - p_y) / 2, averaged over classes.

    p = softmax(z / tau); row loss l = -beta log p_y, with beta in [0.5, 1.359]: half where the network is
    sure, more where it is not. With class means l_c = (1 / n_c) sum_{y_i = c} l_i and a class prior q:

    - ``none``: mean over rows; the released loss, whose further factor 1 / K is a scale.
    - ``mean``: sum_c q_c l_c.
    - ``gradient_norm``: sum_c q_c l_c mean(g) / g_c with g_c = ||(1 / n_c) sum_{y_i = c} dCE_i / dz_i||, the
      norm of the class's cross-entropy gradient at the logits, held constant; weights end at ``max_weight``.
      The magnitudes of the classes are made equal first, and PCLA then adapts classes and rows.

    Which reading of the abstract is it? Gradient cosines on a toy long tail (scripts/study_homogenisation.py,
    benchmarks/losses.md): at random weights every form is class-mean cross entropy, since beta is the same
    everywhere. Later ``mean`` and class-mean cross entropy have 0.35 to 0.99, ``gradient_norm`` and it 0.34
    to 0.89. Without PCLA ``gradient_norm`` has a cosine of 0.94 to 0.97 with itself; taken from PAT's own
    gradients instead, the norms would divide PCLA out again (0.992 to 0.996). So ``gradient_norm`` is the
    reading under which both parts matter, and the default. Show ``class_mean`` beside it, from which early in
    a training it cannot be told.

    Args:
        temperature: tau.
        homogenize: see above; a reconstruction but for ``none``.
        prior: q; every class of the batch alike if None. Not for ``none``.
        detach: hold beta constant; the released code lets the gradient through.
        max_weight: largest class weight of ``gradient_norm``.
        ignore_index: label of rows to leave out.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, in float32 or
    wider. Without a labelled row it is 0, connected to the logits.

    Raises:
        ValueError: for a temperature out of range or an unknown option.
    """

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        homogenize: Homogenize = "gradient_norm",
        prior: ClassPrior | None = None,
        detach: bool = False,
        max_weight: float = 100.0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be a positive number; got {temperature}.")
        if homogenize not in ("none", "mean", "gradient_norm"):
            raise ValueError(f"homogenize must be none, mean or gradient_norm; got {homogenize!r}.")
        self.temperature, self.detach, self.max_weight = temperature, detach, max_weight
        self.homogenize: Homogenize = homogenize
        self.prior = prior or ClassPrior()

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """The weights of ``gradient_norm`` follow from the gradients of all rows together."""
        return self.homogenize != "gradient_norm"

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        logits, labels = rows.logits, rows.labels
        cross_entropy = row_cross_entropy(logits, labels, temperature=self.temperature)
        losses = adaptive_row_losses(cross_entropy, detach=self.detach)
        if self.homogenize == "none":
            return {"loss": losses.sum()}
        found = {"losses": class_sums(losses, labels, rows.num_classes)}
        if self.homogenize == "gradient_norm":
            found["gradient"] = class_logit_gradients(
                logits.detach(), labels, torch.ones_like(losses.detach()), temperature=self.temperature
            )
        return found

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        if self.homogenize == "none":
            return sums["loss"] / facts.num_rows.clamp(min=1)
        means = means_of(sums["losses"], facts.rows)
        if self.homogenize == "gradient_norm":
            means = means * self.class_weights(sums["gradient"], facts)
        return (self.prior(facts).to(means.dtype) * means).sum()

    @torch.no_grad()
    def class_weights(self, gradient: Tensor, facts: BatchFacts) -> Tensor:
        """(K,) weights mean(g) / g_c of (K, K) sums of gradients, the mean over the present classes."""
        norms = gradient.norm(dim=1) / facts.rows.clamp(min=1)
        weights = (mean_over_present(norms, facts.rows) / norms).clamp(max=self.max_weight)
        # 0 / 0: no class has a gradient left.
        return torch.where(facts.present & ~weights.isnan(), weights, torch.ones_like(weights))


class PixelAdaptiveConfig(ClassPriorConfig):
    """Options of :class:`PixelAdaptive` in a training run; exponent and counts have no part in ``none``."""

    type: Literal["pat"] = "pat"
    temperature: float = Field(default=1.0, gt=0)
    homogenize: Homogenize = "gradient_norm"
    detach: bool = False
    max_weight: float = Field(default=100.0, gt=0)

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> PixelAdaptive:
        return PixelAdaptive(
            temperature=self.temperature,
            homogenize=self.homogenize,
            prior=self.build_prior(statistics),
            detach=self.detach,
            max_weight=self.max_weight,
        )
