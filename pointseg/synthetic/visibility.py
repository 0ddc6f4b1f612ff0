"""What a person with a depth camera saw of a room: occlusion by depth buffers, back faces, holes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.mesh import BoolArray, FloatArray, ScanMesh
from pointseg.synthetic.waves import Waves

#: Directions are binned this fine; again twice and six times as coarsely for what is nearer than so many
#: metres, because its vertices lie further apart and would let single vertices behind shine through.
BIN_DEGREES = 2.0
COARSER = ((2, 2.2), (6, 0.7))
#: A vertex this far behind the surface that covers it is still seen: depth noise, and bins of finite width.
TOLERANCE_M = 0.06
#: Surfaces seen flatter than this give no depth.
MIN_COSINE = 0.08
MAX_RANGE_M = 6.5
#: Elevations that a handheld camera covers; ceilings are rarely scanned.
ELEVATION_DEGREES = (-80.0, 32.0)


def seen_from(mesh: ScanMesh, camera_m: npt.NDArray[np.floating]) -> BoolArray:
    """(V,) whether each vertex is seen from one position: front side, in range, nothing before it."""
    ray = camera_m.astype(np.float32) - mesh.xyz_m
    distance = np.sqrt(np.einsum("ij,ij->i", ray, ray))
    cosine = np.einsum("ij,ij->i", ray, mesh.normal) / np.maximum(distance, 1e-6)
    elevation = np.arcsin(np.clip(-ray[:, 2] / np.maximum(distance, 1e-6), -1, 1))
    low, high = np.deg2rad(ELEVATION_DEGREES)
    seen = (cosine > MIN_COSINE) & (distance < MAX_RANGE_M) & (elevation > low) & (elevation < high)

    azimuth = np.arctan2(-ray[:, 1], -ray[:, 0])
    step = np.deg2rad(BIN_DEGREES)
    row = ((elevation + np.pi / 2) / step).astype(np.int64)
    column = ((azimuth + np.pi) / step).astype(np.int64)
    # Front and back sides both cover what lies behind them.
    seen &= ~_hidden(mesh, ray, distance, row, column, np.arange(mesh.num_vertices))
    for factor, near_m in COARSER:
        near = np.flatnonzero(distance < near_m)
        seen &= ~_hidden(mesh, ray, distance, row // factor, column // factor, near)
    return seen


def _hidden(
    mesh: ScanMesh,
    ray: FloatArray,
    distance: FloatArray,
    row: npt.NDArray[np.int64],
    column: npt.NDArray[np.int64],
    occluders: npt.NDArray[np.int64],
) -> BoolArray:
    """(V,) whether the nearest of ``occluders`` in a vertex's bin lies before it on another surface.

    Depth alone would hide floors seen at a flat angle, where one bin spans half a metre of depth; so a
    vertex is hidden only if it also lies behind the plane of the vertex that covers it.
    """
    bins = row * (int(column.max()) + 1) + column
    millimetres = np.minimum(distance * 1000, 2**31).astype(np.int64)
    nearest = np.full(int(bins.max()) + 1, np.iinfo(np.int64).max)
    np.minimum.at(nearest, bins[occluders], (millimetres[occluders] << 32) | occluders)
    winner = nearest[bins]
    covered = winner != np.iinfo(np.int64).max
    front = np.where(covered, winner & 0xFFFFFFFF, 0)
    # Towards the camera along the occluder's normal, whichever side of it the camera sees.
    away = np.einsum("ij,ij->i", mesh.xyz_m[front] - mesh.xyz_m, mesh.normal[front])
    side = np.sign(np.einsum("ij,ij->i", ray[front], mesh.normal[front]))
    behind = (away * side > TOLERANCE_M) & (distance - distance[front] > TOLERANCE_M)
    return covered & behind


def scanned(mesh: ScanMesh, cameras_m: npt.NDArray[np.floating]) -> BoolArray:
    """(V,) vertices that at least one of the (M, 3) cameras sees."""
    seen = np.zeros(mesh.num_vertices, dtype=bool)
    for camera in cameras_m:
        seen |= seen_from(mesh, camera)
    # The bins leak single vertices and swallow others; depth fusion would have voted.
    neighbours = mesh.adjacency()
    votes = (neighbours @ seen.astype(np.float32)) / np.maximum(neighbours.sum(axis=1), 1)
    return votes + 0.3 * seen > 0.6


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
