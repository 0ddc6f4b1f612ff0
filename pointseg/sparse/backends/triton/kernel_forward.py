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
    first_slot,
    last_slot,
    tile,
    first_out,
    REVERSED: tl.constexpr,
    K_STEPS: tl.constexpr,
    EVEN_K: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
):
    """acc + sum over some of the tile's taps of features[neighbours under the tap] @ weight[tap]."""
    columns = first_out + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    taps = taps_ptr + tile * num_taps
    table = table_ptr + tile * BLOCK_M + tl.arange(0, BLOCK_M)
    # The rows of the next product are looked up one step ahead, in registers: no gather waits for a load of
    # its own step, and the compiler keeps as many of them in flight as it is asked to. Behind the last active
    # tap the list goes on with the others, which may be looked up and are not multiplied.
    tap = tl.load(taps + tl.minimum(first_slot, num_taps - 1))
    neighbour = tl.load(table + tap.to(tl.int64) * table_stride)
    # One flat loop over (tap, channels), so that loads of the next tap overlap the products of this one.
    for step in range((last_slot - first_slot) * K_STEPS):
        slot = step // K_STEPS
        k = (step - slot * K_STEPS) * BLOCK_K + inner
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
        ahead = tl.minimum(first_slot + (step + 1) // K_STEPS, num_taps - 1)
        tap = tl.load(taps + ahead)
        neighbour = tl.load(table + tap.to(tl.int64) * table_stride)
    return acc


@triton.jit
def _look_up(table_ptr, table_stride, taps_ptr, slot, num_active, lanes):
    """(BLOCK_M, BLOCK_K) neighbours of a tile's rows under several taps, and the (BLOCK_K,) taps."""
    used = slot < num_active
    tap = tl.load(taps_ptr + slot, mask=used, other=0)
    neighbour = tl.load(
        table_ptr + (tap.to(tl.int64) * table_stride)[None, :] + lanes[:, None], mask=used[None, :], other=-1
    )
    return tap, neighbour


@triton.jit
def _add_packed_products(
    acc,
    features_ptr,
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
    """As above for features of exactly PAD channels: BLOCK_K // PAD taps side by side make one product.

    Three channels a product would leave 13 of the 16 columns of a tensor core empty. The channels of a row
    are one load of PAD numbers; those past ``channels`` meet weights of zero.
    """
    lanes = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = first_out + tl.arange(0, BLOCK_N)
    inner = tl.arange(0, BLOCK_K)
    place = inner // PAD
    channel = inner % PAD
    TAPS: tl.constexpr = BLOCK_K // PAD
    in_columns = (columns < out_channels)[None, :]
    taps = taps_ptr + tile * num_taps
    tap, neighbour = _look_up(table_ptr, table_stride, taps, place, num_active, lanes)
    for step in range(tl.cdiv(num_active, TAPS)):
        used = (step * TAPS + place < num_active) & (channel < channels)
        at = neighbour.to(tl.int64) * PAD + channel[None, :]
        a = tl.load(features_ptr + at, mask=neighbour >= 0, other=0.0)
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
        tap, neighbour = _look_up(table_ptr, table_stride, taps, (step + 1) * TAPS + place, num_active, lanes)
    return acc


@triton.jit
def _finish(
    acc,
    out_ptr,
    bias_ptr,
    residual_ptr,
    residual_stride,
    rows_ptr,
    lanes,
    columns,
    num_rows,
    out_channels,
    HAS_BIAS: tl.constexpr,
    HAS_RESIDUAL: tl.constexpr,
    RELU: tl.constexpr,
):
    """Write relu(acc + bias + residual), each part where its flag is set, to the rows of these lanes."""
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


# The number of rows is another one in every step: not a kernel of its own for multiples of 16 and for 1.
@triton.jit(do_not_specialize=["num_rows", "num_tiles"])
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
    num_tiles,
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
    K_STEPS: tl.constexpr,
    SECOND_K_STEPS: tl.constexpr,
    EVEN_K: tl.constexpr,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_K: tl.constexpr,
    GROUP: tl.constexpr,
    SPLITS: tl.constexpr,
):
    """One program makes BLOCK_M rows times BLOCK_N channels of the output, or of a part of its sum.

    out = relu(sum of products + bias + residual), each part where its flag is set. ``second`` are
    further input channels that follow those of ``features``, as if both were one tensor. Every output element
    is written by one program and its sum runs in one order: no atomics, the same bits in every run.

    With SPLITS above 1 the taps of a tile are shared by so many programs, and ``out`` is float32
    (SPLITS, num_tiles * BLOCK_M, out_channels), in the order of the table, which :func:`sum_splits` adds up.
    """
    num_n = tl.cdiv(out_channels, BLOCK_N)
    program = tl.program_id(0)
    # Programs that share rows are neighbours: what one gathers the next finds in the cache. With GROUP above
    # 1 so many tiles of rows go by for the same channels of the weight, which then stay there as well.
    group = program // (GROUP * num_n)
    tiles_in_group = tl.minimum(num_tiles - group * GROUP, GROUP)
    within = program - group * GROUP * num_n
    tile = group * GROUP + within % tiles_in_group
    first_out = (within // tiles_in_group) * BLOCK_N
    num_active = tl.load(counts_ptr + tile)
    first_slot = 0
    last_slot = num_active
    if SPLITS > 1:
        split = tl.program_id(1)
        first_slot = num_active * split // SPLITS
        last_slot = num_active * (split + 1) // SPLITS
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    if PAD > 0:
        acc = _add_packed_products(
            acc,
            features_ptr,
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
            first_slot,
            last_slot,
            tile,
            first_out,
            REVERSED,
            K_STEPS,
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
            first_slot,
            last_slot,
            tile,
            first_out,
            REVERSED,
            SECOND_K_STEPS,
            EVEN_K,
            WIDEN,
            PRECISION,
            BLOCK_M,
            BLOCK_N,
            BLOCK_K,
        )
    lanes = tile * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = first_out + tl.arange(0, BLOCK_N)
    if SPLITS > 1:
        row = tl.program_id(1).to(tl.int64) * num_tiles * BLOCK_M + lanes
        at = out_ptr + row[:, None] * out_channels + columns[None, :]
        tl.store(at, acc, mask=(columns < out_channels)[None, :])
    else:
        _finish(
            acc,
            out_ptr,
            bias_ptr,
            residual_ptr,
            residual_stride,
            rows_ptr,
            lanes,
            columns,
            num_rows,
            out_channels,
            HAS_BIAS,
            HAS_RESIDUAL,
            RELU,
        )


@triton.jit(do_not_specialize=["num_rows", "num_lanes"])
def sum_splits(
    partial_ptr,
    out_ptr,
    bias_ptr,
    residual_ptr,
    rows_ptr,
    num_rows,
    num_lanes,
    out_channels,
    residual_stride,
    HAS_BIAS: tl.constexpr,
    HAS_RESIDUAL: tl.constexpr,
    RELU: tl.constexpr,
    SPLITS: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    """What :func:`convolve_tiles` leaves in parts, added from the first to the last and finished."""
    lanes = tl.program_id(0) * BLOCK_M + tl.arange(0, BLOCK_M)
    columns = tl.program_id(1) * BLOCK_N + tl.arange(0, BLOCK_N)
    inside = (lanes < num_rows)[:, None] & (columns < out_channels)[None, :]
    at = partial_ptr + lanes.to(tl.int64)[:, None] * out_channels + columns[None, :]
    acc = tl.zeros((BLOCK_M, BLOCK_N), dtype=tl.float32)
    for _ in tl.static_range(SPLITS):
        acc += tl.load(at, mask=inside, other=0.0)
        at += num_lanes.to(tl.int64) * out_channels
    _finish(
        acc,
        out_ptr,
        bias_ptr,
        residual_ptr,
        residual_stride,
        rows_ptr,
        lanes,
        columns,
        num_rows,
        out_channels,
        HAS_BIAS,
        HAS_RESIDUAL,
        RELU,
    )
