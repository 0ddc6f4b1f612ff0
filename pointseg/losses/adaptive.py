"""PAT: pixel-wise adaptive training. Unsure rows weigh more; sure rows keep half their weight, not none.

Source: Do et al., "Pixel-Wise Adaptive Training" (arXiv 2404.05393; Pattern Recognition Letters), and its
released code for the row weight (`inap`). The class-wise homogenisation is named in the abstract without a
formula: ``homogenize`` is a reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.base import LossConfig, Sums
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
    """Cross entropy of each row times beta = exp(1 - p_y) / 2, then averaged fairly over classes.

    p = softmax(z / tau); row loss = -beta log p_y, with beta in [0.5, 1.359]: half where the network is sure,
    more where it is not.

    Args:
        temperature: tau.
        homogenize: a reconstruction. ``none``: mean over rows. ``mean``: mean over the present classes of the
            mean over their rows. ``gradient_norm``: besides, the mean of each class is scaled so that the
            norms of the per-class logit gradients g_c = ||(1 / n_c) sum_{y_i = c} dl_i / dz_i|| are equal:
            weight mean(g) / g_c, held constant, at most ``max_weight``.
        detach: hold beta constant; the released code lets the gradient through.
        code_exact: as released: no homogenisation (``mean``, the default, is set aside), and 1/K of the usual
            mean, since the released code averages over classes too.
        max_weight: largest class weight of ``gradient_norm``.
        rho: rate in (0, 1] at which the norms g_c are followed in training; 1 takes those of the batch alone.
            They are the module's state: ``gradient_norms`` (K,), infinite for a class not yet seen.
        num_classes: K, where the state has to exist before the first batch; else it begins with that.
        synchronize: all parts of a batch (processes, accumulated micro-batches) make one loss: that of the
            joined batch. Else it is ``local``: each part makes its own, and their mean is taken.
        ignore_index: label of rows to leave out.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, in float32 or
    wider. Without a labelled row it is 0, connected to the logits.

    Raises:
        ValueError: for a temperature or rho out of range, or ``code_exact`` with ``gradient_norm``.
    """

    gradient_norms: Tensor

    def __init__(
        self,
        *,
        temperature: float = 1.0,
        homogenize: Homogenize = "mean",
        detach: bool = False,
        code_exact: bool = False,
        max_weight: float = 100.0,
        rho: float = 1.0,
        num_classes: int = 0,
        synchronize: bool = True,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if not (math.isfinite(temperature) and temperature > 0):
            raise ValueError(f"temperature must be a positive number; got {temperature}.")
        if homogenize not in ("none", "mean", "gradient_norm"):
            raise ValueError(f"homogenize must be none, mean or gradient_norm; got {homogenize!r}.")
        if not 0 < rho <= 1:
            raise ValueError(f"rho must lie in (0, 1]; got {rho}.")
        if code_exact and homogenize == "gradient_norm":
            raise ValueError(
                "code_exact is the released loss, which has no gradient_norm; leave one of the two out."
            )
        self.temperature, self.detach, self.code_exact = temperature, detach, code_exact
        self.homogenize: Homogenize = "none" if code_exact else homogenize
        self.max_weight, self.rho = max_weight, rho
        self.local = not synchronize
        self.register_buffer("gradient_norms", torch.full((num_classes,), math.inf))

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
            found["gradient"] = self._class_gradients(logits.detach(), labels, cross_entropy.detach())
        return found

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        if self.homogenize == "none":
            mean = sums["loss"] / facts.num_rows.clamp(min=1)
            return mean / len(facts.rows) if self.code_exact else mean
        means, present = means_of(sums["losses"], facts.rows), facts.present
        if self.homogenize == "gradient_norm":
            means = means * self._weights(self._followed(sums, facts), present)
        return mean_over_present(means, facts.rows)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        if self.homogenize == "gradient_norm":
            blended, before = self._followed(sums, facts), self._before(sums["gradient"])
            self.gradient_norms = before.to(self.gradient_norms.dtype)
            self.gradient_norms.copy_(torch.where(facts.present, blended, before))

    @torch.no_grad()
    def _class_gradients(self, logits: Tensor, labels: Tensor, cross_entropy: Tensor) -> Tensor:
        """(K, K) sum of the logit gradients of the rows of each class."""
        p = torch.exp(-cross_entropy)
        beta = 0.5 * torch.exp(1 - p)
        # dl/dCE = beta + CE dbeta/dCE, with dbeta/dCE = beta p.
        slope = beta if self.detach else beta * (1 + cross_entropy * p)
        return class_logit_gradients(logits, labels, slope, temperature=self.temperature)

    def _followed(self, sums: Sums, facts: BatchFacts) -> Tensor:
        """(K,) norms to weigh by: the batch's, blended with those of earlier batches at rate ``rho``."""
        gradient = sums["gradient"].detach()
        norms = gradient.norm(dim=1) / facts.rows.clamp(min=1)
        before = self._before(gradient)
        return torch.where(before.isinf(), norms, (1 - self.rho) * before + self.rho * norms)

    def _before(self, gradient: Tensor) -> Tensor:
        """(K,) norms followed so far, infinite before the first batch."""
        if len(self.gradient_norms) == len(gradient):
            return self.gradient_norms.to(gradient.dtype)
        return torch.full_like(gradient[0], math.inf)

    def _weights(self, norms: Tensor, present: Tensor) -> Tensor:
        """(K,) weights mean(g) / g_c, the mean over the present classes."""
        weights = (mean_over_present(norms, present) / norms).clamp(max=self.max_weight)
        # 0 / 0: no class has a gradient left.
        return torch.where(present & ~weights.isnan(), weights, torch.ones_like(weights))

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "gradient_norms")
        if saved is not None and len(saved) != len(self.gradient_norms):
            self.gradient_norms = torch.full_like(saved, math.inf, device=self.gradient_norms.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


class PixelAdaptiveConfig(LossConfig):
    """Options of :class:`PixelAdaptive` in a training run."""

    type: Literal["pat"] = "pat"
    temperature: float = Field(default=1.0, gt=0)
    homogenize: Homogenize = "mean"
    detach: bool = False
    code_exact: bool = False
    max_weight: float = Field(default=100.0, gt=0)
    rho: float = Field(default=1.0, gt=0, le=1)
    synchronize: bool = True

    @model_validator(mode="after")
    def _options_fit(self) -> PixelAdaptiveConfig:
        self._adaptive(0)
        return self

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> PixelAdaptive:
        return self._adaptive(label_space.num_classes)

    def _adaptive(self, num_classes: int) -> PixelAdaptive:
        return PixelAdaptive(**self.model_dump(exclude={"type", "weight", "head"}), num_classes=num_classes)
