"""Parts of a network that a training leaves as they are."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from torch import nn


def matching(names: Iterable[str], patterns: Sequence[str], option: str) -> set[str]:
    """The names that match a pattern, such as ``backbone.*``.

    Raises:
        ValueError: for a pattern that matches none: it would do nothing without a word.
    """
    names = list(names)
    found = {pattern: [name for name in names if fnmatchcase(name, pattern)] for pattern in patterns}
    idle = [pattern for pattern, matches in found.items() if not matches]
    if idle:
        tops = sorted({name.partition(".")[0] + ".*" for name in names})
        raise ValueError(
            f"{option}: no entry of the network matches {', '.join(idle)}; patterns match whole names, such "
            f"as {', '.join([*tops, *names[:1]])}."
        )
    return {name for matches in found.values() for name in matches}


def freeze(network: nn.Module, patterns: Sequence[str]) -> None:
    """Let no gradient reach the parameters that match; modules that have no others go to evaluation mode.

    There a batch norm keeps and uses its running statistics, and dropout drops nothing: what is frozen
    computes in training what it computes in prediction.

    Args:
        network: in training mode; predictions later restore the mode of each part.
        patterns: see :func:`matching`.

    Raises:
        ValueError: for a pattern that matches nothing, or if nothing is left to train.
    """
    if not patterns:
        return
    parameters = dict(network.named_parameters())
    frozen = matching(parameters, patterns, "train.freeze")
    if len(frozen) == len(parameters):
        raise ValueError("train.freeze: every parameter of the network matches; leave some to train.")
    for name in frozen:
        parameters[name].requires_grad_(False)
    for module in network.modules():
        own = list(module.parameters())
        if own and not any(parameter.requires_grad for parameter in own):
            module.eval()
