"""Device code of the convolution: a tile of output rows is gathered, multiplied and summed tap by tap."""

# No `from __future__ import annotations` here: Triton reads the annotation of a constexpr as an object.
import triton
import triton.language as tl


@triton.jit
def _add_products(
    acc,
    features_ptr,
    features_stride,
    channels,
    weight_ptr,
    weight_tap_stride,
    weight_in_stride,
    weight_out_stride,
    out_channels,
    table_ptr,
    table_stride,
    taps_ptr,
    num_taps,
    num_active,
    tile,
    first_out,
    REVERSED: tl.constexpr,
    EVEN_K: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """acc + sum over the tile's taps of features[neighbours under the tap] @ weight[tap]."""
    lanes = tl.arange(0, BLOCK_M)
    columns = first_out + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    k_steps = tl.cdiv(channels, BLOCK_K)
    # One flat loop over (tap, channels), so that loads of the next tap overlap the products of this one.
    for step in range(num_active * k_steps):
        slot = step // k_steps
        k = (step - slot * k_steps) * BLOCK_K + inner
        tap = tl.load(taps_ptr + tile * num_taps + slot)
        neighbour = tl.load(table_ptr + tap.to(tl.int64) * table_stride + tile * BLOCK_M + lanes)
        # 64-bit: rows times channels of a large batch pass 2^31.
        rows = neighbour.to(tl.int64) * features_stride
        present = (neighbour >= 0)[:, None]
        weight_tap = num_taps - 1 - tap if REVERSED else tap
        weight = weight_ptr + weight_tap.to(tl.int64) * weight_tap_stride
        weight_at = weight + k[:, None] * weight_in_stride + columns[None, :] * weight_out_stride
        in_columns = (columns < out_channels)[None, :]
        if EVEN_K:
            a = tl.load(features_ptr + rows[:, None] + k[None, :], mask=present, other=0.0)
            b = tl.load(weight_at, mask=in_columns, other=0.0)
        else:
            in_channels = k < channels
            a = tl.load(
                features_ptr + rows[:, None] + k[None, :], mask=present & in_channels[None, :], other=0.0
            )
            b = tl.load(weight_at, mask=in_channels[:, None] & in_columns, other=0.0)
        if WIDEN:
            a = a.to(tl.float32)
            b = b.to(tl.float32)
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
    return acc


@triton.jit
def _add_packed_products(
    acc,
    features_ptr,
    features_stride,
    channels,
    weight_ptr,
    weight_tap_stride,
    weight_in_stride,
    weight_out_stride,
    out_channels,
    table_ptr,
    table_stride,
    taps_ptr,
    num_taps,
    num_active,
    tile,
    first_out,
    REVERSED: tl.constexpr,
    PAD: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """As above for at most PAD channels: BLOCK_K // PAD taps side by side make one product.

    Three channels a product would leave 13 of the 16 columns of a tensor core empty.
    """
    lanes = tl.arange(0, BLOCK_M)
    columns = first_out + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    place = inner // PAD
    channel = inner % PAD
    TAPS: tl.constexpr = BLOCK_K // PAD
    in_columns = (columns < out_channels)[None, :]
    for step in range(tl.cdiv(num_active, TAPS)):
        slot = step * TAPS + place
        used = (slot < num_active) & (channel < channels)
        tap = tl.load(taps_ptr + tile * num_taps + slot, mask=used, other=0)
        neighbour = tl.load(
            table_ptr + (tap.to(tl.int64) * table_stride)[None, :] + (tile * BLOCK_M + lanes)[:, None],
            mask=used[None, :],
            other=-1,
        )
        a = tl.load(
            features_ptr + neighbour.to(tl.int64) * features_stride + channel[None, :],
            mask=(neighbour >= 0) & used[None, :],
            other=0.0,
        )
        weight_tap = num_taps - 1 - tap if REVERSED else tap
        rows = weight_tap.to(tl.int64) * weight_tap_stride + channel * weight_in_stride
        b = tl.load(
            weight_ptr + rows[:, None] + columns[None, :] * weight_out_stride,
            mask=used[:, None] & in_columns,
            other=0.0,
        )
        if WIDEN:
            a = a.to(tl.float32)
            b = b.to(tl.float32)
        acc = tl.dot(a, b, acc, input_precision=PRECISION)
    return acc


# The number of rows is another one in every step: not a kernel of its own for multiples of 16 and for 1.
@triton.jit(do_not_specialize=["num_rows"])
def convolve_tiles(
    features_ptr,
    second_ptr,
    weight_ptr,
    out_ptr,
    bias_ptr,
    residual_ptr,
    table_ptr,
    rows_ptr,
    taps_ptr,
    counts_ptr,
    num_rows,
    num_taps,
    table_stride,
    channels,
    second_channels,
    out_channels,
    features_stride,
    second_stride,
    residual_stride,
    weight_tap_stride,
    weight_in_stride,
    weight_out_stride,
    HAS_SECOND: tl.constexpr,
    HAS_BIAS: tl.constexpr,
    HAS_RESIDUAL: tl.constexpr,
    RELU: tl.constexpr,
    REVERSED: tl.constexpr,
    PAD: tl.constexpr,
    EVEN_K: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """One program makes BLOCK_M rows times BLOCK_N channels of the output.

    out = relu(sum of products + bias + residual), each part where its flag is set. ``second`` are
    further input channels that follow those of ``features``, as if both were one tensor. Every output element
    is written by one program and its sum runs in one order: no atomics, the same bits in every run.
    """
    num_n = tl.cdiv(out_channels, BLOCK_N)
    program = tl.program_id(0)
    # Programs that share rows are neighbours: what one gathers the next finds in the cache.
    tile = program // num_n
    first_out = (program - tile * num_n) * BLOCK_N
    num_active = tl.load(counts_ptr + tile)
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    if PAD > 0:
        acc = _add_packed_products(
            acc,
            features_ptr,
            features_stride,
            channels,
            weight_ptr,
            weight_tap_stride,
            weight_in_stride,
            weight_out_stride,
            out_channels,
            table_ptr,
            table_stride,
            taps_ptr,
            num_taps,
            num_active,
            tile,
            first_out,
            REVERSED,
            PAD,
            WIDEN,
            PRECISION,
            BLOCK_M,
            BLOCK_N,
            BLOCK_K,
        )
    else:
        acc = _add_products(
            acc,
            features_ptr,
            features_stride,
            channels,
            weight_ptr,
            weight_tap_stride,
            weight_in_stride,
            weight_out_stride,
            out_channels,
            table_ptr,
            table_stride,
            taps_ptr,
            num_taps,
            num_active,
            tile,
            first_out,
            REVERSED,
            EVEN_K,
            WIDEN,
            PRECISION,
            BLOCK_M,
            BLOCK_N,
            BLOCK_K,
        )
    if HAS_SECOND:
        acc = _add_products(
            acc,
            second_ptr,
            second_stride,
            second_channels,
            weight_ptr + channels * weight_in_stride,
            weight_tap_stride,
            weight_in_stride,
            weight_out_stride,
            out_channels,
            table_ptr,
            table_stride,
            taps_ptr,
            num_taps,
            num_active,
            tile,
            first_out,
            REVERSED,
            EVEN_K,
            WIDEN,
            PRECISION,
            BLOCK_M,
            BLOCK_N,
            BLOCK_K,
        )
    lanes = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = first_out + tl.arange(0, BLOCK_N)
    in_columns = columns < out_channels
    in_rows = lanes < num_rows
    row = tl.load(rows_ptr + lanes, mask=in_rows, other=0).to(tl.int64)
    inside = in_rows[:, None] & in_columns[None, :]
    if HAS_BIAS:
        acc = acc + tl.load(bias_ptr + columns, mask=in_columns, other=0.0).to(tl.float32)[None, :]
    if HAS_RESIDUAL:
        residual = residual_ptr + row[:, None] * residual_stride + columns[None, :]
        acc = acc + tl.load(residual, mask=inside, other=0.0).to(tl.float32)
    if RELU:
        # A comparison and not maximum(): NaN has to pass.
        acc = tl.where(acc < 0.0, 0.0, acc)
    at = out_ptr + row[:, None] * out_channels + columns[None, :]
    tl.store(at, acc.to(out_ptr.dtype.element_ty), mask=inside)
