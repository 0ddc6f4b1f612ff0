"""Colours of a scan: base colour, texture, light, exposure and noise. Little of the base colour survives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.mesh import FloatArray, IntArray, ScanMesh
from pointseg.synthetic.waves import Waves

#: Mean and spread between scenes of a scan's grey level and of its contrast, 0..255.
LEVEL = (110.0, 14.0)
CONTRAST = (57.0, 5.0)
#: Indoor light and automatic white balance: red and blue relative to green.
WARMTH = ((1.08, 0.05), (0.86, 0.07))


def colored(
    mesh: ScanMesh, base: npt.NDArray[np.uint8], texture: IntArray, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """(V, 3) colours that a scan of the mesh would have.

    Args:
        mesh: scanned mesh.
        base: (V, 3) base colour of the object's side each vertex lies on.
        texture: (V,) position in :data:`pointseg.synthetic.model.TEXTURES`.
    """
    reflected = (np.maximum(base, 8) / np.float32(255)) ** 2.2
    reflected *= np.exp(_pattern(mesh, texture, rng))[:, None]
    reflected *= np.exp(_illumination(mesh, rng))
    display = 255 * reflected ** (1 / 2.2)
    display = _blurred(mesh, display, strength=rng.uniform(0.2, 0.5))
    display = _developed(display, rng)
    # Sensor noise, of which one part is common to the three channels.
    display += rng.normal(0, 6.0, (mesh.num_vertices, 1)) + rng.normal(0, 4.0, display.shape)
    return np.clip(np.rint(display), 0, 255).astype(np.uint8)


def _pattern(mesh: ScanMesh, texture: IntArray, rng: np.random.Generator) -> FloatArray:
    """(V,) logarithm of the brightness of the texture, different in scale and strength for each object."""
    objects = int(mesh.object.max()) + 1
    period = np.exp(rng.uniform(np.log(0.08), np.log(0.35), objects))[mesh.object].astype(np.float32)
    strength = rng.uniform(0.3, 1.3, objects)[mesh.object].astype(np.float32)
    shift = rng.uniform(0, 1, (objects, 2))[mesh.object].astype(np.float32)
    u, v = (mesh.uv_m / period[:, None] + shift).T
    grain = rng.standard_normal(mesh.num_vertices).astype(np.float32)
    patterns = np.stack(
        (
            0.15 * grain,
            0.45 * np.sin(2 * np.pi * (u + 0.3 * np.sin(2 * v))) + 0.15 * grain,
            0.9 * np.sign(np.sin(2 * np.pi * u)),
            0.8 * grain,
            0.9 * np.sign(np.sin(2 * np.pi * u) * np.sin(2 * np.pi * v)),
        )
    ).astype(np.float32)
    return strength * patterns[texture, np.arange(mesh.num_vertices)]


def _illumination(mesh: ScanMesh, rng: np.random.Generator) -> FloatArray:
    """(V, 3) logarithm of the light that reaches the camera: lamps and windows, shadows, exposure, tint."""
    low, high = mesh.xyz_m.min(axis=0), mesh.xyz_m.max(axis=0)
    light = np.full(mesh.num_vertices, 0.25, dtype=np.float32)
    for _ in range(int(rng.integers(2, 5))):
        lamp = (low + (high - low) * rng.uniform([0, 0, 0.5], [1, 1, 1.1])).astype(np.float32)
        to_lamp = lamp - mesh.xyz_m
        squared = np.einsum("ij,ij->i", to_lamp, to_lamp)
        cosine = np.einsum("ij,ij->i", to_lamp, mesh.normal) / np.sqrt(squared + 1e-6)
        light += (
            np.float32(rng.uniform(0.3, 1.2)) * np.maximum(0.3 + 0.7 * cosine, 0.05) / (0.4 + 0.3 * squared)
        )
    shadow = Waves.draw(rng, count=40, wavelength_m=(0.25, 1.5))(mesh.xyz_m)
    exposure = Waves.draw(rng, count=16, wavelength_m=(1.0, 6.0))(mesh.xyz_m)
    tint = Waves.draw(rng, count=16, wavelength_m=(0.5, 4.0), channels=3)(mesh.xyz_m)
    return np.log(light)[:, None] + 0.45 * shadow + 0.5 * exposure + 0.12 * tint


def _blurred(mesh: ScanMesh, values: FloatArray, strength: float) -> FloatArray:
    """Colours moved by a share towards the mean of the neighbours: motion blur and fusion of many frames."""
    neighbours = mesh.adjacency()
    mean = (neighbours @ values) / np.maximum(neighbours.sum(axis=1), 1)[:, None]
    return values + np.float32(strength) * (mean - values)


def _developed(display: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Automatic exposure and white balance: the scan's level, contrast and warmth as cameras set them."""
    grey = display.mean(axis=1)
    level, contrast = rng.normal(*LEVEL), max(rng.normal(*CONTRAST), 30.0)
    developed = (display - grey.mean()) * (contrast / max(float(grey.std()), 1e-3)) + level
    (red, red_sd), (blue, blue_sd) = WARMTH
    balance = np.array([rng.normal(red, red_sd), 1.0, rng.normal(blue, blue_sd)], dtype=np.float32)
    return (developed * balance).astype(np.float32)
