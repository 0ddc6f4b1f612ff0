"""Smooth random fields over a room, as sums of plane waves: bending, light, holes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.mesh import FloatArray


@dataclass(frozen=True)
class Waves:
    """A random function of position with mean 0 and standard deviation 1 in each of its channels.

    Args:
        frequency: (W, 3) wave vectors, radians a metre.
        phase: (W,) radians.
        amplitude: (W, C).
    """

    frequency: FloatArray
    phase: FloatArray
    amplitude: FloatArray

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        *,
        count: int,
        wavelength_m: tuple[float, float],
        channels: int = 1,
    ) -> Waves:
        """``count`` waves of random direction, their lengths spread evenly in the logarithm."""
        direction = rng.normal(size=(count, 3))
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        low, high = np.log(wavelength_m)
        length = np.exp(rng.uniform(low, high, count))
        # Long waves are the stronger ones, as in light and in drift; equal ones would look like a weave.
        amplitude = rng.normal(size=(count, channels)) * np.sqrt(length)[:, None]
        # A sine has variance 1/2; independent waves add theirs.
        amplitude *= np.sqrt(2.0) / np.linalg.norm(amplitude, axis=0)
        return cls(
            (direction * (2 * np.pi / length)[:, None]).astype(np.float32),
            rng.uniform(0, 2 * np.pi, count).astype(np.float32),
            amplitude.astype(np.float32),
        )

    def __call__(self, xyz_m: npt.NDArray[np.floating]) -> FloatArray:
        """(V, 3) positions -> (V, C) values."""
        return np.sin(xyz_m.astype(np.float32, copy=False) @ self.frequency.T + self.phase) @ self.amplitude
