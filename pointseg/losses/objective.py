"""Objective: the weighted sum of all loss terms, and the only place where losses are reduced.

The rule, tested over every loss: **a step's loss and gradient are those of its joined batch, over
micro-batches and processes alike.** (BatchNorm's statistics are excepted: they are those of each micro-batch
and process. So are losses that are ``local``, see LossTerm.) The order of a step is

1. facts of the joined batch from the labels of all its parts, before any forward pass: one message;
2. preliminary results, where a term asks for some: one message each;
3. the sums of all terms: one message for each type of numbers, through which gradients flow;
4. the values, the same on all processes; and once a step the running state moves.

:meth:`Objective.forward` does all of it for a step of one part a process; pointseg.training.accumulation for
several.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import torch
from torch import Tensor, nn

from pointseg.core.rows import MAIN, Branch, Supervised
from pointseg.losses.base import BranchTerms, LossTerm, joined, own_facts
from pointseg.losses.facts import BatchFacts, join_facts
from pointseg.losses.layout import at_least_float32
from pointseg.losses.processes import sum_over_processes

#: (slot, quantity) -> tensor.
AllSums: TypeAlias = dict[tuple[str, str], Tensor]
#: Head -> its labelled rows.
Rows: TypeAlias = Mapping[str, Supervised]
#: Head -> facts of its labels.
Facts: TypeAlias = Mapping[str, BatchFacts]

#: What modules around the losses were called in earlier versions: a part of the keys of their checkpoints.
_WRAPPERS = ("loss", "adaptive", "center_collapse", "rebalance", "regression")
_BRANCHES = {"plain": "0", "dropped": "1"}


@dataclass(frozen=True)
class Slot:
    """A loss at its work: a term of the objective, on one branch of its head's predictions or on all.

    Args:
        term: the loss.
        rows: what it sees of a part of the batch.
        facts: what it knows of the whole.
        weight: factor of its value in the part of the objective that has its name.
    """

    name: str
    term: LossTerm
    rows: Supervised
    facts: BatchFacts
    weight: float


class Objective(nn.Module):
    """Weighted sum of loss terms.

    Args:
        terms: name -> term, or one term for each branch of its head's predictions.
        weights: name -> factor, for the same names.
        heads: name -> head whose predictions the term sees; the main one where it is not given.

    Raises:
        ValueError: if there is no term, or the names differ.
    """

    def __init__(
        self,
        terms: Mapping[str, LossTerm | BranchTerms],
        weights: Mapping[str, float],
        heads: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__()
        if not terms:
            raise ValueError("An objective needs at least one loss; give one under `losses:`.")
        if terms.keys() != weights.keys():
            raise ValueError(
                f"Losses {sorted(terms)} and weights {sorted(weights)} must have the same names."
            )
        self.terms = nn.ModuleDict(terms)
        self.weights = dict(weights)
        self.heads = dict.fromkeys(terms, MAIN) | dict(heads or {})
        self.register_load_state_dict_pre_hook(_rename_old_keys)

    def looks_at_features(self, head: str) -> bool:
        """Whether a term of this head needs the features of its rows; of images they are large."""
        return any(term.needs_features for name, term in self._all_terms() if self.heads[name] == head)

    def looks_around(self, head: str) -> bool:
        """Whether a term of this head needs to know what lies around its rows."""
        return any(term.needs_surroundings for name, term in self._all_terms() if self.heads[name] == head)

    @property
    def is_linear(self) -> bool:
        """Whether values of parts add up to that of the whole, so that accumulating needs one pass."""
        return all(term.linear or term.local for _, term in self._all_terms())

    @property
    def num_ahead(self) -> int:
        """Preliminary results that the terms ask for, one after the other."""
        return max(0 if term.local else len(term.ahead) for _, term in self._all_terms())

    @property
    def local(self) -> tuple[str, ...]:
        """Names of the losses that cannot be summed: their value is the mean of those of the parts."""
        return tuple(dict.fromkeys(name for name, term in self._all_terms() if term.local))

    def forward(
        self, rows: Supervised | Rows, facts: Facts | None = None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch of one part a process, and its unweighted, detached parts by name.

        In training the running state moves, unless no process has a labelled row: the loss is then a zero
        that is connected to every parameter, so that the backward pass and data-parallel training go on as
        usual.
        """
        with self.exact(rows):
            slots = self.slots(rows, facts)
            for number in range(self.num_ahead):
                slots = with_ahead(slots, joined_ahead(slots, [self.ahead(slots, number)], number))
            sums = joined_sums(self.sums(slots))
            total, parts = self.value(slots, sums)
            self.move(slots, sums)
        return total, parts

    def exact(self, rows: Supervised | Rows) -> torch.autocast:
        """No autocast: class sums and log-sum-exp lose too much in 16 bits."""
        some = rows if isinstance(rows, Supervised) else next(iter(rows.values()))
        return torch.autocast(some.logits.device.type, enabled=False)

    def slots(self, rows: Supervised | Rows, facts: Facts | None = None) -> list[Slot]:
        """What each loss sees of a part of the batch; ``facts`` are joined here where they are not given."""
        by_head = {MAIN: rows} if isinstance(rows, Supervised) else rows
        by_head = {head: _at_least_float32(part) for head, part in by_head.items()}
        if facts is None:
            facts = join_facts({head: [own_facts(part)] for head, part in by_head.items()})
        found = []
        for name, module in self.terms.items():
            part, known = by_head[self.heads[name]], facts[self.heads[name]]
            if isinstance(module, LossTerm):
                found.append(Slot(name, module, part, known, 1.0))
                continue
            # In evaluation mode a head may give fewer branches.
            for number, (term, branch) in enumerate(zip(module, part.branches, strict=False)):  # type: ignore[call-overload]
                found.append(
                    Slot(
                        f"{name}.{number}",
                        term,
                        part.of_branch(number),
                        known.without(branch.ignored),
                        branch.weight,
                    )
                )
        return found

    @torch.no_grad()
    def ahead(self, slots: Sequence[Slot], number: int) -> dict[str, Tensor]:
        """This part's preliminary results, of the slots that ask for so many."""
        return {
            slot.name: slot.term.preliminary(number, slot.rows, slot.facts)
            for slot in slots
            if not slot.term.local and number < len(slot.term.ahead)
        }

    def sums(self, slots: Sequence[Slot]) -> AllSums:
        """This part's sums, with gradient; the value of a local loss counts as one."""
        found: AllSums = {}
        for slot in slots:
            if slot.term.local:
                found[slot.name, ""] = slot.term.of(slot.rows)
                continue
            for key, total in slot.term.sums(slot.rows, slot.facts).items():
                found[slot.name, key] = total
        first = next(key for key, total in found.items() if total.is_floating_point())
        found[first] = found[first] + self._connected_zero(slots).to(found[first].dtype)
        return found

    def value(self, slots: Sequence[Slot], sums: AllSums) -> tuple[Tensor, dict[str, Tensor]]:
        """The weighted sum of the losses that follow from these sums, and the unweighted, detached parts."""
        parts: dict[str, list[Tensor]] = {}
        for slot in slots:
            if slot.term.local:
                value = sums[slot.name, ""] / slot.facts.shares.clamp(min=1)
            else:
                value = slot.term.value(_of_slot(slot, sums), slot.facts)
            parts.setdefault(slot.name.partition(".")[0], []).append(slot.weight * value)
        values = {name: torch.stack(of_branches).sum() for name, of_branches in parts.items()}
        total = torch.stack([self.weights[name] * value for name, value in values.items()]).sum()
        return total, {name: value.detach() for name, value in values.items()}

    def move(self, slots: Sequence[Slot], sums: AllSums) -> None:
        """Move the running state by the joined batch, in training; local losses have moved theirs."""
        for slot in slots:
            if slot.term.training and not slot.term.local:
                slot.term.follow(
                    {key: total.detach() for key, total in _of_slot(slot, sums).items()}, slot.facts
                )

    def _all_terms(self) -> Iterator[tuple[str, LossTerm]]:
        for name, module in self.terms.items():
            for term in module if isinstance(module, BranchTerms) else [module]:
                yield name, term  # type: ignore[misc]

    def _connected_zero(self, slots: Sequence[Slot]) -> Tensor:
        """A zero through which gradients of zero reach what no loss of a part without rows may reach."""
        zero = slots[0].rows.logits.new_zeros(())
        for slot in slots:
            if len(slot.rows.labels) == 0:
                zero = zero + slot.rows.features.sum()
                zero = zero + sum(branch.logits.sum() for branch in slot.rows.branches)
        return zero


def joined_sums(own: AllSums) -> AllSums:
    """Sums over all processes, with gradient."""
    return sum_over_processes(own)


def joined_ahead(
    slots: Sequence[Slot], parts: Sequence[Mapping[str, Tensor]], number: int
) -> dict[str, Tensor]:
    """Preliminary results of all parts of this process and of all processes."""
    found: dict[str, Tensor] = {}
    joinings = {slot.name: slot.term.ahead[number] for slot in slots if slot.name in parts[0]}
    for joining in ("max", "sum"):
        own = {
            name: torch.stack([part[name] for part in parts])
            for name, its in joinings.items()
            if its == joining
        }
        of_all = {name: all_.amax(0) if joining == "max" else all_.sum(0) for name, all_ in own.items()}
        found |= joined(of_all, joining)  # type: ignore[arg-type]
    return found


def with_ahead(slots: Sequence[Slot], results: Mapping[str, Tensor]) -> list[Slot]:
    """The slots that know these preliminary results."""
    return [
        replace(slot, facts=replace(slot.facts, ahead=(*slot.facts.ahead, results[slot.name])))
        if slot.name in results
        else slot
        for slot in slots
    ]


def _of_slot(slot: Slot, sums: AllSums) -> dict[str, Tensor]:
    return {key: total for (name, key), total in sums.items() if name == slot.name}


def _at_least_float32(supervised: Supervised) -> Supervised:
    weight = supervised.classifier_weight
    return replace(
        supervised,
        branches=tuple(
            Branch(at_least_float32(branch.logits), branch.weight, branch.ignored)
            for branch in supervised.branches
        ),
        features=at_least_float32(supervised.features),
        classifier_weight=None if weight is None else at_least_float32(weight),
    )


def _rename_old_keys(module: nn.Module, state_dict: dict[str, Tensor], prefix: str, *_: object) -> None:
    """Load the state of runs that were begun when losses had a module around them."""
    for key in [key for key in state_dict if key.startswith(prefix + "terms.")]:
        name, *rest = key[len(prefix + "terms.") :].split(".")
        if len(rest) > 2 and rest[0] in _BRANCHES and isinstance(module.terms[name], BranchTerms):  # type: ignore[index]
            rest[0] = _BRANCHES[rest[0]]
        place = 1 if rest[0].isdigit() else 0
        if len(rest) > place + 1 and rest[place] in _WRAPPERS:
            del rest[place]
        state_dict[f"{prefix}terms.{name}.{'.'.join(rest)}"] = state_dict.pop(key)
