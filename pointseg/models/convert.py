"""Public MinkowskiEngine checkpoints -> the weights of a MinkUNet and of its classifier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

#: Keys under which training frameworks store the weights.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "state")
_FIRST_KEY = "conv0p1s1.kernel"


@dataclass(frozen=True)
class ConvertedCheckpoint:
    """Every entry of a checkpoint, sorted by what it is.

    Args:
        backbone: state dict of the MinkUNet, complete.
        classifier: ``weight`` (K, C) and ``bias`` (K,) of the linear classifier, empty where there is none.
        unused: keys that belong to neither, such as projections or losses of the training code.
    """

    backbone: dict[str, Tensor]
    classifier: dict[str, Tensor]
    unused: tuple[str, ...]


def convert_checkpoint(checkpoint: Mapping[str, Any], network: nn.Module) -> ConvertedCheckpoint:
    """Weights of the MinkowskiEngine examples, SpatioTemporalSegmentation or LGround for ``network``.

    Takes the file's content or its state dict, with any prefix before the names (``module.``, ``model.``).
    Pointwise kernels of older releases, (1, C_in, C_out), become matrices; the 1^3 convolution ``final``
    becomes a linear layer. Only names and shapes are looked at: weights of a network with other strides or
    activations would load too.

    Args:
        checkpoint: mapping of names to tensors, or a mapping that holds one under ``state_dict`` or the like.
        network: the MinkUNet that the weights are for.

    Raises:
        ValueError: if a weight is missing or has another shape, naming all of them.
    """
    state = _unwrap(checkpoint)
    first = [key for key in state if key.endswith(_FIRST_KEY)]
    if len(first) != 1:
        raise ValueError(
            f"A MinkUNet checkpoint has one entry that ends with {_FIRST_KEY!r}; found {len(first)} among "
            f"{len(state)} entries such as {sorted(state)[:3]}."
        )
    prefix = first[0].removesuffix(_FIRST_KEY)
    named = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}

    backbone, problems = {}, []
    for key, own in network.state_dict().items():
        if key not in named and key.endswith("num_batches_tracked"):
            backbone[key] = own  # Older torch did not count batches.
            continue
        value = named.pop(key, None)
        if value is not None and value.ndim == own.ndim + 1 and value.shape[0] == 1:
            value = value[0]
        if value is None:
            problems.append(f"{key} is missing")
        elif value.shape != own.shape:
            problems.append(f"{key} is {tuple(value.shape)} and must be {tuple(own.shape)}")
        else:
            backbone[key] = value
    if problems:
        raise ValueError(
            f"The checkpoint does not fit this network in {len(problems)} entries: "
            f"{'; '.join(problems[:5])}. Compare variant, widths, stem_kernel and input channels."
        )
    classifier = _classifier(named)
    unused = [prefix + key for key in named] + [key for key in state if not key.startswith(prefix)]
    return ConvertedCheckpoint(backbone, classifier, tuple(sorted(unused)))


def _unwrap(checkpoint: Mapping[str, Any]) -> Mapping[str, Tensor]:
    for wrapper in _WRAPPERS:
        inner = checkpoint.get(wrapper)
        if isinstance(inner, Mapping):
            return inner
    return checkpoint


def _classifier(named: dict[str, Tensor]) -> dict[str, Tensor]:
    """Take ``final`` out of the remaining entries, if it is one convolution."""
    if "final.kernel" not in named:
        return {}
    kernel = named.pop("final.kernel")
    kernel = kernel[0] if kernel.ndim == 3 else kernel
    classifier = {"weight": kernel.T.contiguous()}
    if "final.bias" in named:
        classifier["bias"] = named.pop("final.bias").flatten()
    return classifier
