"""Windows that are not nearly all of one class, and photometric distortion, against loops."""

import colorsys
from collections import Counter

import numpy as np
import pytest
import torch
from images.test_images import halves, pipeline

from pointseg.core.image import ImageScene
from pointseg.core.rows import IGNORE
from pointseg.images.photometric import NUM_DRAWS, distorted
from pointseg.images.windows import varied_windows

kornia = pytest.importorskip("kornia")
GENERATOR = torch.Generator().manual_seed(0)


def by_loops(labels: np.ndarray, factor: float, corners: list[tuple[float, float]], limit: float) -> int:
    for number, (top, left) in enumerate(corners):
        found = Counter()
        for y in range(4, 32, 8):
            for x in range(4, 24, 8):
                row, column = int((top + y + 0.5) // factor), int((left + x + 0.5) // factor)
                if 0 <= row < labels.shape[0] and 0 <= column < labels.shape[1] and labels[row, column]:
                    found[labels[row, column]] += 1
        if len(found) > 1 and max(found.values()) < limit * sum(found.values()):
            return number
    return len(corners) - 1


@pytest.mark.parametrize("limit", [0.5, 0.75, 0.999])
def test_the_first_varied_window_is_taken_and_else_the_last(limit: float) -> None:
    labels = (torch.rand(12, 40, 30, generator=GENERATOR) ** 4 * 4).int()
    labels[:3] = 2
    factor = 0.5 + 1.5 * torch.rand(12, generator=GENERATOR)
    top, left = (60 * torch.rand(2, 12, 5, generator=GENERATOR) - 20).unbind()
    found = varied_windows(labels, factor, top, left, (32, 24), num_labels=4, max_share=limit)
    expected = [
        by_loops(
            labels[i].numpy(),
            float(factor[i]),
            list(zip(top[i].tolist(), left[i].tolist(), strict=True)),
            limit,
        )
        for i in range(12)
    ]
    assert found.tolist() == expected
    assert limit < 0.9 or len(set(expected)) > 1


def mostly_one(height: int = 64, width: int = 128) -> ImageScene:
    """Three eighths on the right are of another class."""
    right = np.tile(np.arange(width) >= width * 5 // 8, (height, 1)).reshape(-1)
    rgb = np.repeat(np.where(right, 255, 0).astype(np.uint8)[:, None], 3, axis=1)
    return ImageScene("mostly", height, width, rgb, (1 + right).astype(np.int32))


def share(labels: torch.Tensor) -> float:
    counts = torch.bincount(labels[labels != IGNORE], minlength=2)
    return float(counts.max() / counts.sum())


def test_training_windows_of_one_class_are_drawn_anew() -> None:
    options = {"size": (32, 32), "resize": (64, 128), "scale": (1.0, 1.0)}
    plain, varied = pipeline(**options), pipeline(**options, max_class_share=0.75)
    before, after = (
        [share(one.train_batch([mostly_one()], seed).pixel_labels) for seed in range(60)]
        for one in (plain, varied)
    )
    # Counted on every eighth pixel: the share of all may be a little above.
    assert sum(s < 0.8 for s in before) < 20 < 40 < sum(s < 0.8 for s in after)
    for seed, first in enumerate(before):
        # Of a window as small as this four columns are looked at.
        if first < 0.6:
            kept = varied.train_batch([mostly_one()], seed)
            assert torch.equal(kept.pixel_labels, plain.train_batch([mostly_one()], seed).pixel_labels)


def test_what_is_drawn_for_colours_and_windows_changes_nothing_else() -> None:
    plain = pipeline().train_batch([halves(), halves(20, 12)], 3)
    other = pipeline(photometric=True).train_batch([halves(), halves(20, 12)], 3)
    assert torch.equal(plain.pixel_labels, other.pixel_labels)
    assert not torch.allclose(plain.images, other.images)


def one_color(rgb: tuple[float, float, float], draws: list[float]) -> list[float]:
    """Of one pixel, with the library of Python."""
    first, b, db, c, dc, s, ds, h, dh = draws
    values = list(rgb)

    def clipped(numbers: list[float]) -> list[float]:
        return [min(1.0, max(0.0, number)) for number in numbers]

    if b < 0.5:
        values = clipped([v + (2 * db - 1) * 32 / 255 for v in values])
    if first < 0.5 and c < 0.5:
        values = clipped([v * (0.5 + dc) for v in values])
    if s < 0.5:
        hue, saturation, value = colorsys.rgb_to_hsv(*values)
        values = list(colorsys.hsv_to_rgb(hue, min(1.0, saturation * (0.5 + ds)), value))
    if h < 0.5:
        hue, saturation, value = colorsys.rgb_to_hsv(*values)
        values = list(colorsys.hsv_to_rgb((hue + (2 * dh - 1) * 0.1) % 1, saturation, value))
    if first >= 0.5 and c < 0.5:
        values = clipped([v * (0.5 + dc) for v in values])
    return values


def test_each_change_of_colour_is_that_of_its_image() -> None:
    colors = torch.rand(40, 3, 2, 3, generator=GENERATOR)
    draws = torch.rand(40, NUM_DRAWS, generator=GENERATOR)
    found = distorted(colors, draws, kornia)
    for i in range(40):
        for y in range(2):
            for x in range(3):
                expected = one_color(tuple(colors[i, :, y, x].tolist()), draws[i].tolist())
                assert found[i, :, y, x].tolist() == pytest.approx(expected, abs=2e-5)
    assert float(found.min()) >= 0 and float(found.max()) <= 1
