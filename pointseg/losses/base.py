"""LossTerm: the one contract of all losses; LossConfig, its options; and BranchTerms for several branches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar, Literal, TypeAlias

import torch
from pydantic import Field
from torch import Tensor, nn

from pointseg.config import Config
from pointseg.core.labels import LabelSpace
from pointseg.core.rows import MAIN, Supervised
from pointseg.core.statistics import ClassStatistics
from pointseg.losses.facts import BatchFacts, join_facts
from pointseg.losses.processes import max_over_processes, sum_over_processes

#: Name of a quantity -> a tensor that adds up over the rows of a batch.
Sums: TypeAlias = Mapping[str, Tensor]
#: How preliminary results of parts become those of the whole.
Joining: TypeAlias = Literal["max", "sum"]


class LossTerm(nn.Module):
    """One term of the objective: what it adds up over rows, and how its value follows from the sums.

    A step's batch may lie in parts: one for each process, and for each micro-batch that a step accumulates.
    A term sees one part in :meth:`sums`, and the whole in :meth:`value`; adding up between the two is the
    Objective's business (or :meth:`of`'s, for one loss alone), so no term talks to other processes and all of
    them give the loss and gradient of the joined batch. All of it runs outside autocast, in float32 or wider,
    and none of it may wait for the device. Randomness comes from torch's global generator, which the trainer
    seeds anew for each part of a step, equally on all processes.

    A part may be without a row, and so may be the whole: sums and value are finite then, and connected to all
    that learns. Labels are 0..K-1; those of a classification loss may also be IGNORE, where a branch of the
    prediction leaves classes out: such rows add nothing to any sum.

    Attributes:
        linear: the value is a linear function of those sums that carry a gradient, given the facts: then the
            values of parts add up to that of the whole, and accumulating needs one pass. May be a property.
        local: cannot be summed: each part has a value of its own, from its own facts, and the loss is the
            mean over the parts that have a labelled row.
        needs_features: whether it looks at the features of the rows; else they may be without, (N, 0).
        needs_surroundings: whether it looks at what lies around the rows, which costs a search for them.
        ahead: how to join the preliminary results that ``sums`` needs, one after the other; each costs
            another message, and another pass where a step accumulates.
    """

    linear: bool = False
    local: bool = False
    needs_features: bool = True
    needs_surroundings: bool = False
    ahead: tuple[Joining, ...] = ()

    def preliminary(self, number: int, rows: Supervised, facts: BatchFacts) -> Tensor:
        """What is to be joined by ``ahead[number]`` before the sums, which find it in ``facts.ahead``.

        Called without gradient; ``facts.ahead`` holds the results of the numbers before.
        """
        raise TypeError(f"{type(self).__name__} must define preliminary(number, rows, facts).")

    def sums(self, rows: Supervised, facts: BatchFacts) -> Sums:
        """Quantities of a part of the batch that add up over its parts; always of the same names and shapes.

        Args:
            rows: the part.
            facts: of the whole batch, and with the results asked for by ``ahead``.
        """
        raise TypeError(f"{type(self).__name__} must define sums(rows, facts).")

    def value(self, sums: Sums, facts: BatchFacts) -> Tensor:
        """The scalar loss of the batch; a finite zero, connected to the sums, where it has no row.

        The state of the term (buffers) stays as it is.
        """
        raise TypeError(f"{type(self).__name__} must define value(sums, facts) -> scalar.")

    def move(self, sums: Sums, facts: BatchFacts) -> None:
        """Move the running state by the batch, after its loss; once a step, in training alone.

        The state is saved with the checkpoint. Of a batch without a row nothing moves, whatever is done here.
        """

    def of(self, rows: Supervised) -> Tensor:
        """The loss of one batch that lies in one part a process; in training the state moves.

        Under data parallel it is that of the joined batch, equal on all processes, unless the term is local.
        """
        facts = own_facts(rows)
        if not self.local:
            facts = join_facts({"": [facts]})[""]
        for number, joining in enumerate(self.ahead):
            with torch.no_grad():
                own = self.preliminary(number, rows, facts)
            result = own if self.local else joined({"": own}, joining)[""]
            facts = replace(facts, ahead=(*facts.ahead, result))
        sums = self.sums(rows, facts)
        if not self.local:
            sums = sum_over_processes(sums)
        value = self.value(sums, facts)
        if self.training:
            self.follow({key: total.detach() for key, total in sums.items()}, facts)
        return value

    @torch.no_grad()
    def follow(self, sums: Sums, facts: BatchFacts) -> None:
        """:meth:`move`, undone where the batch had no row; that is decided on the device."""
        if type(self).move is LossTerm.move:
            return
        before = [(buffer, buffer._version, buffer.clone()) for buffer in self.buffers()]
        self.move(sums, facts)
        any_row = facts.num_rows > 0
        for buffer, version, copy in before:
            # Others may be held for the backward pass, which refuses what was written to.
            if buffer._version != version:
                buffer.copy_(torch.where(any_row, buffer, copy))


def own_facts(rows: Supervised) -> BatchFacts:
    """Of the rows of this process alone."""
    return BatchFacts.of(
        rows.labels,
        rows.sample,
        num_samples=rows.num_samples,
        num_classes=rows.num_classes,
        progress=rows.progress,
    )


def joined(values: Mapping[str, Tensor], joining: Joining) -> dict[str, Tensor]:
    """Preliminary results of all processes, without gradient."""
    return max_over_processes(values) if joining == "max" else sum_over_processes(values)


class BranchTerms(nn.ModuleList):
    """A classification loss of a head with several branches: one term each, so that no state is shared."""

    def __init__(self, terms: list[LossTerm]) -> None:
        super().__init__(terms)


class LossConfig(Config):
    """Options of one term; each method derives from it and adds ``type: Literal[...]``.

    Args:
        weight: factor of this term in the objective.
        head: name of the head whose prediction and labels it sees.

    Attributes:
        trains_classifier: whether the term is a classification loss of the logits. An experiment needs one
            for each head, and it is applied to every branch of the head's prediction.
        needs_head: type of the head without which the loss makes no sense, or None.
    """

    trains_classifier: ClassVar[bool] = True
    needs_head: ClassVar[str | None] = None

    weight: float = Field(default=1.0, ge=0)
    head: str = MAIN

    def build(
        self, statistics: ClassStatistics, *, label_space: LabelSpace, feature_channels: int
    ) -> LossTerm:
        """The term for a training set.

        Args:
            statistics: class counts of the training split.
            label_space: the K classes.
            feature_channels: D, channels of ``Supervised.features``.
        """
        raise TypeError(f"{type(self).__name__} must define build(...).")
