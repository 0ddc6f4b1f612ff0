"""ImageScene: one photograph; its pixels, row by row, are what the vertices of a scan are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImageScene:
    """One photograph with all its pixels in reading order, so that whatever counts or shows vertices fits.

    Args:
        name: name of the image, without suffix.
        height, width: pixels.
        rgb: (P, 3) uint8 colours, P = height * width.
        raw_label: (P,) int32 raw ids, or None where the image is not labelled.
    """

    #: What its parts are called.
    unit: ClassVar[str] = "pixels"

    name: str
    height: int
    width: int
    rgb: npt.NDArray[np.uint8]
    raw_label: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        for field, shape in (("rgb", (self.num_vertices, 3)), ("raw_label", (self.num_vertices,))):
            value = getattr(self, field)
            if value is not None and value.shape != shape:
                raise ValueError(f"{self.name}: {field} must have shape {shape}; got {value.shape}.")

    @property
    def num_vertices(self) -> int:
        return self.height * self.width

    @property
    def picture_size(self) -> tuple[int, int]:
        """Its rows are the pixels of a picture: (height, width)."""
        return self.height, self.width

    @property
    def further_label(self) -> None:
        """None: a pixel has one label at most."""
        return None

    def as_picture(self, values: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        """(P, ...) values of the pixels as (height, width, ...)."""
        return values.reshape(self.height, self.width, *values.shape[1:])
