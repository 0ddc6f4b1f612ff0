"""What is asked of a labelled file, whichever file it is."""

from __future__ import annotations

from dataclasses import dataclass

from pointseg.core.extras import parse_extras
from pointseg.data.kind import Kind
from pointseg.prediction.predict import check_views

#: The largest scene of ScanNet has 552,614 vertices, so all of them are predicted whole.
MAX_TILE_POINTS = 600_000


@dataclass(frozen=True)
class LabelOptions:
    """How files are predicted and written.

    Args:
        views: test-time views.
        max_points: larger clouds are predicted in tiles of at most this many points.
        keep_colors: write the colours of the file, where it has them, and not those of the classes; None for
            what is usual.
        save: names of :data:`pointseg.core.extras.EXTRAS` to write beside the classes.
        min_confidence: rows whose most probable class is less probable get the unlabelled raw id.
        unit: unit of the positions of points, see :func:`pointseg.scans.file.read_cloud_file`; they are
            written as they stand in the file.

    Raises:
        ValueError: for a value that cannot be.
    """

    views: int = 1
    max_points: int = MAX_TILE_POINTS
    keep_colors: bool | None = None
    save: tuple[str, ...] = ()
    min_confidence: float | None = None
    unit: str | None = None

    def __post_init__(self) -> None:
        check_views(self.views)
        parse_extras(self.save)
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ValueError(f"--min-confidence is a probability, 0..1; got {self.min_confidence}.")

    def check(self, kind: Kind) -> None:
        """Raises ValueError for what the files of a kind have no room for."""
        if self.save and not kind.keeps_more:
            raise ValueError(
                f"This run was trained on {kind.kind}, whose labelled files have no room for "
                f"{', '.join(self.save)}; leave out --save."
            )
