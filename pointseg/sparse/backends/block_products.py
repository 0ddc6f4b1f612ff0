"""Sparse convolution for CPUs in plain torch: products of a block of output rows, summed in one pass."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.sparse.backends.base import Epilogue
from pointseg.sparse.backends.blocks import Block, block_plan
from pointseg.sparse.backends.fixed_shapes import add_outer, multiply_rows, product_rows
from pointseg.sparse.backends.reference import accumulation_type
from pointseg.sparse.kernel_map import KernelMap


class BlocksBackend:
    """Gather and multiply tap by tap into a buffer per block of output rows, then sum the buffer row by row.

    torch's index_add_ on CPU runs in one thread and costs as much as the products of 32 channels;
    embedding_bag sums in all threads, in float32 for 16-bit types. Blocks keep all of it in cache: about
    4,096 rows give products of a thousand rows per tap, which run near the rate of a large matrix product.
    """

    def unavailable(self, device: torch.device) -> str | None:
        return None if device.type == "cpu" else f"it is made for CPUs; the device is {device}"

    def forward(
        self, features: Tensor, weight: Tensor, kernel_map: KernelMap, epilogue: Epilogue | None = None
    ) -> Tensor:
        plan = block_plan(kernel_map, _block_rows(weight.shape[2]))
        out = features.new_empty(kernel_map.num_target, weight.shape[2])
        gathered, products = _buffers(plan, features, weight.shape[2])
        weights = weight.unbind()
        for block in plan:
            for piece in block.pieces:
                torch.index_select(features, 0, piece.source, out=gathered[: piece.count])
                multiply_rows(gathered, weights[piece.tap], products, piece.first, piece.count)
            out[block.rows] = _sum_rows(products, block)
        return out if epilogue is None else epilogue.apply(out)

    def backward(
        self,
        grad: Tensor,
        features: Tensor,
        weight: Tensor,
        kernel_map: KernelMap,
        *,
        needs_features: bool,
        needs_weight: bool,
    ) -> tuple[Tensor | None, Tensor | None]:
        # The gradient of the features is the transposed convolution: one pass over the transposed map gathers
        # each gradient row once for both results.
        back = kernel_map if kernel_map.mirrored else kernel_map.transposed()
        plan = block_plan(back, _block_rows(weight.shape[1]))
        wide = accumulation_type(weight.dtype)
        grad_features = torch.empty_like(features) if needs_features else None
        grad_weight = torch.zeros_like(weight, dtype=wide) if needs_weight else None
        # Views in the order of the transposed map's taps.
        weights_back = weight.transpose(1, 2).unbind()
        grad_weights = () if grad_weight is None else grad_weight.unbind()
        if kernel_map.mirrored:
            weights_back, grad_weights = weights_back[::-1], grad_weights[::-1]
        gathered, products = _buffers(plan, grad, weight.shape[1])
        inputs = features.new_empty(gathered.shape[0], features.shape[1])
        for block in plan:
            for piece in block.pieces:
                torch.index_select(grad, 0, piece.source, out=gathered[: piece.count])
                if needs_features:
                    multiply_rows(gathered, weights_back[piece.tap], products, piece.first, piece.count)
                if needs_weight:
                    torch.index_select(features, 0, piece.target, out=inputs[: piece.count])
                    add_outer(grad_weights[piece.tap], inputs, gathered, piece.count)
            if grad_features is not None:
                grad_features[block.rows] = _sum_rows(products, block)
        return grad_features, None if grad_weight is None else grad_weight.to(weight.dtype)


def _block_rows(channels: int) -> int:
    """Output rows per block, so that a buffer of some 11 products of each stays within a last-level cache."""
    return max(1024, min(4096, 2**19 // max(channels, 1)) & -1024)


def _buffers(plan: list[Block], gathered_like: Tensor, product_channels: int) -> tuple[Tensor, Tensor]:
    """A buffer for the gathered rows of one piece and one for the products of a block.

    Products are of more rows than a piece has at times: what they write beyond is overwritten by the next
    piece, and there is room behind the last.
    """
    pieces = [piece for block in plan for piece in block.pieces]
    sizes = [product_rows(piece.count, gathered_like.dtype) for piece in pieces]
    ends = [piece.first + size for piece, size in zip(pieces, sizes, strict=True)]
    gathered = gathered_like.new_empty(max(sizes, default=0), gathered_like.shape[1])
    products = gathered_like.new_empty(max(ends, default=0), product_channels)
    return gathered, products


def _sum_rows(products: Tensor, block: Block) -> Tensor:
    """(r, C) sums of the products of each output row; zero where there is none."""
    # The function under torch.nn.functional.embedding_bag, which would check and convert its input again.
    mode_sum = 0
    return torch.embedding_bag(
        products[: block.num_pairs], block.order, block.ends, False, mode_sum, False, None, True
    )[0]
