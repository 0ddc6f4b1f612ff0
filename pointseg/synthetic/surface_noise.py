"""Geometry errors of a reconstruction: bent walls and floors, blunt edges, ripples and depth noise."""

from __future__ import annotations

import numpy as np

from pointseg.synthetic.mesh import ScanMesh
from pointseg.synthetic.waves import Waves


def smoothed(mesh: ScanMesh, strength: float) -> ScanMesh:
    """Edges and corners blunted as by depth fusion: each vertex moves this share towards its neighbours.

    Vertices on the rim of a hole move as well; the rim of a real hole is as soft.
    """
    neighbours = mesh.adjacency()
    mean = (neighbours @ mesh.xyz_m) / np.maximum(neighbours.sum(axis=1), 1)[:, None]
    offset = mean - mesh.xyz_m
    # Along the normal only: moving inside a flat surface would undo the irregular sampling.
    along = np.einsum("ij,ij->i", offset, mesh.normal)[:, None] * mesh.normal
    return mesh.moved(mesh.xyz_m + strength * along)


def bent(mesh: ScanMesh, rng: np.random.Generator, *, sd_m: float) -> ScanMesh:
    """Drift of the camera track: everything shifts by centimetres, slowly varying from place to place."""
    drift = Waves.draw(rng, count=24, wavelength_m=(1.6, 7.0), channels=3)
    return mesh.moved(mesh.xyz_m + sd_m * drift(mesh.xyz_m))


def rippled(mesh: ScanMesh, rng: np.random.Generator, *, ripple_m: float, noise_m: float) -> ScanMesh:
    """Ripples of a hand's width, strong on some objects and in some places, and noise of single vertices.

    Small things melt and bulge in all directions; large smooth surfaces, which a camera tracks well, ripple
    half as much.
    """
    ripple = Waves.draw(rng, count=40, wavelength_m=(0.18, 0.6), channels=3)(mesh.xyz_m)
    place = Waves.draw(rng, count=8, wavelength_m=(1.0, 4.0))(mesh.xyz_m)
    size = np.bincount(mesh.object)
    strength = np.exp(rng.normal(0.0, 0.5, len(size))) * np.interp(size, (400, 1600), (1.0, 0.45))
    height = ripple_m * strength[mesh.object, None] * np.maximum(place + 0.7, 0.0) * ripple
    grain = noise_m * np.exp(0.5 * place) * rng.standard_normal((mesh.num_vertices, 1))
    return mesh.moved(mesh.xyz_m + height + grain * mesh.normal)


def reconstructed(mesh: ScanMesh, rng: np.random.Generator) -> ScanMesh:
    """All geometry errors, as strong as in a real scan of a room."""
    mesh = smoothed(mesh, strength=rng.uniform(0.3, 0.6))
    mesh = rippled(mesh, rng, ripple_m=rng.uniform(0.009, 0.015), noise_m=rng.uniform(0.0015, 0.003))
    return bent(mesh, rng, sd_m=rng.uniform(0.015, 0.035))
