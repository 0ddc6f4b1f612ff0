"""DropClass: a head that suppresses random classes in the features; the others must do without them.

Source: Chu, Kim, Han, "Learning Debiased and Disentangled Representations for Semantic Segmentation"
(DropClass), NeurIPS 2021, arXiv 2111.00531, and its released code.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
import torch.distributed as dist
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from pointseg.core.prediction import Prediction
from pointseg.core.rows import Branch
from pointseg.core.transfer import to_device
from pointseg.models.heads import Head, HeadConfig

SampleFrom = Literal["all", "present"]


class ClassSuppressionHead(Head):
    """Classifier on features and, beside it, on features from which random classes are suppressed.

    With classifier rows W_c and keep marks r_c (0 for dropped classes), the class-specific features
    ReLU(W_c * A) are averaged over the kept classes, A_gated = sum_c r_c ReLU(W_c * A) / sum_c r_c, and
    mapped by A_drop = ReLU(BN(Linear(A_gated))); the same classifier scores A and A_drop.

    In training the prediction has two branches, the logits of A with weight 1 - p and those of A_drop with
    weight p = progress, which ignores the dropped classes: with probability p classes are dropped, else none.
    The same ones on all processes of a data-parallel run. At evaluation there is one branch, of A_drop with
    nothing dropped. The loss of both is pointseg.losses.ClassSuppression.

    Args:
        feature_dim: D.
        num_classes: K.
        num_dropped: classes dropped at a time. One, as released, changes the gate little where K is large;
            about K / 20 has the published strength.
        sample_from: ``all`` K classes alike, as released, or those ``present`` in the labels of the batch, of
            which one at least is kept where there are two.

    Raises:
        ValueError: if not 1 <= num_dropped < K, or an option is unknown.

    Departure: the released code gates with g = sum_c r_c ReLU(W_c) / sum_c r_c, which equals the published
    form for features without negative values only. Here negative values have a gate of their own, ReLU(W a) =
    ReLU(W) a+ + ReLU(-W) a-, so that the published form holds for all features, without an N x K x D tensor.
    """

    def __init__(
        self,
        feature_dim: int,
        num_classes: int,
        *,
        num_dropped: int = 1,
        sample_from: SampleFrom = "all",
    ) -> None:
        super().__init__()
        if not 1 <= num_dropped < num_classes:
            raise ValueError(
                f"num_dropped must be 1 to {num_classes - 1}, fewer than the {num_classes} classes; "
                f"got {num_dropped}."
            )
        if sample_from not in ("all", "present"):
            raise ValueError(f"sample_from must be all or present; got {sample_from!r}.")
        self.feature_dim, self.num_classes = feature_dim, num_classes
        self.num_dropped, self.sample_from = num_dropped, sample_from
        self.classifier = nn.Linear(feature_dim, num_classes)
        self.linear = nn.Linear(feature_dim, feature_dim)
        self.norm = nn.BatchNorm1d(feature_dim)

    def forward(
        self,
        features: Tensor,
        labels: Tensor | None = None,
        progress: float = 0.0,
        present: Tensor | None = None,
    ) -> Prediction:
        """Class scores.

        Args:
            features: A, (N, D) or (B, D, *S).
            labels: (N,) or (B, *S); needed in training with ``sample_from="present"`` only. Values outside
                0..K-1 are no class.
            progress: p, share of the training that is done, in [0, 1].
            present: (K,) bool, classes of the whole batch of the step; None takes those of ``labels`` on all
                processes.
        """
        rows = features if features.ndim == 2 else features.movedim(1, -1).reshape(-1, features.shape[1])
        weight = self.classifier.weight
        if not self.training:
            refined = self._refined(rows, torch.ones(self.num_classes, device=rows.device))
            logits = _laid_out_as(features, self.classifier(refined))
            return Prediction.of(logits, _laid_out_as(features, refined), weight)
        dropped = self._draw(labels, progress, rows.device, present)
        keep = torch.ones(self.num_classes, device=rows.device).index_fill(0, dropped, 0.0)
        refined = self._refined(rows, keep)
        plain = Branch(_laid_out_as(features, self.classifier(rows)), weight=1 - progress)
        # Nothing dropped is known without a look at the device, and costs its loss no mask.
        ignored = dropped if len(dropped) else None
        suppressed = Branch(_laid_out_as(features, self.classifier(refined)), progress, ignored)
        return Prediction((plain, suppressed), features, weight)

    def gates(self, keep: Tensor) -> tuple[Tensor, Tensor]:
        """(D,) gates g+ and g- of positive and negative features; r = ``keep`` (K,) is 1 for kept classes.

        sum_c r_c ReLU(W_c * A) / sum_c r_c = g+ * max(A, 0) + g- * max(-A, 0).
        """
        # Sums over classes run in float32 also under autocast.
        weight = self.classifier.weight.to(torch.promote_types(self.classifier.weight.dtype, torch.float32))
        share = (keep / keep.sum()).to(weight.dtype)[:, None]
        return (share * F.relu(weight)).sum(0), (share * F.relu(-weight)).sum(0)

    def linear_of_gated(self, rows: Tensor, keep: Tensor) -> Tensor:
        """The linear layer on the gated features of ``rows`` (N, D), without making these.

        A gate of each channel can as well scale the column of the weight that the channel meets.
        """
        positive, negative = self.gates(keep)
        weight, bias = self.linear.weight, self.linear.bias
        nonnegative = self.nonnegative
        if nonnegative is None:
            nonnegative = rows.numel() == 0 or bool(rows.detach().min() >= 0)
        if nonnegative:
            return F.linear(rows, weight * positive, bias)
        # g+ max(a, 0) + g- max(-a, 0) = a (g+ - g-) / 2 + |a| (g+ + g-) / 2
        odd = F.linear(rows, weight * ((positive - negative) / 2), bias)
        return odd + F.linear(rows.abs(), weight * ((positive + negative) / 2))

    def _refined(self, rows: Tensor, keep: Tensor) -> Tensor:
        hidden = self.linear_of_gated(rows, keep)
        if self.training and len(rows) < 2 and isinstance(self.norm, nn.BatchNorm1d):
            # One row has no variance; torch refuses it.
            norm = self.norm
            hidden = F.batch_norm(
                hidden, norm.running_mean, norm.running_var, norm.weight, norm.bias, eps=norm.eps
            )
        else:
            hidden = self.norm(hidden)
        # The norm's gradient needs its input, not its output.
        return F.relu_(hidden)

    @torch.no_grad()
    def _draw(
        self,
        labels: Tensor | None,
        progress: float,
        device: torch.device,
        present: Tensor | None = None,
    ) -> Tensor:
        """(M,) int64 ascending: the classes to drop in this forward, the same on all processes."""
        if not 0 <= progress <= 1:
            raise ValueError(f"progress must lie in [0, 1]; got {progress}.")
        chosen = self._drawn_by_host(progress, self._present(labels, device, present))
        if not _data_parallel():
            return to_device(chosen, device)
        marks = to_device(torch.zeros(self.num_classes, dtype=torch.uint8).index_fill(0, chosen, 1), device)
        dist.broadcast(marks, src=0)
        # The host learns here how many the first process has drawn.
        return torch.nonzero(marks).squeeze(1)

    def _drawn_by_host(self, progress: float, present: Tensor | None) -> Tensor:
        """(M,) int64 ascending classes to drop, among those ``present``; all of it on the CPU."""
        # As many random numbers with and without a drop: later ones do not depend on it.
        drop, order = torch.rand(()) < progress, torch.rand(self.num_classes)
        number = self.num_dropped
        if present is not None:
            order = order.masked_fill(~present, -1.0)
            count = int(present.sum())
            number = min(number, max(count - 1, min(count, 1)))
        return order.topk(number if drop else 0).indices.sort().values

    def _present(self, labels: Tensor | None, device: torch.device, known: Tensor | None) -> Tensor | None:
        """(K,) bool on the CPU: classes with a row on any process; None where all may be drawn."""
        if self.sample_from == "all":
            return None
        if known is not None:
            return known.cpu()
        if labels is None:
            raise ValueError(
                "sample_from='present' needs labels in training: call with (features, labels, progress)."
            )
        is_class = (labels >= 0) & (labels < self.num_classes)
        bins = torch.where(is_class, labels, self.num_classes).long().flatten()
        present = torch.zeros(self.num_classes + 1, dtype=torch.uint8, device=device)
        present = present.index_fill_(0, bins, 1)[: self.num_classes].contiguous()
        if _data_parallel():
            dist.all_reduce(present, op=dist.ReduceOp.MAX)
        return present.cpu().bool()


class ClassSuppressionHeadConfig(HeadConfig):
    """Options of :class:`ClassSuppressionHead`.

    Args:
        alpha: weight of the penalty on the dropped classes' probability.
    """

    num_branches: ClassVar[int] = 2

    type: Literal["class_suppression"] = "class_suppression"
    alpha: float = Field(default=10.0, ge=0)
    num_dropped: int = Field(default=1, ge=1)
    sample_from: SampleFrom = "all"

    def extra_losses(self) -> dict[str, dict[str, Any]]:
        return {"suppression": {"type": "ignored_probability", "alpha": self.alpha}}

    def build(self, in_channels: int, num_classes: int) -> ClassSuppressionHead:
        return ClassSuppressionHead(
            in_channels,
            num_classes,
            num_dropped=self.num_dropped,
            sample_from=self.sample_from,
        )


def _laid_out_as(features: Tensor, rows: Tensor) -> Tensor:
    """Rows (N, C) back in the layout of ``features``, (B, C, *S)."""
    if features.ndim == 2:
        return rows
    return rows.reshape(features.shape[0], *features.shape[2:], -1).movedim(-1, 1)


def _data_parallel() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
