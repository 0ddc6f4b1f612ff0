"""The neighbours of every voxel under every tap, as one table: what a GPU finds without asking for sizes."""

from __future__ import annotations

import torch
from torch import Tensor

from pointseg.sparse.keys import KeyLayout
from pointseg.sparse.voxels import Geometry


def neighbour_table(geometry: Geometry) -> Tensor:
    """(T, M) int32: the source row that a target row meets under each tap, or -1 where no voxel is.

    All columns of taps are looked up at once, in some ten calls whatever the kernel: on a GPU the calls are
    what a map costs. The host learns nothing but the bounds of the coordinates.

    Args:
        geometry: one that is not transposed; for others see :func:`exchanged_table`.
    """
    source, target, kernel_size = geometry.source, geometry.target, geometry.kernel_size
    step = geometry.dilation * source.stride
    # Undilated, no source voxel can lie between two neighbouring taps of a column.
    dense_steps = geometry.dilation == 1
    layout = KeyLayout.around([source.bounds, target.bounds], margin=step * kernel_size)
    source_keys = layout.sorted_keys(source.coords, source.order)
    target_keys = source_keys if source is target else layout.sorted_keys(target.coords, target.order)
    if not len(source_keys):
        return torch.full(
            (kernel_size**3, len(target_keys)), -1, dtype=torch.int32, device=target_keys.device
        )
    # A last key that nothing equals: a search that runs off the end lands on it.
    padded = torch.nn.functional.pad(source_keys, (0, 1), value=torch.iinfo(torch.int64).max)
    wanted = target_keys + _columns(layout, kernel_size, step, target_keys.device)[:, None]
    place = torch.searchsorted(source_keys, wanted, out_int32=True)
    table = torch.empty(
        kernel_size, kernel_size**2, len(target_keys), dtype=torch.int32, device=target_keys.device
    )
    for z in range(kernel_size):
        hit = padded[place] == wanted
        table[z] = torch.where(hit, place, -1)
        if z + 1 < kernel_size:
            wanted += step
            # One search serves a column: after a hit the next key up is the next entry, else the same one.
            place = place + hit if dense_steps else torch.searchsorted(source_keys, wanted, out_int32=True)
    return _as_rows(table.view(kernel_size**3, -1), source.order, target.order)


def exchanged_table(table: Tensor, num_source: int) -> Tensor:
    """(T, N) int32: the table of the map with its sides exchanged; N is the number of source rows."""
    # Absent neighbours are written to a last column, which nobody reads.
    column = torch.where(table >= 0, table, num_source).long()
    rows = torch.arange(table.shape[1], dtype=torch.int32, device=table.device).expand_as(table)
    turned = torch.full((table.shape[0], num_source + 1), -1, dtype=torch.int32, device=table.device)
    return turned.scatter_(1, column, rows)[:, :num_source]


def pairs_of(table: Tensor) -> tuple[Tensor, Tensor, tuple[int, ...]]:
    """(source rows, target rows, starts) of a table: pairs by tap, targets ascending within a tap.

    The host learns the number of pairs of each tap.
    """
    tap, target = torch.nonzero(table >= 0, as_tuple=True)
    source = table[tap, target]
    starts = torch.searchsorted(tap, torch.arange(table.shape[0] + 1, device=table.device))
    return source, target.int(), tuple(starts.tolist())


def _columns(layout: KeyLayout, kernel_size: int, step: int, device: torch.device) -> Tensor:
    """(K^2,) int64: what the lowest tap of each column adds to a key, x fastest."""
    low = -(kernel_size // 2) if kernel_size % 2 else 0
    along = torch.arange(low, low + kernel_size, device=device) * step
    return (along[None, :] * layout.shift(1, 0, 0) + along[:, None] * layout.shift(0, 1, 0)).view(-1) + (
        low * step
    )


def _as_rows(table: Tensor, source_order: Tensor | None, target_order: Tensor | None) -> Tensor:
    """Ranks in sorted order -> rows."""
    if source_order is not None and source_order.numel():
        table = torch.where(table >= 0, source_order.int()[table.clamp(min=0)], -1)
    if target_order is not None:
        rows = torch.empty_like(table)
        rows[:, target_order] = table
        table = rows
    return table
