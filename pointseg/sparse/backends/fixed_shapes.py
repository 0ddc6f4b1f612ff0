"""Products of rows in a few shapes only.

In 16 bits torch leaves products to oneDNN, which compiles a kernel for every new shape: 0.8 ms for 512
rows of 128 channels, and 5 ms for a gradient of the weight, where the product itself takes 0.03 and 0.05 ms.
Rows of a tap differ from map to map, so that nearly every product would be a new shape; and oneDNN forgets
all but the last 1,024. Products are therefore of one of these numbers of rows, the next that is large enough.
"""

from __future__ import annotations

from bisect import bisect_left

import torch
from torch import Tensor

#: Rows of a product. At most half as many again as there are, and as many as a block of rows has.
ROWS = (64, 128, 256, 384, 512, 768, 1024, 1536, 2048, 3072, 4096)
_COMPILED = (torch.bfloat16, torch.float16)


def product_rows(count: int, dtype: torch.dtype) -> int:
    """The rows of the product that is computed where ``count`` are wanted: more in 16 bits, else the same."""
    if dtype not in _COMPILED:
        return count
    at = bisect_left(ROWS, count)
    return ROWS[at] if at < len(ROWS) else -(-count // ROWS[-1]) * ROWS[-1]


def multiply_rows(rows: Tensor, weight: Tensor, out: Tensor, first: int, count: int) -> None:
    """out[first:first + count] = rows[:count] @ weight; rows of both beyond are overwritten.

    Args:
        rows: (R, C_in) with ``product_rows(count)`` rows at least; those beyond ``count`` become zeros.
        weight: (C_in, C_out).
        out: (S, C_out) with ``first + product_rows(count)`` rows at least.
        first: where to write.
        count: how many rows are wanted.
    """
    padded = product_rows(count, rows.dtype)
    # What lay there before may be NaN, and is read behind the last row: oneDNN multiplies the end of a row by
    # blocks of channels, with zeros for those that the row has not.
    rows[count:padded].zero_()
    torch.mm(rows[:padded], weight, out=out[first : first + padded])


def add_outer(total: Tensor, left: Tensor, right: Tensor, count: int) -> None:
    """total += left[:count].T @ right[:count]; rows of both beyond ``count`` are overwritten by zeros.

    Args:
        total: (C_in, C_out), of a type as wide as the others' or wider.
        left: (R, C_in) with ``product_rows(count)`` rows at least.
        right: (R, C_out), likewise.
        count: how many rows are summed.
    """
    padded = product_rows(count, left.dtype)
    # Of both sides: zero times what lay there before may be NaN.
    left[count:padded].zero_()
    right[count:padded].zero_()
    if total.dtype == left.dtype:
        total.addmm_(left[:padded].T, right[:padded])
    else:
        total += left[:padded].T @ right[:padded]
