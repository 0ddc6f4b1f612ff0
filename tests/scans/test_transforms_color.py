"""The chromatic transforms, each with values known by hand."""

import colorsys

import pytest
import torch

from pointseg.core.cloud import PointCloud
from pointseg.scans.transforms import (
    AutoContrast,
    ChromaticJitter,
    ChromaticTranslation,
    ColorDrop,
    HueSaturation,
)
from pointseg.scans.transforms.color import hsv_to_rgb, rgb_to_hsv


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud_of(color: torch.Tensor) -> PointCloud:
    count = color.shape[0]
    zeros = torch.zeros(count, 3)
    return PointCloud(
        "cloud", zeros, color, zeros, torch.zeros(count, dtype=torch.int64), torch.arange(count)
    )


def random_colors(count: int = 50) -> torch.Tensor:
    return torch.rand(count, 3, generator=seeded(8)) * 255


def test_full_contrast_stretches_each_channel_to_the_whole_range() -> None:
    color = torch.tensor([[50.0, 0.0, 100.0], [100.0, 255.0, 110.0], [75.0, 51.0, 105.0]])
    stretched = AutoContrast(p=1.0, blend=1.0)(cloud_of(color), seeded(0)).color
    expected = torch.tensor([[0.0, 0.0, 0.0], [255.0, 255.0, 255.0], [127.5, 51.0, 127.5]])
    torch.testing.assert_close(stretched, expected)


def test_contrast_is_blended_with_the_original() -> None:
    color = torch.tensor([[50.0, 0.0, 0.0], [100.0, 0.0, 0.0]])
    blended = AutoContrast(p=1.0, blend=0.5)(cloud_of(color), seeded(0)).color
    assert blended[:, 0].tolist() == [25, 177.5]


def test_a_channel_with_one_value_has_no_contrast_to_stretch() -> None:
    color = torch.full((4, 3), 77.0)
    assert torch.equal(AutoContrast(p=1.0)(cloud_of(color), seeded(0)).color, color)


def test_translation_shifts_each_channel_of_all_points_alike() -> None:
    color = torch.full((5, 3), 128.0)
    shift = ChromaticTranslation(p=1.0, ratio=0.1)(cloud_of(color), seeded(0)).color - color
    assert torch.equal(shift, shift[:1].expand(5, 3))
    assert len(set(shift[0].tolist())) == 3
    assert float(shift.abs().max()) <= 25.5


def test_translation_is_cut_at_white() -> None:
    color = torch.full((5, 3), 255.0)
    shifted = [ChromaticTranslation(p=1.0)(cloud_of(color), seeded(s)).color.max() for s in range(5)]
    assert max(float(value) for value in shifted) == 255.0


def test_chromatic_jitter_is_independent_for_each_point_with_its_deviation() -> None:
    color = torch.full((20_000, 3), 128.0)
    noise = ChromaticJitter(p=1.0, std=0.05)(cloud_of(color), seeded(0)).color - color
    assert float(noise.std()) == pytest.approx(0.05 * 255, rel=0.02)


def test_hue_and_saturation_agree_with_the_standard_library() -> None:
    color = torch.cat([random_colors(), torch.tensor([[0.0, 0, 0], [9, 9, 9], [255, 0, 0], [0, 255, 255]])])
    hue, saturation, value = rgb_to_hsv(color)
    for row, rgb in enumerate(color.tolist()):
        expected = colorsys.rgb_to_hsv(*rgb)
        assert (float(hue[row]), float(saturation[row]), float(value[row])) == pytest.approx(
            expected, abs=1e-4
        )
    torch.testing.assert_close(hsv_to_rgb(hue, saturation, value), color, atol=1e-3, rtol=0)


def test_turning_the_hue_keeps_the_brightest_channel() -> None:
    color = random_colors()
    turned = HueSaturation(p=1.0, max_saturation=0.0)(cloud_of(color), seeded(1)).color
    torch.testing.assert_close(turned.amax(1), color.amax(1))
    torch.testing.assert_close(turned.amin(1), color.amin(1), atol=1e-3, rtol=0)
    assert not torch.allclose(turned, color)


def test_grey_stays_grey_under_hue_and_saturation() -> None:
    grey = torch.full((3, 3), 90.0)
    torch.testing.assert_close(HueSaturation(p=1.0)(cloud_of(grey), seeded(1)).color, grey)


def test_dropped_color_is_the_same_everywhere() -> None:
    assert torch.equal(
        ColorDrop(p=1.0)(cloud_of(random_colors()), seeded(0)).color, torch.full((50, 3), 127.5)
    )
    assert not bool(ColorDrop(p=1.0, fill=0.0)(cloud_of(random_colors()), seeded(0)).color.any())


def test_the_hue_is_turned_either_way_by_up_to_its_largest_turn() -> None:
    transform = HueSaturation(p=1.0, max_hue=0.1, max_saturation=0.0)
    cloud = cloud_of(torch.tensor([[0.0, 255.0, 0.0]]))
    turns = torch.cat([rgb_to_hsv(transform(cloud, seeded(i)).color)[0] for i in range(200)]) - 1 / 3
    assert -0.1 <= float(turns.min()) < -0.08 and 0.08 < float(turns.max()) <= 0.1


def test_the_saturation_is_multiplied_by_up_to_its_share_more_or_less() -> None:
    transform = HueSaturation(p=1.0, max_hue=0.0, max_saturation=0.2)
    cloud = cloud_of(torch.tensor([[100.0, 200.0, 150.0]]))
    factors = torch.cat([rgb_to_hsv(transform(cloud, seeded(i)).color)[1] for i in range(200)]) / 0.5
    assert 0.799 <= float(factors.min()) < 0.84 and 1.16 < float(factors.max()) <= 1.201
