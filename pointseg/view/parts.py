"""Parts of a scene of more points than a page holds, each a page beside it, fetched where one looks closely.

The page of the scene holds an even choice of MAX_POINTS. All others lie in parts, boxes of about as many
points each, which halving along the longest side makes. A part is a page of its own, which hands its points
to the page that frames it: so it is the same whether it is served or lies on a disk, where pages may not
fetch files.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.view.page import MAX_POINTS, Surroundings, assemble, json_in_html, page
from pointseg.view.page_data import Box, page_data
from pointseg.view.picture import with_normals
from pointseg.view.scene_view import SceneSummary, SceneView

#: At most this many points lie in a part, and more than half as many where there is more than one part. The
#: page draws up to 16 parts at once (``parts.js``).
PART_POINTS = 125_000


def num_parts(num_vertices: int) -> int:
    """How many parts a scene of this many points has; 0 where its page holds them all."""
    rest = num_vertices - MAX_POINTS
    return 0 if rest <= 0 else 2 ** max(0, math.ceil(math.log2(rest / PART_POINTS)))


@dataclass(frozen=True)
class Parts:
    """A scene of points, cut into an overview and parts.

    Args:
        view: all points, with colours.
        chosen: (MAX_POINTS,) places of those of the overview, in file order.
        rows: places of those of each part, in file order.
        box: by which all positions are rounded alike.
    """

    view: SceneView
    chosen: npt.NDArray[np.int64]
    rows: tuple[npt.NDArray[np.int64], ...]
    box: Box

    @classmethod
    def of(cls, view: SceneView) -> Parts:
        """Those of a scene of more than MAX_POINTS points; the same for the same scene."""
        # Shades of the height are those of the whole scene.
        coloured = replace(view, scene=replace(view.scan, rgb=view.input_colors()))
        chosen = view.choice(MAX_POINTS)
        left = np.ones(view.num_vertices, dtype=bool)
        left[chosen] = False
        rows = [np.flatnonzero(left)]
        while len(rows) < num_parts(view.num_vertices):
            rows = [half for part in rows for half in _halves(part, view.scan.xyz_m)]
        return cls(coloured, chosen, tuple(np.sort(part) for part in rows), Box.of(view.scan.xyz_m))

    def overview(self, summary: SceneSummary, around: Surroundings, stem: str) -> str:
        """The page of the scene.

        Args:
            summary: numbers of all points.
            around: what it shows around the scene.
            stem: address of the page without ``.html``; those of the parts begin with it.
        """
        xyz, step = self.view.scan.xyz_m, self.box.extent / 65_535
        parts = [
            {
                "href": f"{stem}.part{number}.html",
                "count": len(part),
                "low": (xyz[part].min(axis=0) - step).tolist(),
                "high": (xyz[part].max(axis=0) + step).tolist(),
            }
            for number, part in enumerate(self.rows)
        ]
        view = with_normals(self.view.select(self.chosen))
        return page(view, summary, around, box=self.box, parts=parts)

    def part(self, number: int, summary: SceneSummary) -> str:
        """The page of a part."""
        view = with_normals(self.view.select(self.rows[number]))
        facts, points = page_data(view, summary, self.box)
        kept: dict[str, Any] = {name: facts[name] for name in ("count", "blocks", "further")}
        filled = {"title": f"part of {view.scene.name}", "facts": json_in_html(kept), "points": points}
        return assemble("part.html", (), ("data.js", "part.js"), filled)


def _halves(rows: npt.NDArray[np.int64], xyz_m: npt.NDArray[np.float32]) -> tuple[npt.NDArray[np.int64], ...]:
    """The same rows in two boxes of half as many each, side by side along the longest side."""
    xyz = xyz_m[rows]
    axis = int(np.argmax(np.ptp(xyz, axis=0)))
    order = np.argpartition(xyz[:, axis], len(rows) // 2)
    return rows[order[: len(rows) // 2]], rows[order[len(rows) // 2 :]]
