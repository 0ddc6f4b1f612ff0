"""Scene: one scan, every vertex, as it lies on disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pointseg.core.notebook import html_table


@dataclass(frozen=True)
class Scene:
    """One scan with all its vertices in file order; the order is the contract for labels and submissions.

    Args:
        name: name of the scan, e.g. ``scene0000_00``.
        xyz_m: (P, 3) float32 positions in metres, +Z up.
        rgb: (P, 3) uint8 colours, or None where the scan has none.
        normal: (P, 3) float32 unit normals (zero where undefined), or None.
        raw_label: (P,) int32 raw ids, or None where the scan is not labelled.
        instance: (P,) int32 object numbers, -1 for no object, or None.
        offset_m: what was taken from the positions of a map to bring them near the origin; added back, they
            are what the source of the scan says, in metres.
        further_label: (P, n) int32 raw ids of further labels of a vertex, the id for "no label" where there
            are fewer, or None where a vertex has one at most. Training looks at ``raw_label`` alone.
    """

    #: What its parts are called.
    unit: ClassVar[str] = "vertices"

    name: str
    xyz_m: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8] | None = None
    normal: npt.NDArray[np.float32] | None = None
    raw_label: npt.NDArray[np.int32] | None = None
    instance: npt.NDArray[np.int32] | None = None
    offset_m: tuple[float, float, float] = (0.0, 0.0, 0.0)
    further_label: npt.NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        if self.xyz_m.ndim != 2 or self.xyz_m.shape[1] != 3:
            raise ValueError(f"{self.name}: xyz_m must be (P, 3); got {self.xyz_m.shape}.")
        for field, shape in (
            ("rgb", (self.num_vertices, 3)),
            ("normal", (self.num_vertices, 3)),
            ("raw_label", (self.num_vertices,)),
            ("instance", (self.num_vertices,)),
        ):
            value = getattr(self, field)
            if value is not None and value.shape != shape:
                raise ValueError(f"{self.name}: {field} must have shape {shape}; got {value.shape}.")
        further = self.further_label
        if further is not None and (further.ndim != 2 or len(further) != self.num_vertices):
            raise ValueError(
                f"{self.name}: further_label must be ({self.num_vertices}, n); got {further.shape}."
            )

    def __repr__(self) -> str:
        optional = ("rgb", "normal", "raw_label", "further_label", "instance")
        held = ["xyz_m", *(name for name in optional if getattr(self, name) is not None)]
        return f"Scene({self.name!r}, {self.num_vertices} vertices: {', '.join(held)})"

    def _repr_html_(self) -> str:
        rows = []
        for number, axis in enumerate("xyz" if self.num_vertices else ""):
            low, high = float(self.xyz_m[:, number].min()), float(self.xyz_m[:, number].max())
            rows.append((axis, f"{low:.2f}", f"{high:.2f}", f"{high - low:.2f}"))
        return html_table(repr(self), ("axis", "from, m", "to, m", "extent, m"), rows)

    @property
    def num_vertices(self) -> int:
        return self.xyz_m.shape[0]

    @property
    def picture_size(self) -> None:
        """None: its rows are points in space and no picture."""
        return None
