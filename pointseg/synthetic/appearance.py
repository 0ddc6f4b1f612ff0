"""Colours of a scan: base colour, texture, light, exposure and noise. Little of the base colour survives."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from pointseg.synthetic.mesh import FloatArray, IntArray, ScanMesh
from pointseg.synthetic.waves import Waves

#: Mean and spread between scenes of a scan's grey level and of its contrast, 0..255.
LEVEL = (110.0, 14.0)
CONTRAST = (57.0, 5.0)
#: Indoor light and automatic white balance: red and blue relative to green, mean and spread.
WARMTH = ((1.06, 0.05), (0.89, 0.07))
#: Share of a base colour's distance from grey that reaches the scan.
CHROMA = 1.1
#: One camera frame gives its colours to about this many square metres.
FRAME_M2 = 1.5


def colored(
    mesh: ScanMesh, base: npt.NDArray[np.uint8], texture: IntArray, rng: np.random.Generator
) -> npt.NDArray[np.uint8]:
    """(V, 3) colours that a scan of the mesh would have.

    Args:
        mesh: scanned mesh.
        base: (V, 3) base colour of the object's side each vertex lies on.
        texture: (V,) position in :data:`pointseg.synthetic.model.TEXTURES`.
    """
    plain = base.astype(np.float32)
    grey = plain.mean(axis=1, keepdims=True)
    # Dirt and wear change an object's colour from place to place, its brightness more than its tint.
    mottle = Waves.draw(rng, count=40, wavelength_m=(0.12, 0.9), channels=4)(mesh.xyz_m)
    wear = 1 + 0.10 * mottle[:, :1] + 0.015 * mottle[:, 1:]
    reflected = np.maximum(grey + CHROMA * (plain - grey), 6) * np.maximum(wear, 0.5) / 255
    gain = _pattern(mesh, texture, rng)[:, None] + _light(mesh, rng)[:, None] + _exposure(mesh, rng)
    # The gains are of light; a display value is its power 1 / 2.2.
    display = 255 * reflected * np.exp(gain / np.float32(2.2))
    display = _developed(_blurred(mesh, display, strength=rng.uniform(0.2, 0.5)), rng)
    # Sensor noise, of which one part is common to the three channels.
    noise = 7.0 * rng.standard_normal((mesh.num_vertices, 1)) + 4.0 * rng.standard_normal(display.shape)
    return np.clip(np.rint(display + noise), 0, 255).astype(np.uint8)


def _pattern(mesh: ScanMesh, texture: IntArray, rng: np.random.Generator) -> FloatArray:
    """(V,) logarithm of the brightness of the texture, different in scale and strength for each object."""
    objects = int(mesh.object.max()) + 1
    period = np.exp(rng.uniform(np.log(0.08), np.log(0.35), objects))[mesh.object].astype(np.float32)
    strength = rng.uniform(0.4, 1.4, objects)[mesh.object].astype(np.float32)
    shift = rng.uniform(0, 1, (objects, 2))[mesh.object].astype(np.float32)
    u, v = (mesh.uv_m / period[:, None] + shift).T
    grain = rng.standard_normal(mesh.num_vertices).astype(np.float32)
    wave_u, wave_v = np.sin(2 * np.pi * u), np.sin(2 * np.pi * v)
    patterns = (
        0.5 * grain,
        0.7 * np.sin(2 * np.pi * (u + 0.3 * np.sin(2 * v))) + 0.5 * grain,
        1.1 * np.sign(wave_u),
        1.1 * grain,
        1.1 * np.sign(wave_u * wave_v),
    )
    return strength * np.choose(texture, patterns).astype(np.float32)


def _light(mesh: ScanMesh, rng: np.random.Generator) -> FloatArray:
    """(V,) logarithm of the light of some lamps and windows, with soft shadows of things out of sight."""
    low, high = mesh.xyz_m.min(axis=0), mesh.xyz_m.max(axis=0)
    light = np.full(mesh.num_vertices, 0.25, dtype=np.float32)
    for _ in range(int(rng.integers(2, 5))):
        lamp = (low + (high - low) * rng.uniform([0, 0, 0.5], [1, 1, 1.1])).astype(np.float32)
        to_lamp = lamp - mesh.xyz_m
        squared = np.einsum("ij,ij->i", to_lamp, to_lamp)
        cosine = np.einsum("ij,ij->i", to_lamp, mesh.normal) / np.sqrt(squared + 1e-6)
        power = np.float32(rng.uniform(0.3, 1.2))
        light += power * np.maximum(0.3 + 0.7 * cosine, 0.05) / (0.4 + 0.3 * squared)
    shadow = Waves.draw(rng, count=50, wavelength_m=(0.3, 3.0))(mesh.xyz_m)[:, 0]
    return np.log(light) + np.float32(rng.uniform(0.3, 0.7)) * shadow


def _exposure(mesh: ScanMesh, rng: np.random.Generator) -> FloatArray:
    """(V, 3) logarithm of what the camera adds: each patch comes from the frame that saw it best.

    Frames differ in exposure and tint and darken towards their corners; a scan shows their seams.
    """
    number = max(int(mesh.num_vertices / 534 / FRAME_M2), 2)
    centre = mesh.xyz_m[rng.integers(mesh.num_vertices, size=number)]
    # Frames are blended over some centimetres.
    seen_at = mesh.xyz_m + rng.normal(0, 0.04, mesh.xyz_m.shape).astype(np.float32)
    distance, frame = cKDTree(centre).query(seen_at)
    gain = rng.normal(0, 0.55, (number, 1)) + rng.normal(0, 0.08, (number, 3))
    vignette = -0.7 * np.square(distance / 1.2)[:, None]
    return (gain[frame] + np.maximum(vignette, -2.0)).astype(np.float32)


def _blurred(mesh: ScanMesh, values: FloatArray, strength: float) -> FloatArray:
    """Colours moved by a share towards the mean of the neighbours: motion blur and fusion of many frames."""
    neighbours = mesh.adjacency()
    mean = (neighbours @ values) / np.maximum(neighbours.sum(axis=1), 1)[:, None]
    return (values + np.float32(strength) * (mean - values)).astype(np.float32)


def _developed(display: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Automatic exposure and white balance: the scan's level, contrast and warmth as cameras set them."""
    grey = np.maximum(display.mean(axis=1), 1.0)
    level, contrast = rng.normal(*LEVEL), max(rng.normal(*CONTRAST), 30.0)
    # Compress what is far brighter than the rest before stretching, as a camera's tone curve does.
    toned = grey / (1 + 0.35 * grey / np.median(grey))
    stretched = (toned - toned.mean()) * (contrast / max(float(toned.std()), 1e-3)) + level
    # Stretching the channels one by one would drive dark places into pure colours.
    developed = np.maximum(stretched, 6.0)[:, None] * (display / grey[:, None])
    (red, red_sd), (blue, blue_sd) = WARMTH
    balance = np.array([rng.normal(red, red_sd), 1.0, rng.normal(blue, blue_sd)])
    return (developed * balance).astype(np.float32)
