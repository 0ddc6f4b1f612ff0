"""TCE: tilted cross entropy, between the mean over classes (t -> 0) and the worst class (t -> infinity).

Source: Szabo, Jamali-Rad, Mannava, "Tilted Cross-Entropy (TCE): Promoting Fairness in Semantic Segmentation",
CVPRW 2021, arXiv 2103.14051, on Tilted Empirical Risk Minimization (TERM; Li et al., ICLR 2021). The formula
of TCE is not public; everything here is a reconstruction after TERM.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.core.transfer import to_device
from pointseg.losses.adaptive import adaptive_row_losses
from pointseg.losses.base import Joining, LossConfig, LossTerm, Sums
from pointseg.losses.class_sums import class_means, class_sums, means_of
from pointseg.losses.cross_entropy import CrossEntropy
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

Prior = Literal["frequency", "uniform"]
Level = Literal["class", "row", "scene", "hierarchical"]
RowKind = Literal["cross_entropy", "pat"]

#: Sums of a tilted mean, in the order in which they travel.
_TILT = ("excess", "mean", "prior")


class TiltedCrossEntropy(RowLoss):
    """Tilted aggregation of the cross entropy over classes, rows or scenes. A reconstruction.

    ``class``: l_c = mean cross entropy of the rows of class c, L(t) = (1/t) log sum_c q_c exp(t l_c) over the
    present c. ``row``: (1/t) log mean_i exp(t CE_i). ``scene``: tilt over the means of the scenes.
    ``hierarchical``: as ``class``, with l_c itself tilted over the rows of the class by ``within_t``.

    Stochastic form, after TERM's running estimate (a mini-batch log-mean-exp is biased low): keep
    R <- (1/t) log((1 - rho) e^(tR) + rho e^(t L_B(t))) in the log domain, and train on sum_c w_c l_c with
    w_c = q_c exp(min(t (l_c - R), cap)), held constant and, by ``normalize``, summing to 1. With rho = 1 and
    ``normalize`` its gradient is that of L(t). TERM's published code subtracts a maximum of the batch which
    is not carried along; the log domain needs none.

    Sampled form, TERM's other solver: train on the mean of ``sampled_classes`` losses, drawn without
    replacement with chances as q_c exp(t l_c) (Gumbel top-k).

    Args:
        t: tilt; 0 is the plain mean.
        prior: ``frequency``: q = rows of the class / all rows (t -> 0 gives plain cross entropy).
            ``uniform``: every present class equally (t -> 0 gives class-balanced cross entropy). Of scenes
            likewise; rows are always equal.
        level: what is tilted.
        stochastic: train by the running estimate; it is part of the module's state.
        rho: rate of the running estimate, in (0, 1].
        normalize: make the stochastic weights sum to 1.
        cap: largest exponent of a stochastic weight.
        within_t: tilt within a class, for ``hierarchical``.
        sampled_classes: train on so many classes, drawn by tilt; None for all. Not with ``stochastic``.
        row_loss: ``cross_entropy``, or ``pat``: each row's CE times PAT's weight exp(1 - p_y) / 2.
        synchronize: all parts of a batch (processes, accumulated micro-batches) make one loss: that of the
            joined batch. Else it is ``local``: each part makes its own, and their mean is taken.
        ignore_index: label of rows to leave out.

    Shapes: logits (N, K) with labels (N,), or (B, K, H, W) with (B, H, W); returns a scalar, in float32 or
    wider. Without a labelled row it is 0, connected to the logits, and the state does not move.

    Raises:
        ValueError: for a t that is not finite, rho outside (0, 1], or options that exclude each other.
    """

    estimate: Tensor

    def __init__(
        self,
        t: float = 1.0,
        *,
        prior: Prior = "uniform",
        level: Level = "class",
        stochastic: bool = False,
        rho: float = 0.1,
        normalize: bool = True,
        cap: float = 20.0,
        within_t: float = 1.0,
        sampled_classes: int | None = None,
        row_loss: RowKind = "cross_entropy",
        synchronize: bool = True,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__(ignore_index=ignore_index)
        if not (math.isfinite(t) and math.isfinite(within_t)):
            raise ValueError(
                f"The tilt must be a finite number; got t={t}, within_t={within_t}. Use 0 for the plain mean."
            )
        if not 0 < rho <= 1:
            raise ValueError(f"rho must lie in (0, 1]; got {rho}.")
        _check_choice("prior", prior, ("frequency", "uniform"))
        _check_choice("level", level, ("class", "row", "scene", "hierarchical"))
        _check_choice("row_loss", row_loss, ("cross_entropy", "pat"))
        if sampled_classes is not None:
            if stochastic or level not in ("class", "hierarchical"):
                raise ValueError(
                    "sampled_classes draws classes: it needs level class or hierarchical, and not stochastic."
                )
            if sampled_classes < 1:
                raise ValueError(f"sampled_classes must be 1 or more; got {sampled_classes}.")
        self.t, self.prior, self.level, self.stochastic = float(t), prior, level, stochastic
        self.rho, self.normalize, self.cap, self.within_t = rho, normalize, cap, within_t
        self.sampled_classes, self.row_loss = sampled_classes, row_loss
        self.local = not synchronize
        # Infinite until the first batch.
        self.register_buffer("estimate", torch.tensor(math.inf, dtype=torch.float64))

    @property
    def linear(self) -> bool:  # type: ignore[override]
        """Without tilt and draws the loss is a mean over classes."""
        return self.t == 0 and self.level == "class" and self.sampled_classes is None

    @property
    def ahead(self) -> tuple[Joining, ...]:  # type: ignore[override]
        """Peaks, so that no exponential overflows; for a running estimate over rows or scenes also the
        batch's tilted mean, since their weights depend on it."""
        if self._tilts_entries:
            return ("max", "sum") if self.stochastic else ("max",)
        return ("max",) if self._tilts_within else ()

    @property
    def _tilts_entries(self) -> bool:
        """Whether the entries that are tilted lie in the parts of a batch: rows or scenes, not classes."""
        return self.level in ("row", "scene") and self.t != 0

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
            return peak_of(losses, prior, self.t)
        sums = tilt_sums(losses, prior, facts.ahead[0], self.t)
        return torch.stack([sums[name] for name in _TILT])

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        if self.level in ("class", "hierarchical"):
            losses = self._row_losses(rows)
            if self._tilts_within:
                return class_tilt_sums(losses, rows.labels, facts.ahead[0], self.within_t)
            return {"losses": class_sums(losses, rows.labels, rows.num_classes)}
        losses, prior = self._entries(rows)
        if self.stochastic and self._tilts_entries:
            weights = self._weights(losses, prior, self._batch_mean({}, facts))
            return {
                "losses": (weights * losses).sum(),
                "weights": weights.sum(),
                "prior": prior.sum(),
            }
        peak = facts.ahead[0] if self._tilts_entries else prior.new_zeros(())
        return tilt_sums(losses, prior, peak, self.t)

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        if self.level in ("class", "hierarchical"):
            losses, prior = self._class_losses(sums, facts)
            if self.training and self.sampled_classes is not None:
                return self._sampled(losses, prior, self.sampled_classes)
            if self.stochastic and self.t != 0:
                return self._stochastic(losses, prior)
            return tilted_mean(losses, prior, self.t)
        if self.stochastic and self._tilts_entries:
            total = sums["weights" if self.normalize else "prior"]
            return sums["losses"] / total.clamp(min=torch.finfo(total.dtype).tiny)
        peak = facts.ahead[0] if self._tilts_entries else sums["prior"]
        return tilt_of(sums, peak, self.t)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        if self.stochastic and self.t != 0:
            self.estimate.copy_(self._updated(self._batch_mean(sums, facts)))

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
        return losses, self._prior(counts)

    def _class_losses(self, sums: Sums, facts: BatchFacts) -> tuple[Tensor, Tensor]:
        """(K,) losses and prior of the classes."""
        if self._tilts_within:
            losses = class_tilts_of(sums, facts.ahead[0], facts.rows, self.within_t)
        else:
            losses = means_of(sums["losses"], facts.rows)
        return losses, self._prior(facts.rows.to(losses.dtype))

    def _prior(self, counts: Tensor) -> Tensor:
        return counts if self.prior == "frequency" else (counts > 0).to(counts.dtype)

    @torch.no_grad()
    def _batch_mean(self, sums: Sums, facts: BatchFacts) -> Tensor:
        """The tilted mean of the joined batch."""
        if self.level in ("class", "hierarchical"):
            return tilted_mean(*self._class_losses(sums, facts), self.t)
        of_entries = dict(zip(_TILT, facts.ahead[1], strict=True))
        return tilt_of(of_entries, facts.ahead[0], self.t)

    def _sampled(self, losses: Tensor, prior: Tensor, number: int) -> Tensor:
        """Mean loss of the classes drawn by Gumbel top-k."""
        with torch.no_grad():
            uniform = to_device(torch.rand(len(losses), dtype=torch.float64), losses.device)
            gumbel = -torch.log(-torch.log(same_on_all_processes(uniform).clamp(1e-12, 1 - 1e-12)))
            scores = torch.where(prior > 0, self.t * losses + prior.log() + gumbel, -torch.inf)
            best, drawn = scores.topk(min(number, len(scores)))
            weights = torch.zeros_like(losses)
            weights[drawn] = best.isfinite().to(weights.dtype)
        return (normalised(weights) * losses).sum()

    def _stochastic(self, losses: Tensor, prior: Tensor) -> Tensor:
        with torch.no_grad():
            q = normalised(prior)
            weights = self._weights(losses, q, tilted_mean(losses, prior, self.t))
            if self.normalize:
                weights = normalised(weights)
        return (weights * losses).sum()

    @torch.no_grad()
    def _weights(self, losses: Tensor, q: Tensor, batch: Tensor) -> Tensor:
        """(M,) weights q exp(t (l - R)), R followed to a batch with tilted mean ``batch`` where it trains."""
        estimate = self._updated(batch) if self.training else self._current(batch.double())
        exponent = (self.t * (losses - estimate.to(losses.dtype))).clamp(max=self.cap)
        return torch.where(q > 0, q * exponent.exp(), torch.zeros_like(q))

    def _current(self, batch: Tensor) -> Tensor:
        return torch.where(self.estimate.isinf(), batch, self.estimate.double())

    def _updated(self, batch: Tensor) -> Tensor:
        """The running estimate after a batch with this tilted mean, in float64."""
        batch = batch.double()
        old = self.t * self._current(batch) + (math.log1p(-self.rho) if self.rho < 1 else -math.inf)
        return torch.logaddexp(old, self.t * batch + math.log(self.rho)) / self.t


def _check_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be {', '.join(choices[:-1])} or {choices[-1]}; got {value!r}.")


class TiltedCrossEntropyConfig(LossConfig):
    """Options of :class:`TiltedCrossEntropy` in a training run.

    Args:
        warmup: share of the training with plain cross entropy before the tilt begins.
    """

    type: Literal["tilted"] = "tilted"
    t: float = 1.0
    prior: Prior = "uniform"
    level: Level = "class"
    stochastic: bool = True
    rho: float = Field(default=0.1, gt=0, le=1)
    normalize: bool = True
    cap: float = Field(default=20.0, gt=0)
    within_t: float = 1.0
    sampled_classes: int | None = Field(default=None, ge=1)
    row_loss: RowKind = "cross_entropy"
    warmup: float = Field(default=0.05, ge=0, le=1)
    synchronize: bool = True

    @model_validator(mode="after")
    def _options_fit(self) -> TiltedCrossEntropyConfig:
        self._tilted()
        return self

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> TiltedCrossEntropyTerm:
        return TiltedCrossEntropyTerm(self._tilted(), warmup=self.warmup)

    def _tilted(self) -> TiltedCrossEntropy:
        return TiltedCrossEntropy(**self.model_dump(exclude={"type", "weight", "head", "warmup"}))


class TiltedCrossEntropyTerm(LossTerm):
    """:class:`TiltedCrossEntropy` on the logits of a batch, after a warm-up with plain cross entropy."""

    def __init__(self, tilted: TiltedCrossEntropy, *, warmup: float = 0.0) -> None:
        super().__init__()
        self.tilted, self.warmup = tilted, warmup
        self.plain = CrossEntropy()
        self.local, self.linear, self.ahead = tilted.local, tilted.linear, tilted.ahead

    def preliminary(self, number: int, rows: Supervised, facts: BatchFacts) -> Tensor:
        # In the warm-up too: how many messages there are must not depend on the step.
        return self.tilted.preliminary(number, rows, facts)

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        return self._now(facts).sums(rows, facts)

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        return self._now(facts).value(sums, facts)

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        self._now(facts).move(sums, facts)

    def _now(self, facts: BatchFacts) -> LossTerm:
        return self.plain if facts.progress < self.warmup else self.tilted
