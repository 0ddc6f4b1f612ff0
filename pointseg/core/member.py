"""Member: what every kind of data has in common in one scene or image."""

from __future__ import annotations

from typing import ClassVar, Protocol

import numpy as np
import numpy.typing as npt


class Member(Protocol):
    """One scene or image with all its rows: vertices in file order, or pixels in reading order.

    Attributes:
        unit: what its rows are called.
        name: its name in the data set.
        num_vertices: P, its rows.
        rgb: (P, 3) uint8 colours, or None where it has none.
        raw_label: (P,) int32 raw ids, or None where it is not labelled.
        further_label: (P, n) int32 further raw ids, see :class:`pointseg.core.scene.Scene`, or None.
        picture_size: (height, width) of the picture that its rows are, or None for points in space.
    """

    unit: ClassVar[str]

    @property
    def name(self) -> str: ...

    @property
    def num_vertices(self) -> int: ...

    @property
    def rgb(self) -> npt.NDArray[np.uint8] | None: ...

    @property
    def raw_label(self) -> npt.NDArray[np.int32] | None: ...

    @property
    def further_label(self) -> npt.NDArray[np.int32] | None: ...

    @property
    def picture_size(self) -> tuple[int, int] | None: ...
