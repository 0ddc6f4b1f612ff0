"""A room of boxes, small enough that a scan of it takes milliseconds."""

import numpy as np
import pytest

from pointseg.synthetic.model import ObjectModel, RoomModel
from pointseg.synthetic.scan import Scan, scan_room


def box(low: tuple[float, float, float], high: tuple[float, float, float]) -> np.ndarray:
    """(6, 4, 3) sides of a box seen from outside: bottom, top, -y, +y, -x, +x."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return np.array(
        [
            [(x0, y0, z0), (x0, y1, z0), (x1, y1, z0), (x1, y0, z0)],
            [(x0, y0, z1), (x1, y0, z1), (x1, y1, z1), (x0, y1, z1)],
            [(x0, y0, z0), (x1, y0, z0), (x1, y0, z1), (x0, y0, z1)],
            [(x0, y1, z0), (x0, y1, z1), (x1, y1, z1), (x1, y1, z0)],
            [(x0, y0, z0), (x0, y0, z1), (x0, y1, z1), (x0, y1, z0)],
            [(x1, y0, z0), (x1, y1, z0), (x1, y1, z1), (x1, y0, z1)],
        ],
        dtype=np.float32,
    )


def thing(category: str, raw_id: int, quads: np.ndarray, *, annotated: bool = True) -> ObjectModel:
    color = np.full((len(quads), 3), (60 + 20 * len(category), 120, 90), dtype=np.uint8)
    return ObjectModel(category, raw_id, quads, color, "wood", annotated)


@pytest.fixture(scope="session")
def room() -> RoomModel:
    """3 x 2.5 m: floor, four walls, a table with a box on it, a bed, and a crate nobody annotated."""
    shell = box((0, 0, 0), (3, 2.5, 2.2))[:, ::-1]
    objects = (
        thing("floor", 3, shell[:1]),
        *(thing("wall", 1, shell[side : side + 1]) for side in (2, 3, 4, 5)),
        thing("table", 4, box((0.2, 1.5, 0), (1.2, 2.2, 0.7))),
        thing("box", 26, box((0.5, 1.7, 0.7), (0.8, 2.0, 0.9))),
        thing("bed", 11, box((1.8, 0.6, 0), (2.9, 2.3, 0.45))),
        thing("crate", 233, box((0.1, 0.2, 0), (0.5, 0.6, 0.4)), annotated=False),
        thing("globe", 0, box((2.0, 1.0, 0.45), (2.1, 1.1, 0.55))),
    )
    cameras = np.array([(1.4, 0.4, 1.6), (0.9, 1.0, 1.5), (1.5, 2.2, 1.7), (1.5, 1.2, 1.5)])
    return RoomModel("Bedroom / Hotel", objects, np.array([3, 2.5, 2.2], np.float32), cameras)


@pytest.fixture(scope="session")
def scan(room: RoomModel) -> Scan:
    return scan_room(room, np.random.default_rng(0))
