"""Which rows of a batch lie around each row: by the engine's own table of voxels, or by pixels."""

from __future__ import annotations

from torch import Tensor

from pointseg.core.batch import Batch, ImageBatch, SceneBatch
from pointseg.core.surroundings import pixel_table
from pointseg.sparse import Grid

#: Edge of the cube of voxels.
_SIDE = 3


def neighbour_rows(batch: Batch) -> Tensor:
    """(T, M) int32 rows in the cells around each row, see Surroundings.of; T is 27 for voxels, 9 for pixels.

    Of voxels it is the map of a 3 x 3 x 3 convolution, found once more: the network's own belongs to its
    sorted grid. On a GPU the host waits once, for the bounds of the coordinates.
    """
    if isinstance(batch, ImageBatch):
        return pixel_table(*batch.pixel_labels.shape, device=batch.pixel_labels.device)
    assert isinstance(batch, SceneBatch)
    grid = Grid(batch.coords)
    return grid.kernel_map(grid, _SIDE).neighbours
