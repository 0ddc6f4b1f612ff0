"""Which parameter gets which learning rate and weight decay, by its name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field
from torch import nn

from pointseg.config import Config

#: What the names of a network's own parameters begin with.
BACKBONE = "backbone."


class GroupRule(Config):
    """What holds for some parameters.

    Args:
        match: glob of their names as in a checkpoint: ``head.*``, ``backbone.conv0*``, ``*.bias``.
        lr_scale: factor on the learning rate.
        weight_decay: decay of these weights; None leaves what would hold without the rule.
    """

    match: str = Field(min_length=1)
    lr_scale: float = Field(default=1.0, ge=0)
    weight_decay: float | None = Field(default=None, ge=0)


def parameter_groups(
    named: Iterable[tuple[str, nn.Parameter]],
    *,
    weight_decay: float,
    decay_vectors: bool,
    rules: Sequence[GroupRule] = (),
    layer_decay: float | None = None,
    layers: Sequence[Sequence[str]] = (),
) -> list[dict[str, Any]]:
    """Groups for torch.optim, each with its ``weight_decay`` and ``lr_scale``; none is empty.

    Args:
        named: parameters with their names; those that do not learn are left out.
        weight_decay: decay where nothing else holds.
        decay_vectors: False spares biases and the scales of norms, unless a rule says otherwise.
        rules: the first that matches a name holds for it.
        layer_decay: layer i of L, counted from 0 at the input, learns with layer_decay^(L - i) times the rate
            and the head with all of it; a rule's factor is multiplied to that.
        layers: the L layers of the network, see :meth:`pointseg.models.backbone.BackboneConfig.layers`.

    Raises:
        ValueError: for a rule that matches no parameter, or a parameter of the network in no layer.
    """
    learned = [(name, parameter) for name, parameter in named if parameter.requires_grad]
    _check_rules(rules, [name for name, _ in learned])
    # Matrices come before vectors that are spared, as in checkpoints from before there were rules.
    groups: dict[tuple[bool, float, float], list[nn.Parameter]] = {}
    for is_spared in (False, True):
        for name, parameter in learned:
            if (parameter.ndim <= 1 and not decay_vectors) != is_spared:
                continue
            rule = next((rule for rule in rules if fnmatchcase(name, rule.match)), None)
            decay = 0.0 if is_spared else weight_decay
            scale = 1.0 if layer_decay is None else layer_decay ** _layers_above(name, layers)
            if rule is not None:
                scale *= rule.lr_scale
                decay = decay if rule.weight_decay is None else rule.weight_decay
            groups.setdefault((is_spared, scale, decay), []).append(parameter)
    return [
        {"params": members, "weight_decay": decay, "lr_scale": scale}
        for (_, scale, decay), members in groups.items()
    ]


def _check_rules(rules: Sequence[GroupRule], names: Sequence[str]) -> None:
    for number, rule in enumerate(rules):
        if not any(fnmatchcase(name, rule.match) for name in names):
            raise ValueError(
                f"optimizer.groups.{number}: no parameter has a name like {rule.match!r}; there are "
                f"{', '.join(names[:3])}, ..., {names[-1]}. A glob must match the whole name."
            )


def _layers_above(name: str, layers: Sequence[Sequence[str]]) -> int:
    """How many layers lie between a parameter and the head, its own included."""
    if not name.startswith(BACKBONE):
        return 0
    inside = name.removeprefix(BACKBONE)
    for number, globs in enumerate(layers):
        if any(fnmatchcase(inside, glob) for glob in globs):
            return len(layers) - number
    raise ValueError(
        f"optimizer.layer_decay: the network's layers() name no layer for its parameter {inside!r}."
    )
