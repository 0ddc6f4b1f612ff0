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
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.core.transfer import to_device
from pointseg.losses.adaptive import adaptive_row_losses
from pointseg.losses.base import LossConfig, LossTerm
from pointseg.losses.class_sums import class_means
from pointseg.losses.layout import checked_labels
from pointseg.losses.processes import same_on_all_processes, sum_over_processes
from pointseg.losses.softmax_rows import mean_cross_entropy, row_cross_entropy
from pointseg.losses.tilted_mean import normalised, tilted_class_means, tilted_mean

Prior = Literal["frequency", "uniform"]
Level = Literal["class", "row", "scene", "hierarchical"]
RowLoss = Literal["cross_entropy", "pat"]


class TiltedCrossEntropy(nn.Module):
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
        synchronize: under data parallel, all processes make one loss: that of the joined batch.
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
        row_loss: RowLoss = "cross_entropy",
        synchronize: bool = True,
        ignore_index: int = IGNORE,
    ) -> None:
        super().__init__()
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
        self.synchronize, self.ignore_index = synchronize, ignore_index
        # Infinite until the first batch.
        self.register_buffer("estimate", torch.tensor(math.inf, dtype=torch.float64))

    def forward(self, logits: Tensor, labels: Tensor, sample: Tensor | None = None) -> Tensor:
        """Scalar loss; ``sample`` (N,) is the scene of each row, for ``level="scene"`` (images: one each)."""
        num_classes = logits.shape[1]
        labels = checked_labels(logits, labels, num_classes=num_classes, ignore_index=self.ignore_index)
        if self.level == "scene" and sample is None:
            if labels.ndim == 1:
                raise ValueError(
                    "level='scene' needs the scene of each row: call with (logits, labels, sample)."
                )
            sample = torch.arange(len(labels), device=labels.device).repeat_interleave(labels[0].numel())
        return self.of_checked(logits, labels, sample)

    def of_checked(
        self, logits: Tensor, labels: Tensor, sample: Tensor | None, *, num_samples: int | None = None
    ) -> Tensor:
        """The loss for labels that are known to be 0..K-1 or IGNORE: to look at them waits for a GPU.

        Args:
            logits, labels, sample: as for ``forward``.
            num_samples: number of scenes; None finds it, by a look at ``sample``.
        """
        num_classes = logits.shape[1]
        rows = row_cross_entropy(logits, labels).flatten()
        if self.row_loss == "pat":
            rows = adaptive_row_losses(rows)
        losses, counts = self._level_losses(rows, labels.flatten(), sample, num_classes, num_samples)
        prior = counts if self.prior == "frequency" else (counts > 0).to(losses.dtype)
        if self.training and self.sampled_classes is not None:
            return self._sampled(losses, prior, self.sampled_classes)
        if self.stochastic and self.t != 0:
            return self._stochastic(losses, prior)
        return tilted_mean(losses, prior, self.t, synchronize=self._entries_are_local)

    @property
    def _entries_are_local(self) -> bool:
        """Rows and scenes belong to one process; classes are shared, their losses joined already."""
        return self.synchronize and self.level in ("row", "scene")

    def _level_losses(
        self, rows: Tensor, labels: Tensor, sample: Tensor | None, num_classes: int, num_samples: int | None
    ) -> tuple[Tensor, Tensor]:
        """Loss of each class, scene or row, and the rows that it stands for."""
        if self.level == "row":
            return rows, (labels >= 0).to(rows.dtype)
        if self.level == "scene":
            assert sample is not None
            if num_samples is None:
                num_samples = int(sample.max()) + 1 if sample.numel() else 1
            return class_means(rows, torch.where(labels >= 0, sample, IGNORE), num_samples)
        if self.level == "hierarchical" and self.within_t != 0:
            return tilted_class_means(rows, labels, num_classes, self.within_t, synchronize=self.synchronize)
        return class_means(rows, labels, num_classes, synchronize=self.synchronize)

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
        local = self._entries_are_local
        with torch.no_grad():
            q = normalised(prior, synchronize=local)
            batch = tilted_mean(losses, prior, self.t, synchronize=local).double()
            any_row = (sum_over_processes(prior.sum()) if local else prior.sum()) > 0
            estimate = self._updated(batch, any_row) if self.training else self._current(batch)
            exponent = (self.t * (losses - estimate.to(losses.dtype))).clamp(max=self.cap)
            weights = torch.where(q > 0, q * exponent.exp(), torch.zeros_like(q))
            if self.normalize:
                weights = normalised(weights, synchronize=local)
        total = (weights * losses).sum()
        return sum_over_processes(total) if local else total

    def _current(self, batch: Tensor) -> Tensor:
        return torch.where(self.estimate.isinf(), batch, self.estimate.double())

    def _updated(self, batch: Tensor, any_row: Tensor) -> Tensor:
        old = self.t * self._current(batch) + (math.log1p(-self.rho) if self.rho < 1 else -math.inf)
        new = torch.logaddexp(old, self.t * batch + math.log(self.rho)) / self.t
        self.estimate.copy_(torch.where(any_row, new, self.estimate.double()))
        return new


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
    row_loss: RowLoss = "cross_entropy"
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
        return TiltedCrossEntropy(**self.model_dump(exclude={"type", "weight", "warmup"}))


class TiltedCrossEntropyTerm(LossTerm):
    """:class:`TiltedCrossEntropy` on the logits of a batch, after a warm-up with plain cross entropy."""

    accepts_ignored = True

    def __init__(self, tilted: TiltedCrossEntropy, *, warmup: float = 0.0) -> None:
        super().__init__()
        self.tilted, self.warmup = tilted, warmup

    def forward(self, supervised: Supervised) -> Tensor:
        if supervised.progress < self.warmup:
            return mean_cross_entropy(supervised.logits, supervised.labels)
        return self.tilted.of_checked(
            supervised.logits, supervised.labels, supervised.sample, num_samples=supervised.num_samples
        )
