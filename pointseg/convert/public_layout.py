"""How public code bases name the weights of a MinkUNet and in which order they keep the taps of a kernel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal, Protocol

import torch
from torch import Tensor

#: ``minkowski``: the examples of MinkowskiEngine and LanguageGroundedSemseg, whose kernels are cubes.
#: ``sts``: SpatioTemporalSegmentation, whose residual blocks order their taps by another region type.
#: ``spconv``: SpUNet-v1m1 of Pointcept; ``spconv_v1m2``: its sibling with other norms.
Origin = Literal["minkowski", "sts", "spconv", "spconv_v1m2"]

#: Our names of the classifier, beside those of the backbone.
CLASSIFIER_WEIGHT, CLASSIFIER_BIAS = "classifier.weight", "classifier.bias"


class PublicLayout(Protocol):
    """Names and shapes of one code base.

    Attributes:
        first_key: name of the stem's kernel, which every checkpoint has once.
        own: what the names of the network's own modules begin with.
        says: for people: the order of a kernel's taps, which no shape tells.
    """

    first_key: str
    own: re.Pattern[str]
    says: str

    def our_name(self, key: str) -> str | None:
        """Our name of an entry; None where a MinkUNet has none like it."""
        ...

    def their_name(self, key: str) -> str:
        """Their name of one of our entries."""
        ...

    def read(self, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Entries by our names, in their shapes -> in ours."""
        ...

    def write(self, key: str, value: Tensor) -> Tensor:
        """One of our entries in their shape."""
        ...


class MinkowskiLayout:
    """Examples of MinkowskiEngine and LanguageGroundedSemseg: our own names and tap order.

    Pointwise kernels of older releases are (1, C_in, C_out); ours are matrices, as in newer ones.
    """

    first_key = "conv0p1s1.kernel"
    own = re.compile(r"(conv|convtr|bn|bntr|block)\d|final\.")
    says = "HYPER_CUBE: x fastest, then y, then z; that of MinkowskiEngine's examples and of LGround"
    _NAMES = {"final.kernel": CLASSIFIER_WEIGHT, "final.bias": CLASSIFIER_BIAS}  # noqa: RUF012

    def our_name(self, key: str) -> str | None:
        return self._NAMES.get(key, key)

    def their_name(self, key: str) -> str:
        return {ours: theirs for theirs, ours in self._NAMES.items()}.get(key, key)

    def read(self, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {key: self._read(key, value) for key, value in named.items()}

    def _read(self, key: str, value: Tensor) -> Tensor:
        if key == CLASSIFIER_BIAS:
            return value.flatten()
        if value.ndim == 3 and value.shape[0] == 1:
            value = value[0]
        return value.T.contiguous() if key == CLASSIFIER_WEIGHT else value

    def write(self, key: str, value: Tensor) -> Tensor:
        if key == CLASSIFIER_BIAS:
            return value[None]
        return value.T.contiguous() if key == CLASSIFIER_WEIGHT else value


class HybridLayout(MinkowskiLayout):
    """SpatioTemporalSegmentation: names of MinkowskiEngine, another tap order in the residual blocks.

    Its blocks convolve over a region of type HYBRID (a cube in space, a cross in time), which MinkowskiEngine
    up to 0.4 lists centre first, then along x, then all of these along y, then all along z. Stem, strided and
    transposed convolutions are of type HYPERCUBE, ours. Shapes are alike: a wrong order is a wrong network
    without a word.

    Source: ``convert_region_type`` of MinkowskiEngine 0.4 (Common.py) and ``CONV_TYPE`` of
    SpatioTemporalSegmentation (models/res16unet.py).
    """

    says = "HYBRID in residual blocks: centre first, then x, y, z; that of SpatioTemporalSegmentation"

    def _read(self, key: str, value: Tensor) -> Tensor:
        value = super()._read(key, value)
        if not _is_cube_of_a_block(key, value):
            return value
        ours = torch.empty_like(value)
        ours[hybrid_taps(kernel_size(value))] = value
        return ours

    def write(self, key: str, value: Tensor) -> Tensor:
        value = super().write(key, value)
        return value[hybrid_taps(kernel_size(value))] if _is_cube_of_a_block(key, value) else value


def _is_cube_of_a_block(key: str, value: Tensor) -> bool:
    return re.fullmatch(r"block\d\.\d+\.conv\d\.kernel", key) is not None and value.ndim == 3


def hybrid_taps(size: int) -> Tensor:
    """(size^3,) our tap of each tap of a HYBRID region, for an odd ``size``."""
    half = size // 2
    offsets = torch.zeros(1, 3, dtype=torch.int64)
    steps = [step for step in range(-half, half + 1) if step]
    for axis in range(3):
        along = offsets.repeat_interleave(len(steps), dim=0)
        along[:, axis] = torch.tensor(steps).repeat(len(offsets))
        offsets = torch.cat([offsets, along])
    return (offsets + half) @ torch.tensor([1, size, size**2])


class SpconvLayout:
    """SpUNet-v1m1 and v1m2 of Pointcept, whose layers are spconv's.

    spconv 2.2 and later keep kernels as (C_out, x, y, z, C_in), 2.0 and 2.1 as (x, y, z, C_out, C_in), 1.x as
    (x, y, z, C_in, C_out): the first axis of a kernel belongs to the first coordinate, which is x in
    Pointcept. The lengths of the batch norms tell which it is. Writing is in the newest one.

    A trap: whatever the shape of a pointwise kernel says, spconv multiplies by its numbers read as a matrix
    (C_in, C_out), ``weight.view(in_channels, out_channels)`` in conv.py of 2.3. So it is not transposed here.
    """

    first_key = "conv_input.0.weight"
    own = re.compile(r"(conv_input|down|enc|up|dec|final)\.")
    says = "spconv's: one axis of the kernel for each coordinate"
    #: What brings each of the three orders to (C_out, x, y, z, C_in).
    _ORDERS = ((0, 1, 2, 3, 4), (3, 0, 1, 2, 4), (4, 0, 1, 2, 3))

    def __init__(self) -> None:
        pairs = _spconv_pairs()
        self._to_ours = [(_pattern(theirs), ours) for ours, theirs in pairs]
        self._to_theirs = [(_pattern(ours), theirs) for ours, theirs in pairs]

    def our_name(self, key: str) -> str | None:
        return _rename(key, self._to_ours)

    def their_name(self, key: str) -> str:
        name = _rename(key, self._to_theirs)
        assert name is not None, key
        return name

    def read(self, named: Mapping[str, Tensor]) -> dict[str, Tensor]:
        order = self._find_order(named)
        return {key: self._read(key, value, order) for key, value in named.items()}

    def _read(self, key: str, value: Tensor, order: tuple[int, ...]) -> Tensor:
        if value.ndim != 5:
            return value
        kernel = value.permute(order)
        if kernel.shape[1] == 1:
            matrix = value.reshape(kernel.shape[4], kernel.shape[0])
            return matrix.T.contiguous() if key == CLASSIFIER_WEIGHT else matrix.contiguous()
        # Our taps count x fastest, so z is the first axis of theirs in our order.
        kernel = kernel.permute(3, 2, 1, 4, 0)
        return kernel.reshape(-1, *kernel.shape[3:]).contiguous()

    def _find_order(self, named: Mapping[str, Tensor]) -> tuple[int, ...]:
        """The order in which every kernel has as many output channels as the norm or bias after it.

        Raises:
            ValueError: if there is none.
        """
        kernels = {key: value for key, value in named.items() if value.ndim == 5}
        for order in self._ORDERS:
            if all(_fits(value.permute(order), named.get(_what_follows(k))) for k, value in kernels.items()):
                return order
        shown = [f"{self.their_name(key)} {tuple(value.shape)}" for key, value in kernels.items()]
        raise ValueError(
            "The kernels are in none of spconv's orders, (C_out, x, y, z, C_in), (x, y, z, C_out, C_in) or "
            f"(x, y, z, C_in, C_out): no order gives each as many output channels as the batch norm after "
            f"it; got {', '.join(shown[:3])}. Use a checkpoint that Pointcept's SpUNet-v1m1 loads."
        )

    def write(self, key: str, value: Tensor) -> Tensor:
        if key == CLASSIFIER_WEIGHT:
            value = value.T
        elif not key.endswith(".kernel"):
            return value
        if value.ndim == 2:
            return value.contiguous().reshape(value.shape[1], 1, 1, 1, value.shape[0])
        kernel, size = value, kernel_size(value)
        return kernel.view(size, size, size, *kernel.shape[1:]).permute(4, 2, 1, 0, 3).contiguous()


LAYOUTS: dict[Origin, type[MinkowskiLayout] | type[SpconvLayout]] = {
    "minkowski": MinkowskiLayout,
    "sts": HybridLayout,
    "spconv": SpconvLayout,
    "spconv_v1m2": SpconvLayout,
}


def kernel_size(kernel: Tensor) -> int:
    """K of a kernel (K^3, C_in, C_out) or (C_in, C_out)."""
    return 1 if kernel.ndim == 2 else round(kernel.shape[0] ** (1 / 3))


def _spconv_pairs() -> list[tuple[str, str]]:
    """Our and their name of every entry; ``{b}`` stands for a number, ``{leaf}`` for a word."""
    convolutions = [("conv0p1s1", "conv_input.0")]
    norms = [("bn0", "conv_input.1")]
    for s in range(4):
        # Their decoder counts from the finest stage, ours from the coarsest.
        convolutions += [(f"conv{s + 1}p{2**s}s2", f"down.{s}.0")]
        convolutions += [(f"convtr{7 - s}p{2 ** (s + 1)}s2", f"up.{s}.0")]
        norms += [(f"bn{s + 1}", f"down.{s}.1"), (f"bntr{7 - s}", f"up.{s}.1")]
        for ours, theirs in ((f"block{s + 1}", f"enc.{s}"), (f"block{8 - s}", f"dec.{s}")):
            at = (f"{ours}.{{b}}", f"{theirs}.block{{b}}")
            for convolution, norm in (("conv1", "1"), ("conv2", "2")):
                convolutions += [(f"{at[0]}.{convolution}", f"{at[1]}.{convolution}")]
                norms += [(f"{at[0]}.norm{norm}", f"{at[1]}.bn{norm}")]
            convolutions += [(f"{at[0]}.downsample.0", f"{at[1]}.proj.0")]
            norms += [(f"{at[0]}.downsample.1", f"{at[1]}.proj.1")]
    return [
        (CLASSIFIER_WEIGHT, "final.weight"),
        (CLASSIFIER_BIAS, "final.bias"),
        *((f"{ours}.kernel", f"{theirs}.weight") for ours, theirs in convolutions),
        *((f"{ours}.bn.{{leaf}}", f"{theirs}.{{leaf}}") for ours, theirs in norms),
    ]


#: Entries of a batch norm, the words that ``{leaf}`` stands for.
_LEAVES = "weight|bias|running_mean|running_var|num_batches_tracked"


def _pattern(template: str) -> re.Pattern[str]:
    escaped = re.escape(template)
    return re.compile(escaped.replace(r"\{b\}", r"(?P<b>\d+)").replace(r"\{leaf\}", rf"(?P<leaf>{_LEAVES})"))


def _rename(key: str, table: list[tuple[re.Pattern[str], str]]) -> str | None:
    for pattern, template in table:
        if match := pattern.fullmatch(key):
            return template.format(**match.groupdict())
    return None


def _fits(kernel: Tensor, follower: Tensor | None) -> bool:
    """Whether a kernel, taken as (C_out, x, y, z, C_in), is a cube with as many outputs as what follows."""
    x, y, z = kernel.shape[1:4]
    return x == y == z and (follower is None or len(follower) == kernel.shape[0])


def _what_follows(key: str) -> str:
    """The entry whose length is the number of output channels of a kernel."""
    if key == CLASSIFIER_WEIGHT:
        return CLASSIFIER_BIAS
    module = key.removesuffix(".kernel")
    if module.endswith("downsample.0"):
        return f"{module[:-1]}1.bn.weight"
    head, _, last = module.rpartition(".")
    if head:
        return f"{head}.{last.replace('conv', 'norm')}.bn.weight"
    number = re.match(r"conv(tr)?\d", module)
    assert number is not None, key
    return f"{number.group().replace('conv', 'bn')}.bn.weight"


def is_batch_counter(key: str) -> bool:
    """Whether an entry counts batches: older torch had none, and its value decides nothing here."""
    return key.endswith("num_batches_tracked")


def as_float32(value: Tensor) -> Tensor:
    """Half-precision and double weights as float32; integers as they are."""
    return value.to(torch.float32) if value.is_floating_point() else value
