"""What a person with a depth camera saw of a room: occlusion by depth buffers, back faces, holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.mesh import BoolArray, FloatArray, IntArray, ScanMesh
from pointseg.synthetic.waves import Waves

#: Directions are binned this fine.
BIN_DEGREES = 2.0
#: (coarser by, for occluders nearer than): the vertices of near things lie further apart, and fine bins
#: would let single vertices behind them shine through.
BINS = ((6, 0.7), (2, 2.2), (1, np.inf))
#: A vertex this far behind the surface that covers it is still seen: depth noise, and bins of finite width.
TOLERANCE_M = 0.06
#: Surfaces seen flatter than this give no depth.
MIN_COSINE = 0.08
MAX_RANGE_M = 6.5
#: Rounds in which vertices follow most of their neighbours.
VOTES = 3
#: Elevations that a handheld camera covers; ceilings are rarely scanned.
ELEVATION_DEGREES = (-80.0, 32.0)


def scanned(mesh: ScanMesh, cameras_m: npt.NDArray[np.floating]) -> BoolArray:
    """(V,) vertices that at least one of the (M, 3) cameras sees."""
    seen = np.zeros(mesh.num_vertices, dtype=bool)
    for camera in cameras_m:
        unseen = np.flatnonzero(~seen)
        seen[unseen[seen_from(mesh, camera, unseen)]] = True
    # The bins leak single vertices and swallow others; depth fusion would have voted.
    neighbours = mesh.adjacency()
    degree = np.maximum(neighbours.sum(axis=1), 1)
    for _ in range(VOTES):
        seen = (neighbours @ seen.astype(np.float32)) / degree + 0.3 * seen > 0.6
    return seen


def seen_from(mesh: ScanMesh, camera_m: npt.NDArray[np.floating], asked: IntArray | None = None) -> BoolArray:
    """(A,) whether each of the asked vertices is seen from one position: front side, in range, uncovered.

    Args:
        asked: (A,) vertices to tell about; all by default. All cover what lies behind them.
    """
    asked = np.arange(mesh.num_vertices) if asked is None else asked
    view = _View.of(mesh, camera_m)
    ray = view.ray[asked]
    cosine = np.einsum("ij,ij->i", ray, mesh.normal[asked]) / np.maximum(view.distance[asked], 1e-6)
    low, high = np.deg2rad(ELEVATION_DEGREES)
    elevation = view.elevation[asked]
    seen = (
        (cosine > MIN_COSINE) & (view.distance[asked] < MAX_RANGE_M) & (elevation > low) & (elevation < high)
    )
    for factor, near_m in BINS:
        candidates = np.flatnonzero(seen)
        occluders = np.flatnonzero(view.distance < near_m)
        seen[candidates[view.hidden(mesh, asked[candidates], occluders, factor)]] = False
    return seen


@dataclass(frozen=True)
class _View:
    """All vertices as one camera position has them around it.

    Args:
        ray: (V, 3) from each vertex to the camera.
        distance: (V,) metres.
        elevation: (V,) radians over the horizon.
        row, column: (V,) position among bins of :data:`BIN_DEGREES` of elevation and azimuth.
    """

    ray: FloatArray
    distance: FloatArray
    elevation: FloatArray
    row: npt.NDArray[np.int32]
    column: npt.NDArray[np.int32]

    @classmethod
    def of(cls, mesh: ScanMesh, camera_m: npt.NDArray[np.floating]) -> _View:
        ray = camera_m.astype(np.float32) - mesh.xyz_m
        distance = np.sqrt(np.einsum("ij,ij->i", ray, ray))
        elevation = np.arcsin(np.clip(-ray[:, 2] / np.maximum(distance, 1e-6), -1, 1))
        azimuth = np.arctan2(-ray[:, 1], -ray[:, 0])
        step = np.float32(np.deg2rad(BIN_DEGREES))
        row = ((elevation + np.float32(np.pi / 2)) / step).astype(np.int32)
        column = ((azimuth + np.float32(np.pi)) / step).astype(np.int32)
        return cls(ray, distance, elevation, row, column)

    def hidden(self, mesh: ScanMesh, asked: IntArray, occluders: IntArray, factor: int) -> BoolArray:
        """(A,) whether the nearest occluder in an asked vertex's bin lies before it on another surface.

        Depth alone would hide floors seen at a flat angle, where one bin spans half a metre of depth; so a
        vertex is hidden only if it also lies behind the plane of the vertex that covers it.
        """
        width = int(360 / BIN_DEGREES) // factor + 2
        nearest = np.full((int(180 / BIN_DEGREES) // factor + 2) * width, np.iinfo(np.int64).max)
        bins = self.row[occluders] // factor * width + self.column[occluders] // factor
        millimetres = (self.distance[occluders] * 1000).astype(np.int64)
        np.minimum.at(nearest, bins, (millimetres << 32) | occluders)
        winner = nearest[self.row[asked] // factor * width + self.column[asked] // factor]
        covered = winner != np.iinfo(np.int64).max
        front = np.where(covered, winner & 0xFFFFFFFF, 0)
        normal = mesh.normal[front]
        away = np.einsum("ij,ij->i", mesh.xyz_m[front] - mesh.xyz_m[asked], normal)
        # Towards the camera along the occluder's normal, whichever side of it the camera sees.
        side = np.sign(np.einsum("ij,ij->i", self.ray[front], normal))
        behind = self.distance[asked] - self.distance[front] > TOLERANCE_M
        return covered & behind & (away * side > TOLERANCE_M)


def holes(mesh: ScanMesh, share: float, rng: np.random.Generator) -> BoolArray:
    """(V,) vertices lost in blobs of a hand's width: dark, shiny or hurriedly scanned places.

    Args:
        share: share of the vertices that is lost.
    """
    if share <= 0:
        return np.zeros(mesh.num_vertices, dtype=bool)
    blobs = Waves.draw(rng, count=40, wavelength_m=(0.25, 0.9))(mesh.xyz_m)[:, 0]
    regions = Waves.draw(rng, count=8, wavelength_m=(1.5, 5.0))(mesh.xyz_m)[:, 0]
    field = blobs + 0.8 * regions
    return field > np.quantile(field, 1 - share)


def without_crumbs(mesh: ScanMesh, min_vertices: int) -> ScanMesh:
    """Drop connected pieces of fewer vertices, as the reconstruction does, unless nothing else of an
    object would be left."""
    component = mesh.components()
    size = np.bincount(component)[component]
    largest = np.zeros(int(mesh.object.max()) + 1, dtype=np.int64)
    np.maximum.at(largest, mesh.object, size)
    return mesh.with_vertices((size >= min_vertices) | (size == largest[mesh.object]))
