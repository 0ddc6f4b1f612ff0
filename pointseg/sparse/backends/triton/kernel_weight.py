"""Device code of the weight gradient: sums over parts of a tap's tiles, then over the parts, in one order."""

# No `from __future__ import annotations` here: Triton reads the annotation of a constexpr as an object.
import triton
import triton.language as tl


@triton.jit(do_not_specialize=["num_rows", "num_tiles", "num_parts"])
def weight_gradient_parts(
    features_ptr,
    grad_ptr,
    partial_ptr,
    table_ptr,
    rows_ptr,
    tiles_ptr,
    counts_ptr,
    num_rows,
    num_tiles,
    num_parts,
    table_stride,
    channels,
    out_channels,
    features_stride,
    grad_stride,
    WIDEN: tl.constexpr,
    PRECISION: tl.constexpr,
    BLOCK_P: tl.constexpr,
    BLOCK_I: tl.constexpr,
    BLOCK_O: tl.constexpr,
):
    """partial[tap, part] = features[neighbours].T @ grad[rows] over a part of the tiles that have the tap.

    The number of pairs of a tap stays on the device: parts are shares of however many tiles there are. Rows
    of a tile without a neighbour under the tap count as zero; the order of the table keeps them few.
    """
    num_o = tl.cdiv(out_channels, BLOCK_O)
    num_blocks = tl.cdiv(channels, BLOCK_I) * num_o
    program = tl.program_id(0)
    # The blocks of a part are neighbours: they gather the same rows.
    part_of_tap = program // num_blocks
    block = program - part_of_tap * num_blocks
    tap = part_of_tap // num_parts
    part = part_of_tap - tap * num_parts
    ins = (block // num_o) * BLOCK_I + tl.arange(0, BLOCK_I)
    outs = (block % num_o) * BLOCK_O + tl.arange(0, BLOCK_O)
    count = tl.load(counts_ptr + tap)
    # 64-bit: tiles times parts of a large batch may pass 2^31.
    first = (count.to(tl.int64) * part // num_parts).to(tl.int32)
    last = (count.to(tl.int64) * (part + 1) // num_parts).to(tl.int32)
    tiles = tiles_ptr + tap.to(tl.int64) * num_tiles
    table = table_ptr + tap.to(tl.int64) * table_stride
    lanes = tl.arange(0, BLOCK_P)
    # Looked up one step ahead, as in the convolution; behind the last tile of a tap the list goes on with the
    # others.
    column = tl.load(tiles + tl.minimum(first, num_tiles - 1)) * BLOCK_P + lanes
    source = tl.load(table + column)
    target = tl.load(rows_ptr + column, mask=column < num_rows, other=0)
    acc = tl.zeros((BLOCK_I, BLOCK_O), dtype=tl.float32)
    for step in range(last - first):
        present = source >= 0
        # Loaded with channels as rows: the transposed product needs no transposition.
        x = tl.load(
            features_ptr + source.to(tl.int64)[None, :] * features_stride + ins[:, None],
            mask=present[None, :] & (ins < channels)[:, None],
            other=0.0,
        )
        g = tl.load(
            grad_ptr + target.to(tl.int64)[:, None] * grad_stride + outs[None, :],
            mask=present[:, None] & (outs < out_channels)[None, :],
            other=0.0,
        )
        if WIDEN:
            x = x.to(tl.float32)
            g = g.to(tl.float32)
        acc = tl.dot(x, g, acc, input_precision=PRECISION)
        column = tl.load(tiles + tl.minimum(first + step + 1, num_tiles - 1)) * BLOCK_P + lanes
        source = tl.load(table + column)
        target = tl.load(rows_ptr + column, mask=column < num_rows, other=0)
    at = (
        partial_ptr
        + part_of_tap.to(tl.int64) * channels * out_channels
        + ins[:, None] * out_channels
        + outs[None, :]
    )
    tl.store(at, acc, mask=(ins < channels)[:, None] & (outs < out_channels)[None, :])


@triton.jit(do_not_specialize=["num_parts"])
def sum_parts(
    partial_ptr,
    out_ptr,
    num_parts,
    num_elements,
    out_tap_stride,
    BLOCK: tl.constexpr,
):
    """out[tap] = sum of partial[tap, 0..num_parts - 1], from the first to the last."""
    num_blocks = tl.cdiv(num_elements, BLOCK)
    program = tl.program_id(0)
    tap = program // num_blocks
    element = (program - tap * num_blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = element < num_elements
    acc = tl.zeros((BLOCK,), dtype=tl.float32)
    partial = partial_ptr + tap.to(tl.int64) * num_parts * num_elements + element
    for _ in range(num_parts):
        acc += tl.load(partial, mask=inside, other=0.0)
        partial += num_elements
    at = out_ptr + tap.to(tl.int64) * out_tap_stride + element
    tl.store(at, acc.to(out_ptr.dtype.element_ty), mask=inside)
