"""What all figures share: colours that everybody can tell apart, type sizes, and how they are saved."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

#: Okabe and Ito, "Color Universal Design", 2008, without yellow, which is lost on white.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#D55E00", "#CC79A7", "#7F4F24")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (3, 1, 1, 1)), (0, (1, 1)), (0, (6, 2, 1, 2)))
GROUP_COLOURS = {"head": "#0072B2", "common": "#E69F00", "tail": "#D55E00", "": "#555555"}
GROUP_MARKERS = {"head": "o", "common": "s", "tail": "^", "": "o"}
#: Of methods without a colour of their own.
QUIET = "#B8B8B8"
#: Inches; on a page of 60 rem text in figures is as large as the text around them.
WIDTH = 9.0


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of each method that has its own; the others are grey.

    Args:
        loud: their names, in order.
    """

    loud: tuple[str, ...]

    def of(self, method: str) -> dict[str, object]:
        """Arguments of a line."""
        if method not in self.loud:
            return {"color": QUIET, "linewidth": 1.0, "zorder": 1}
        place = self.loud.index(method)
        return {
            "color": COLOURS[place],
            "marker": MARKERS[place],
            "linestyle": DASHES[place],
            "linewidth": 1.6,
            "markersize": 4.5,
            "zorder": 3,
        }

    def colour(self, method: str) -> str:
        return COLOURS[self.loud.index(method)] if method in self.loud else QUIET


@dataclass(frozen=True)
class Picture:
    """A finished figure.

    Args:
        name: for its file.
        title: heading on the page.
        caption: what it shows and how it was made.
        svg: for the page and for print.
        png: for documents that take no SVG.
    """

    name: str
    title: str
    caption: str
    svg: bytes
    png: bytes


@contextlib.contextmanager
def drawing() -> Iterator[None]:
    """Settings of all figures; the same content gives the same bytes."""
    settings: dict[Any, Any] = {
        "font.size": 9,
        "axes.titlesize": 10,
        "axes.titleweight": "bold",
        "axes.titlelocation": "left",
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": "#E4E4E4",
        "grid.linewidth": 0.6,
        "legend.frameon": False,
        "legend.fontsize": 9,
        "svg.hashsalt": "pointseg",
        "svg.fonttype": "path",
        "figure.constrained_layout.use": True,
    }
    with mpl.rc_context(settings):
        yield


def picture(figure: Figure, name: str, title: str, caption: str) -> Picture:
    """Save a figure in both forms."""
    svg, png = io.BytesIO(), io.BytesIO()
    figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None}, dpi=150)
    # Both have the same size and places, which take as long to find as all the drawing.
    figure.set_layout_engine("none")
    figure.savefig(png, format="png", metadata={"Software": None}, dpi=150)
    return Picture(name, title, caption, svg.getvalue(), png.getvalue())


def grid_of(
    num: int, columns: int, *, height: float, sharex: bool = True, sharey: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of ``num`` panels; what is left of the last row stays empty."""
    rows = -(-num // columns)
    figure = Figure(figsize=(WIDTH, height * rows))
    axes = figure.subplots(rows, columns, sharex=sharex, sharey=sharey, squeeze=False).ravel().tolist()
    for spare in axes[num:]:
        spare.set_axis_off()
    # Where the panel below is empty, the numbers of the shared axis stand here.
    for place, above in enumerate(axes[:num]):
        if place + columns >= num:
            above.xaxis.set_tick_params(labelbottom=True)
    return figure, axes[:num]


def legend_below(figure: Figure, axes: Axes, columns: int = 4) -> None:
    """One legend for all panels, under them."""
    handles, labels = axes.get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def readable(names: Sequence[str]) -> list[str]:
    """Names of methods as people read them."""
    return [name.replace("_", " ") for name in names]
