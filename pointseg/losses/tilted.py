"""TCE: tilted cross entropy, between the mean over classes (t -> 0) and the worst class (t -> infinity).

Source: Szabo, Jamali-Rad, Mannava, "Tilted Cross-Entropy (TCE): Promoting Fairness in Semantic Segmentation",
CVPRW 2021, arXiv 2103.14051, on Tilted Empirical Risk Minimization (TERM; Li et al., ICLR 2021). The formula
of TCE is not public; everything here is a reconstruction after TERM.
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
from pointseg.core.transfer import to_device
from pointseg.losses.adaptive import adaptive_row_losses
from pointseg.losses.base import Joining, Sums
from pointseg.losses.class_prior import ClassPrior, ClassPriorConfig
from pointseg.losses.class_sums import class_means, class_sums, means_of
from pointseg.losses.facts import BatchFacts
from pointseg.losses.processes import same_on_all_processes
from pointseg.losses.row_loss import RowLoss
from pointseg.losses.softmax_rows import row_cross_entropy
from pointseg.losses.tilted_mean import (
    class_peaks,
    class_tilt_sums,
    class_tilts_of,
    normalised,
    peak_of,
    tilt_of,
    tilt_sums,
    tilted_mean,
)

Solver = Literal["batch", "running_weights", "group_sampling"]
Level = Literal["class", "row", "scene", "hierarchical"]
RowKind = Literal["cross_entropy", "pat"]

#: An annealed tilt begins here instead of at 0.
_LEAST_TILT = 1e-6
#: Sums of a tilted mean, in the order in which they travel.
_TILT = ("excess", "mean", "prior")


class TiltedCrossEntropy(RowLoss):
    """Tilted aggregation of the cross entropy over classes, rows or scenes. A reconstruction.

    ``class``: l_c = mean cross entropy of the rows of class c, L(t) = (1/t) log sum_c q_c exp(t l_c) over the
    present c. ``row``: (1/t) log mean_i exp(t CE_i). ``scene``: tilt over the means of the scenes, all alike.
    ``hierarchical``: as ``class``, with l_c itself tilted over the rows of the class by ``within_t``.

    Solvers, after TERM's; the gradient of all is that of a sum of w_c l_c with weights held constant:

    - ``batch``: L(t) of the batch, w_c = q_c exp(t (l_c - L(t))), which sum to 1.
    - ``running_weights``: w_c = q_c exp(min(t (l_c - R), cap)) with a running estimate in the log domain, R
      <- (1/t) log((1 - rho) e^(tR) + rho e^(t L_B(t))), since a mini-batch log-mean-exp is biased low. The
      weights are not made to sum to 1: that would take R out of them again, and leave ``batch`` whatever rho
      is. After a loss that has fallen they sum to less than 1. TERM's published code subtracts a maximum of
      the batch which is not carried along; the log domain needs none.
    - ``group_sampling``: the mean of ``sampled_classes`` losses, drawn without replacement (Gumbel top-k)
      with chances as q_c exp(t r_c) for a running loss of each class, r_c <- (1 - rho) r_c + rho l_c.

    Args:
        t: tilt; 0 is the plain mean.
        prior: q of classes; every class of the batch alike if None, where t -> 0 gives class-mean cross
            entropy. With exponent 1 (frequency, TERM's own) t -> 0 gives plain cross entropy.
        level: what is tilted.
        solver: see above; running state is saved with the module.
        rho: rate of running estimates, in (0, 1].
        cap: largest exponent of a running weight.
        within_t: tilt within a class, for ``hierarchical``.
        sampled_classes: how many classes ``group_sampling`` draws; it needs level class or hierarchical.
        row_loss: ``cross_entropy``, or ``pat``: each row's CE times PAT's weight exp(1 - p_y) / 2.
        t_start: tilt at the start of the training.
        anneal: share of the training over which the tilt goes from ``t_start`` to ``t``, in a line; 0 has t
            throughout.
        synchronize: all parts of a batch (processes, accumulated micro-batches) make one loss: that of the
            joined batch. Else it is ``local``: each part makes its own, and their mean is taken.
        num_classes: K, where the running class losses have to exist before the first batch.
        ignore_index: label of rows to leave out.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, in float32 or
    wider. Without a labelled row it is 0, connected to the logits, and the state does not move.

    Raises:
        ValueError: for a t that is not finite, rho outside (0, 1], or options that exclude each other.
    """

    estimate: Tensor
    class_losses: Tensor

    def __init__(
        self,
        t: float = 1.0,
        *,
        prior: ClassPrior | None = None,
        level: Level = "class",
        solver: Solver = "batch",
        rho: float = 0.1,
        cap: float = 20.0,
        within_t: float = 1.0,
        sampled_classes: int = 1,
        row_loss: RowKind = "cross_entropy",
        t_start: float = 0.0,
        anneal: float = 0.0,
        synchronize: bool = True,
        num_classes: int = 0,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if not all(math.isfinite(tilt) for tilt in (t, within_t, t_start)):
            raise ValueError(
                f"The tilt must be a finite number; got t={t}, within_t={within_t}, t_start={t_start}. Use 0 "
                "for the plain mean."
            )
        if not 0 < rho <= 1:
            raise ValueError(f"rho must lie in (0, 1]; got {rho}.")
        if not 0 <= anneal <= 1:
            raise ValueError(f"anneal is a share of the training, in [0, 1]; got {anneal}.")
        _check_choice("level", level, ("class", "row", "scene", "hierarchical"))
        _check_choice("row_loss", row_loss, ("cross_entropy", "pat"))
        _check_choice("solver", solver, ("batch", "running_weights", "group_sampling"))
        if solver == "group_sampling" and level not in ("class", "hierarchical"):
            raise ValueError("group_sampling draws classes: it needs level class or hierarchical.")
        if sampled_classes < 1:
            raise ValueError(f"sampled_classes must be 1 or more; got {sampled_classes}.")
        self.t, self.t_start, self.anneal = float(t), float(t_start), anneal
        self.prior, self.level, self.solver = prior or ClassPrior(), level, solver
        self.rho, self.cap, self.within_t = rho, cap, within_t
        self.sampled_classes, self.row_loss = sampled_classes, row_loss
        self.local = not synchronize
        # Infinite until the first batch.
        self.register_buffer("estimate", torch.tensor(math.inf, dtype=torch.float64))
        self.register_buffer("class_losses", torch.full((num_classes,), math.inf, dtype=torch.float64))

    def tilt(self, progress: float) -> float:
        """The tilt at this share of the training; never 0 where it is annealed: sums keep one form."""
        if self.anneal == 0:
            return self.t
        now = self.t_start + (self.t - self.t_start) * min(1.0, progress / self.anneal)
        return now if abs(now) > _LEAST_TILT else math.copysign(_LEAST_TILT, self.t)

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Without tilt and draws the loss is a mean over classes."""
        return not self._tilts and self.level == "class" and self.solver != "group_sampling"

    @property
    def ahead(self) -> tuple[Joining, ...]:  # type: ignore[override]
        """Peaks, so that no exponential overflows; for a running estimate over rows or scenes also the
        batch's tilted mean, since their weights depend on it."""
        if self._tilts_entries:
            return ("max", "sum") if self._runs else ("max",)
        return ("max",) if self._tilts_within else ()

    @property
    def _tilts(self) -> bool:
        return self.t != 0 or self.anneal > 0

    @property
    def _runs(self) -> bool:
        """Whether the weights follow from a running estimate."""
        return self.solver == "running_weights" and self._tilts

    @property
    def _tilts_entries(self) -> bool:
        """Whether the entries that are tilted lie in the parts of a batch: rows or scenes, not classes."""
        return self.level in ("row", "scene") and self._tilts

    @property
    def _tilts_within(self) -> bool:
        return self.level == "hierarchical" and self.within_t != 0

    def forward(self, logits: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """Scalar loss; ``sample`` (N,) is the scene of each row, for ``level="scene"`` (images: one each)."""
        if self.level == "scene" and sample is None and labels.ndim == 1:
            raise ValueError("level='scene' needs the scene of each row: call with (logits, labels, sample).")
        return super().forward(logits, labels, sample)

    def preliminary(self, number: int, rows: Supervised, facts: BatchFacts) -> Tensor:
        if self._tilts_within:
            return class_peaks(self._row_losses(rows), rows.labels, rows.num_classes, self.within_t)
        losses, prior = self._entries(rows)
        if number == 0:
            return peak_of(losses, prior, self.tilt(facts.progress))
        sums = tilt_sums(losses, prior, facts.ahead[0], self.tilt(facts.progress))
        return torch.stack([sums[name] for name in _TILT])

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        if self.level in ("class", "hierarchical"):
            losses = self._row_losses(rows)
            if self._tilts_within:
                return class_tilt_sums(losses, rows.labels, facts.ahead[0], self.within_t)
            return {"losses": class_sums(losses, rows.labels, rows.num_classes)}
        losses, prior = self._entries(rows)
        if self._runs:
            weights = self._weights(losses, prior, self._batch_mean({}, facts), facts)
            return {"losses": (weights * losses).sum(), "prior": prior.sum()}
        peak = facts.ahead[0] if self._tilts_entries else prior.new_zeros(())
        return tilt_sums(losses, prior, peak, self.tilt(facts.progress))

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        t = self.tilt(facts.progress)
        if self.level in ("class", "hierarchical"):
            losses, q = self._class_losses(sums, facts)
            if self.training and self.solver == "group_sampling":
                return self._sampled(losses, q, t)
            if self._runs:
                return (self._weights(losses, q, tilted_mean(losses.detach(), q, t), facts) * losses).sum()
            return tilted_mean(losses, q, t)
        if self._runs:
            return sums["losses"] / sums["prior"].clamp(min=torch.finfo(sums["prior"].dtype).tiny)
        peak = facts.ahead[0] if self._tilts_entries else sums["prior"]
        return tilt_of(sums, peak, t)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        if self._runs:
            self.estimate.copy_(self._updated(self._batch_mean(sums, facts), self.tilt(facts.progress)))
        if self.solver == "group_sampling":
            losses = self._class_losses(sums, facts)[0]
            followed = self._followed(losses, facts.present)
            if len(self.class_losses) != len(followed):
                self.class_losses = followed
            self.class_losses.copy_(followed)

    def _row_losses(self, rows: Supervised) -> Tensor:
        losses = row_cross_entropy(rows.logits, rows.labels)
        return adaptive_row_losses(losses) if self.row_loss == "pat" else losses

    def _entries(self, rows: Supervised) -> tuple[Tensor, Tensor]:
        """(M,) losses and prior of the rows, or of the scenes, of a part of the batch."""
        losses, labels = self._row_losses(rows), rows.labels
        if self.level == "row":
            return losses, (labels >= 0).to(losses.dtype)
        scene = torch.where(labels >= 0, rows.sample, IGNORE)
        losses, counts = class_means(losses, scene, rows.num_samples)
        return losses, (counts > 0).to(losses.dtype)

    def _class_losses(self, sums: Sums, facts: BatchFacts) -> tuple[Tensor, Tensor]:
        """(K,) losses and prior of the classes."""
        if self._tilts_within:
            losses = class_tilts_of(sums, facts.ahead[0], facts.rows, self.within_t)
        else:
            losses = means_of(sums["losses"], facts.rows)
        return losses, self.prior(facts).to(losses.dtype)

    @torch.no_grad()
    def _batch_mean(self, sums: Sums, facts: BatchFacts) -> Tensor:
        """The tilted mean of the joined batch."""
        t = self.tilt(facts.progress)
        if self.level in ("class", "hierarchical"):
            return tilted_mean(*self._class_losses(sums, facts), t)
        of_entries = dict(zip(_TILT, facts.ahead[1], strict=True))
        return tilt_of(of_entries, facts.ahead[0], t)

    def _sampled(self, losses: Tensor, q: Tensor, t: float) -> Tensor:
        """Mean loss of the classes drawn by Gumbel top-k."""
        with torch.no_grad():
            running = self._followed(losses, q > 0).to(losses.dtype)
            uniform = to_device(torch.rand(len(losses), dtype=torch.float64), losses.device)
            gumbel = -torch.log(-torch.log(same_on_all_processes(uniform).clamp(1e-12, 1 - 1e-12)))
            scores = torch.where(q > 0, t * running + q.log() + gumbel, -torch.inf)
            best, drawn = scores.topk(min(self.sampled_classes, len(scores)))
            weights = torch.zeros_like(losses)
            weights[drawn] = best.isfinite().to(weights.dtype)
        return (normalised(weights) * losses).sum()

    @torch.no_grad()
    def _followed(self, losses: Tensor, present: Tensor) -> Tensor:
        """(K,) float64 running class losses after a batch; those of absent classes stay."""
        before = self.class_losses if len(self.class_losses) else torch.full_like(losses, math.inf).double()
        blended = (1 - self.rho) * before + self.rho * losses.double()
        return torch.where(present, torch.where(before.isinf(), losses.double(), blended), before)

    @torch.no_grad()
    def _weights(self, losses: Tensor, q: Tensor, batch: Tensor, facts: BatchFacts) -> Tensor:
        """(M,) weights q exp(t (l - R)), R followed to a batch with tilted mean ``batch`` where it trains."""
        t = self.tilt(facts.progress)
        estimate = self._updated(batch, t) if self.training else self._current(batch.double())
        exponent = (t * (losses - estimate.to(losses.dtype))).clamp(max=self.cap)
        return torch.where(q > 0, q * exponent.exp(), torch.zeros_like(q))

    def _current(self, batch: Tensor) -> Tensor:
        return torch.where(self.estimate.isinf(), batch, self.estimate.double())

    def _updated(self, batch: Tensor, t: float) -> Tensor:
        """The running estimate after a batch with this tilted mean, in float64."""
        batch = batch.double()
        old = t * self._current(batch) + (math.log1p(-self.rho) if self.rho < 1 else -math.inf)
        return torch.logaddexp(old, t * batch + math.log(self.rho)) / t

    def _load_from_state_dict(self, state_dict: Mapping[str, Any], prefix: str, *args: Any) -> None:
        saved = state_dict.get(prefix + "class_losses")
        if saved is not None and len(saved) != len(self.class_losses):
            self.class_losses = torch.full_like(saved, math.inf, device=self.class_losses.device)
        super()._load_from_state_dict(state_dict, prefix, *args)


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}; got {value!r}.")


class TiltedCrossEntropyConfig(ClassPriorConfig):
    """Options of :class:`TiltedCrossEntropy` in a training run."""

    type: Literal["tilted"] = "tilted"
    t: float = 1.0
    level: Level = "class"
    solver: Solver = "batch"
    rho: float = Field(default=0.1, gt=0, le=1)
    cap: float = Field(default=20.0, gt=0)
    within_t: float = 1.0
    sampled_classes: int = Field(default=1, ge=1)
    row_loss: RowKind = "cross_entropy"
    t_start: float = 0.0
    anneal: float = Field(default=0.0, ge=0, le=1)
    synchronize: bool = True

    @model_validator(mode="after")
    def _options_fit(self) -> TiltedCrossEntropyConfig:
        self._tilted(None, 0)
        return self

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> TiltedCrossEntropy:
        return self._tilted(self.build_prior(statistics), label_space.num_classes)

    def _tilted(self, prior: ClassPrior | None, num_classes: int) -> TiltedCrossEntropy:
        options = self.model_dump(exclude={"type", "weight", "head", "exponent", "counts"})
        return TiltedCrossEntropy(**options, prior=prior, num_classes=num_classes)
