"""Device code of the weight gradient: partial sums over chunks of pairs, then their sum in a fixed order."""

# No `from __future__ import annotations` here: Triton reads the annotation of a constexpr as an object.
import triton
import triton.language as tl


@triton.jit
def weight_gradient_chunks(
    features_ptr,
    grad_ptr,
    partial_ptr,
    source_ptr,
    target_ptr,
    begins_ptr,
    ends_ptr,
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
    """partial[chunk] = features[source].T @ grad[target] over the pairs of a chunk, all of one tap."""
    num_o = tl.cdiv(out_channels, BLOCK_O)
    num_tiles = tl.cdiv(channels, BLOCK_I) * num_o
    program = tl.program_id(0)
    # The tiles of a chunk are neighbours: they gather the same rows.
    chunk = program // num_tiles
    tile = program - chunk * num_tiles
    ins = (tile // num_o) * BLOCK_I + tl.arange(0, BLOCK_I)
    outs = (tile % num_o) * BLOCK_O + tl.arange(0, BLOCK_O)
    begin = tl.load(begins_ptr + chunk)
    end = tl.load(ends_ptr + chunk)
    acc = tl.zeros((BLOCK_I, BLOCK_O), dtype=tl.float32)
    for step in range(tl.cdiv(end - begin, BLOCK_P)):
        pair = begin + step * BLOCK_P + tl.arange(0, BLOCK_P)
        in_chunk = pair < end
        source = tl.load(source_ptr + pair, mask=in_chunk, other=0).to(tl.int64)
        target = tl.load(target_ptr + pair, mask=in_chunk, other=0).to(tl.int64)
        # Loaded with channels as rows: the transposed product needs no transposition.
        x = tl.load(
            features_ptr + source[None, :] * features_stride + ins[:, None],
            mask=in_chunk[None, :] & (ins < channels)[:, None],
            other=0.0,
        )
        g = tl.load(
            grad_ptr + target[:, None] * grad_stride + outs[None, :],
            mask=in_chunk[:, None] & (outs < out_channels)[None, :],
            other=0.0,
        )
        if WIDEN:
            x = x.to(tl.float32)
            g = g.to(tl.float32)
        acc = tl.dot(x, g, acc, input_precision=PRECISION)
    at = (
        partial_ptr
        + chunk.to(tl.int64) * channels * out_channels
        + ins[:, None] * out_channels
        + outs[None, :]
    )
    tl.store(at, acc, mask=(ins < channels)[:, None] & (outs < out_channels)[None, :])


@triton.jit
def sum_chunks(
    partial_ptr,
    out_ptr,
    first_chunk_ptr,
    num_elements,
    out_tap_stride,
    BLOCK: tl.constexpr,
):
    """out[tap] = sum of partial[first_chunk[tap]:first_chunk[tap + 1]], from the first to the last."""
    num_blocks = tl.cdiv(num_elements, BLOCK)
    program = tl.program_id(0)
    tap = program // num_blocks
    element = (program - tap * num_blocks) * BLOCK + tl.arange(0, BLOCK)
    inside = element < num_elements
    first = tl.load(first_chunk_ptr + tap)
    last = tl.load(first_chunk_ptr + tap + 1)
    acc = tl.zeros((BLOCK,), dtype=tl.float32)
    partial = partial_ptr + first.to(tl.int64) * num_elements + element
    for _ in range(last - first):
        acc += tl.load(partial, mask=inside, other=0.0)
        partial += num_elements
    at = out_ptr + tap.to(tl.int64) * out_tap_stride + element
    tl.store(at, acc.to(out_ptr.dtype.element_ty), mask=inside)
