"""Public checkpoints -> a MinkUNet with its classifier, and back."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn

from pointseg.convert.public_layout import (
    CLASSIFIER_BIAS,
    CLASSIFIER_WEIGHT,
    LAYOUTS,
    Origin,
    PublicLayout,
    as_float32,
    is_batch_counter,
    kernel_size,
)
from pointseg.models.minkunet import BLOCKS, WIDTHS, MinkUNetConfig, Variant

#: eps of the batch norms of SpUNet-v1m2; the names and shapes of v1m1, which has 1e-3, are the same.
_V1M2_EPS = 1e-5
#: Keys under which training frameworks store the weights.
_WRAPPERS = ("state_dict", "model_state_dict", "model", "state")


@dataclass(frozen=True)
class PublicWeights:
    """A public checkpoint, every entry sorted by what it is.

    Args:
        model: the MinkUNet that the weights are of.
        in_channels: input features per voxel.
        backbone: its state dict, complete.
        classifier: ``weight`` (K, C) and ``bias`` (K,) of the linear classifier.
        unused: name -> reason of every entry that is not part of the network.
        notes: what had to be filled in.
    """

    model: MinkUNetConfig
    in_channels: int
    backbone: dict[str, Tensor]
    classifier: dict[str, Tensor]
    unused: dict[str, str]
    notes: tuple[str, ...] = ()

    @property
    def num_classes(self) -> int:
        return len(self.classifier["weight"])


def read_public(checkpoint: Mapping[str, Any], origin: Origin) -> PublicWeights:
    """Sort the entries of a checkpoint and infer the network from their shapes.

    Widths, blocks, stem, input channels and number of classes follow from the shapes. Momentum and eps of the
    batch norms and the last ReLU do not: they are those of the variant.

    Args:
        checkpoint: names -> tensors, or a mapping that holds such a one under ``state_dict`` or the like;
            names may have a prefix (``module.``, ``backbone.``).
        origin: whose checkpoint it is, see :data:`pointseg.convert.public_layout.Origin`.

    Raises:
        ValueError: if weights are missing or misshapen, or the network has parts that a MinkUNet has not; all
            of them are named.
    """
    layout = LAYOUTS[origin]()
    state, unused = _unwrap(checkpoint)
    prefix = _find_prefix(state, layout)
    named: dict[str, Tensor] = {}
    misfits = []
    for key, value in state.items():
        ours = layout.our_name(key.removeprefix(prefix)) if key.startswith(prefix) else None
        if ours is not None and layout.own.match(key.removeprefix(prefix)):
            named[ours] = as_float32(value)
        elif key.startswith(prefix) and layout.own.match(key.removeprefix(prefix)):
            misfits.append(f"{key} {tuple(value.shape)} has no place in a MinkUNet")
        else:
            unused[key] = "lies beside the network"
    if CLASSIFIER_WEIGHT not in named:
        named |= _take_linear(state, unused)
    notes = _doubts(named, origin)
    named = layout.read(named)
    classifier, added = _take_classifier(named)
    model, in_channels = infer_model(named, origin, prefix)
    with torch.device("meta"):
        wanted = model.build(in_channels).state_dict()
    backbone = _compare(named, wanted, layout, prefix, misfits)
    return PublicWeights(model, in_channels, backbone, classifier, unused, (*notes, *added))


def write_public(network: nn.Module, classifier: Mapping[str, Tensor], origin: Origin) -> dict[str, Tensor]:
    """The state dict of a MinkUNet and its classifier as the code base of ``origin`` has it.

    Args:
        network: a MinkUNet.
        classifier: ``weight`` (K, C) and ``bias`` (K,).
        origin: whose names and shapes.

    Raises:
        ValueError: if their encoder's channels grow elsewhere.
    """
    layout = LAYOUTS[origin]()
    state = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    # Theirs has no shortcut convolution in an encoder stage, or none but square strided convolutions.
    grows_in_block = any(re.match(r"block[1-4]\.0\.downsample", key) for key in state)
    grows_strided = any(state[key].shape[1] != state[key].shape[2] for key in _strided(state))
    if grows_in_block if _is_pointcept(origin) else grows_strided:
        other = "minkowski" if _is_pointcept(origin) else "spconv"
        raise ValueError(
            f"The channels of this encoder grow where those of the {origin} networks do not (model.widen); "
            f"its weights can be written for {other} only."
        )
    state |= {CLASSIFIER_WEIGHT: classifier["weight"].cpu(), CLASSIFIER_BIAS: classifier["bias"].cpu()}
    return {layout.their_name(key): layout.write(key, value) for key, value in state.items()}


def infer_model(named: Mapping[str, Tensor], origin: Origin, prefix: str = "") -> tuple[MinkUNetConfig, int]:
    """The configuration and the input channels of the MinkUNet whose entries are ``named``, in our shapes.

    Raises:
        ValueError: if an entry is missing that tells the size of a stage.
    """
    essential = ["conv0p1s1.kernel", *(f"block{i}.0.conv2.kernel" for i in range(1, 9))]
    missing = [LAYOUTS[origin]().their_name(key) for key in essential if key not in named]
    if missing:
        raise ValueError(
            f"The checkpoint is no whole U-Net of four stages: {', '.join(prefix + key for key in missing)} "
            f"missing. Convert a checkpoint of a segmentation network, encoder and decoder."
        )
    stem = named["conv0p1s1.kernel"]
    widths = tuple(named[key].shape[-1] for key in essential[1:])
    blocks = tuple(_count_blocks(named, i) for i in range(1, 9))
    strided = any(named[key].shape[-1] != named[key].shape[-2] for key in _strided(named))
    variant = _find_variant(widths, blocks, pointcept=_is_pointcept(origin))
    known = MinkUNetConfig(variant=variant).resolved()
    found: dict[str, Any] = {
        "widths": widths,
        "blocks": blocks,
        "stem_channels": stem.shape[-1],
        "stem_kernel": kernel_size(stem),
        # Where nothing grows both forms are the same network.
        "widen": "strided" if strided else known["widen"],
        "bn_eps": _V1M2_EPS if origin == "spconv_v1m2" else known["bn_eps"],
    }
    if strided is False and _grows_in_block(named):
        found["widen"] = "block"
    different = {key: value for key, value in found.items() if known[key] != value}
    return MinkUNetConfig(variant=variant, **different), stem.shape[-2]


def _is_pointcept(origin: Origin) -> bool:
    return origin in ("spconv", "spconv_v1m2")


def _doubts(named: Mapping[str, Tensor], origin: Origin) -> tuple[str, ...]:
    """What the shapes say against the assumed origin."""
    kernels = [value for key, value in named.items() if key.endswith(".kernel")]
    if origin == "minkowski" and any(value.ndim == 3 and len(value) == 1 for value in kernels):
        return (
            "pointwise kernels have the shape of MinkowskiEngine before 0.5; if SpatioTemporalSegmentation "
            "trained this, its blocks order their taps otherwise: convert it with --from sts",
        )
    return ()


def _find_variant(widths: tuple[int, ...], blocks: tuple[int, ...], *, pointcept: bool) -> Variant:
    if pointcept:
        return "SpUNet"
    for variant in get_args(Variant):
        if variant != "SpUNet" and (WIDTHS[variant], BLOCKS[variant]) == (widths, blocks):
            return variant
    return "34C"


def _count_blocks(named: Mapping[str, Tensor], stage: int) -> int:
    numbers = [int(m.group(1)) for key in named if (m := re.match(rf"block{stage}\.(\d+)\.", key))]
    return 1 + max(numbers)


def _grows_in_block(named: Mapping[str, Tensor]) -> bool:
    return any(re.match(r"block[1-4]\.0\.downsample\.0", key) for key in named)


def _strided(named: Mapping[str, Tensor]) -> list[str]:
    """Names of the kernels of the encoder's strided convolutions."""
    return [key for key in named if re.fullmatch(r"conv[1-4]p\d+s2\.kernel", key) and named[key].ndim == 3]


def _unwrap(checkpoint: Mapping[str, Any]) -> tuple[dict[str, Tensor], dict[str, str]]:
    """The tensors of a checkpoint, and every other entry with the reason why it is not used."""
    unused: dict[str, str] = {}
    state = checkpoint
    for wrapper in _WRAPPERS:
        inner = checkpoint.get(wrapper)
        if isinstance(inner, Mapping):
            unused = {str(key): "belongs to the training" for key in checkpoint if key != wrapper}
            state = inner
            break
    tensors = {str(key): value for key, value in state.items() if isinstance(value, Tensor)}
    unused |= {str(key): "is no tensor" for key in state if str(key) not in tensors}
    return tensors, unused


def _find_prefix(state: Mapping[str, Tensor], layout: PublicLayout) -> str:
    first = layout.first_key
    found = [key for key in state if key == first or key.endswith(f".{first}")]
    if len(found) == 1:
        return found[0].removesuffix(first)
    others = [name for name, other in LAYOUTS.items() if any(k.endswith(other.first_key) for k in state)]
    hint = f" It looks like one of --from {others[0]}." if not found and others else ""
    several = f" ({', '.join(found)}): keep one of the networks in the file" if found else ""
    raise ValueError(
        f"A checkpoint of this kind has one entry that ends with {first!r}; found {len(found)}{several} "
        f"among {len(state)} entries such as {sorted(state)[:3]}.{hint}"
    )


def _take_linear(state: Mapping[str, Tensor], unused: dict[str, str]) -> dict[str, Tensor]:
    """The linear classifier that Pointcept's newer segmentors keep beside the backbone."""
    taken = {}
    for name, ours in (("seg_head.weight", CLASSIFIER_WEIGHT), ("seg_head.bias", CLASSIFIER_BIAS)):
        for key in [key for key in unused if key == name or key.endswith(f".{name}")]:
            taken[ours] = as_float32(state[key])
            del unused[key]
    return taken


def _take_classifier(named: dict[str, Tensor]) -> tuple[dict[str, Tensor], tuple[str, ...]]:
    weight = named.pop(CLASSIFIER_WEIGHT, None)
    if weight is None:
        raise ValueError(
            "The checkpoint has no classifier (final, seg_head): it is a backbone without classes, and a run "
            "cannot predict with it."
        )
    bias = named.pop(CLASSIFIER_BIAS, None)
    if bias is not None:
        return {"weight": weight, "bias": bias}, ()
    return {"weight": weight, "bias": weight.new_zeros(len(weight))}, ("the classifier has no bias: zero",)


def _compare(
    named: dict[str, Tensor],
    wanted: Mapping[str, Tensor],
    layout: PublicLayout,
    prefix: str,
    misfits: list[str],
) -> dict[str, Tensor]:
    """The entries of the network in its own order.

    Raises:
        ValueError: naming every entry that is missing, misshapen or has no place.
    """
    backbone, problems = {}, list(misfits)
    for key, own in wanted.items():
        value = named.get(key)
        if value is None and is_batch_counter(key):
            backbone[key] = torch.zeros((), dtype=torch.int64)
        elif value is None:
            problems.append(f"{prefix}{layout.their_name(key)} is missing")
        elif value.shape != own.shape:
            theirs = f"{prefix}{layout.their_name(key)}"
            problems.append(f"{theirs} is {tuple(value.shape)} and must be {tuple(own.shape)}")
        else:
            backbone[key] = value
    for key in named.keys() - wanted.keys():
        problems.append(f"{prefix}{layout.their_name(key)} has no place in a MinkUNet")
    if problems:
        raise ValueError(
            f"The checkpoint is no MinkUNet of basic blocks, in {len(problems)} entries:\n  "
            + "\n  ".join(sorted(problems))
            + "\nWidths and blocks were read off its shapes. Bottleneck blocks (50, 101), other numbers of "
            "stages, time as a fourth dimension and norms of several data sets (PPT) are not supported."
        )
    return backbone
