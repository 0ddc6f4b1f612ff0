"""BlockPlan: the pairs of a kernel map cut into blocks of output rows."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from pointseg.sparse.kernel_map import KernelMap


@dataclass(frozen=True)
class Piece:
    """The pairs of one tap whose targets lie in one block.

    Args:
        tap: number of the tap.
        source: (p,) int32 rows of the input.
        target: (p,) int32 rows of the output.
        first: where their products begin in the block's buffer.
        count: p.
    """

    tap: int
    source: Tensor
    target: Tensor
    first: int
    count: int


@dataclass(frozen=True)
class Block:
    """Some consecutive output rows and their pairs.

    Args:
        rows: the output rows.
        pieces: their pairs by tap; taps without a pair are left out.
        order: (p,) int32 rows of the block's buffer, sorted by the output row they add to.
        ends: (r + 1,) int32; output row i is the sum over ``order[ends[i]:ends[i + 1]]``.
    """

    rows: slice
    pieces: tuple[Piece, ...]
    order: Tensor
    ends: Tensor

    @property
    def num_pairs(self) -> int:
        return self.order.shape[0]


def block_plan(kernel_map: KernelMap, rows: int) -> list[Block]:
    """Blocks of ``rows`` output rows of a kernel map; memoised in the map.

    Targets ascend within a tap, so the pairs of a block are one slice per tap and each block is computed for
    itself: no atomics, and one order of sums.
    """
    name = f"blocks of {rows}"
    if name not in kernel_map.plans:
        kernel_map.plans[name] = list(_cut(kernel_map, rows))
    plan: list[Block] = kernel_map.plans[name]
    return plan


def _cut(kernel_map: KernelMap, rows: int) -> Iterator[Block]:
    edges = torch.arange(0, kernel_map.num_target + rows, rows, dtype=torch.int32)
    edges.clamp_(max=kernel_map.num_target)
    cuts = torch.stack(
        [
            torch.searchsorted(kernel_map.tap(tap)[1], edges) + kernel_map.starts[tap]
            for tap in range(kernel_map.num_taps)
        ]
    )
    corners = edges.tolist()
    for (first, end), begins, stops in zip(
        pairwise(corners), cuts[:, :-1].T.tolist(), cuts[:, 1:].T.tolist(), strict=True
    ):
        pieces, at = [], 0
        for tap, (begin, stop) in enumerate(zip(begins, stops, strict=True)):
            if stop > begin:
                source, target = kernel_map.source[begin:stop], kernel_map.target[begin:stop]
                pieces.append(Piece(tap, source, target, at, stop - begin))
                at += stop - begin
        targets = torch.cat([kernel_map.target[:0], *(piece.target for piece in pieces)])
        ascending, order = targets.sort(stable=True)
        ends = torch.searchsorted(ascending, torch.arange(first, end + 1, dtype=torch.int32), out_int32=True)
        yield Block(slice(first, end), tuple(pieces), order.int(), ends)
