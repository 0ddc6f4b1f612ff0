"""Shift, rotation, scale, flip, jitter: positions and normals follow the geometry."""

import math

import pytest
import torch

from pointseg.core.cloud import PointCloud
from pointseg.scans.transforms import CenterShift, Flip, Jitter, Rotate, Scale
from pointseg.scans.transforms.geometric import rotate_vectors


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud_of(xyz: torch.Tensor, normal: torch.Tensor | None = None) -> PointCloud:
    count = xyz.shape[0]
    return PointCloud(
        "cloud",
        xyz,
        torch.zeros(count, 3),
        torch.zeros(count, 3) if normal is None else normal,
        torch.zeros(count, dtype=torch.int64),
        torch.arange(count),
    )


def random_cloud(count: int = 40) -> PointCloud:
    source = seeded(1)
    return cloud_of(
        torch.randn(count, 3, generator=source),
        torch.nn.functional.normalize(torch.randn(count, 3, generator=source), dim=1),
    )


def distances(xyz: torch.Tensor) -> torch.Tensor:
    return (xyz[:, None] - xyz[None]).norm(dim=2)


def test_center_shift_puts_the_box_over_the_origin_and_its_floor_at_zero() -> None:
    cloud = cloud_of(torch.tensor([[1.0, 2.0, 3.0], [3.0, 8.0, 7.0], [1.0, 2.0, 4.0]]))
    shifted = CenterShift()(cloud, seeded(0))
    assert shifted.xyz_m.tolist() == [[-1, -3, 0], [1, 3, 4], [-1, -3, 1]]


def test_center_shift_can_keep_the_height() -> None:
    cloud = cloud_of(torch.tensor([[1.0, 2.0, 3.0], [3.0, 8.0, 7.0]]))
    assert CenterShift(z="keep")(cloud, seeded(0)).xyz_m[:, 2].tolist() == [3, 7]


@pytest.mark.parametrize(
    ("axis", "start", "end"),
    [(0, [0, 1, 0], [0, 0, 1]), (1, [0, 0, 1], [1, 0, 0]), (2, [1, 0, 0], [0, 1, 0])],
)
def test_a_quarter_turn_is_right_handed(axis: int, start: list[int], end: list[int]) -> None:
    assert rotate_vectors(torch.tensor([start]).float(), axis, 0.0, 1.0).tolist() == [end]


@pytest.mark.parametrize("axis", ["x", "y", "z"])
def test_rotation_keeps_distances_and_the_angle_of_normals_to_positions(axis: str) -> None:
    cloud = random_cloud()
    turned = Rotate.model_validate({"axis": axis})(cloud, seeded(2))
    assert not torch.allclose(turned.xyz_m, cloud.xyz_m)
    torch.testing.assert_close(distances(turned.xyz_m), distances(cloud.xyz_m))
    torch.testing.assert_close((turned.xyz_m * turned.normal).sum(1), (cloud.xyz_m * cloud.normal).sum(1))
    kept = "xyz".index(axis)
    assert torch.equal(turned.xyz_m[:, kept], cloud.xyz_m[:, kept])


def test_rotation_is_proper_and_not_a_mirror_image() -> None:
    turned = Rotate(axis="z")(cloud_of(torch.eye(3)), seeded(4)).xyz_m
    assert float(torch.linalg.det(turned)) == pytest.approx(1.0)


def test_rotation_angles_fill_the_range_and_stay_inside() -> None:
    transform, generator = Rotate(axis="z", max_angle_deg=30), seeded(0)
    point = cloud_of(torch.tensor([[1.0, 0.0, 0.0]]))
    turned = [transform(point, generator).xyz_m[0] for _ in range(300)]
    angles = [math.degrees(math.atan2(float(t[1]), float(t[0]))) for t in turned]
    assert -30.001 <= min(angles) < -28
    assert 28 < max(angles) <= 30.001


def test_isotropic_scale_multiplies_all_by_one_factor_and_leaves_normals() -> None:
    cloud = random_cloud()
    scaled = Scale(low=0.5, high=0.8)(cloud, seeded(0))
    ratio = scaled.xyz_m / cloud.xyz_m
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))
    assert 0.5 <= float(ratio[0, 0]) <= 0.8
    assert torch.equal(scaled.normal, cloud.normal)


def test_anisotropic_scale_keeps_normals_at_right_angles_to_their_plane() -> None:
    source = seeded(3)
    first, second = torch.randn(1, 3, generator=source), torch.randn(1, 3, generator=source)
    normal = torch.nn.functional.normalize(torch.linalg.cross(first, second), dim=1)
    cloud = cloud_of(torch.cat([torch.zeros(1, 3), first, second]), normal.expand(3, 3))
    scaled = Scale(low=0.3, high=3.0, anisotropic=True)(cloud, seeded(0))
    factors = scaled.xyz_m[1] / cloud.xyz_m[1]
    assert float(factors.max() - factors.min()) > 0.1
    torch.testing.assert_close(scaled.xyz_m @ scaled.normal[0], torch.zeros(3), atol=1e-6, rtol=0)


def test_a_certain_flip_negates_x_and_y_of_points_and_normals() -> None:
    cloud = random_cloud()
    flipped = Flip(p=1.0)(cloud, seeded(0))
    sign = torch.tensor([-1.0, -1.0, 1.0])
    assert torch.equal(flipped.xyz_m, cloud.xyz_m * sign)
    assert torch.equal(flipped.normal, cloud.normal * sign)


def test_flip_twice_is_the_identity() -> None:
    flip = Flip(p=1.0, y=False)
    twice = flip(flip(random_cloud(), seeded(0)), seeded(0))
    assert torch.equal(twice.xyz_m, random_cloud().xyz_m)
    assert torch.equal(twice.normal, random_cloud().normal)


def test_flip_tosses_a_coin_for_each_axis() -> None:
    point, generator = cloud_of(torch.ones(1, 3)), seeded(0)
    seen = {tuple(Flip(p=0.5)(point, generator).xyz_m[0].tolist()) for _ in range(60)}
    assert seen == {(1, 1, 1), (-1, 1, 1), (1, -1, 1), (-1, -1, 1)}


def test_jitter_has_its_sigma_and_is_cut_at_its_limit() -> None:
    cloud = cloud_of(torch.zeros(20_000, 3))
    wide = Jitter(sigma_m=0.005, clip_m=1.0)(cloud, seeded(0)).xyz_m
    assert float(wide.std()) == pytest.approx(0.005, rel=0.02)
    cut = Jitter(sigma_m=0.005, clip_m=0.006)(cloud, seeded(0)).xyz_m
    assert float(cut.abs().max()) == pytest.approx(0.006)
