"""Dropout and crops: how many points stay, and which."""

import pytest
import torch

from pointseg.core.cloud import PointCloud
from pointseg.core.rows import IGNORE
from pointseg.scans.transforms import CuboidCrop, RandomDropout, SphereCrop


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def random_cloud(count: int = 100) -> PointCloud:
    xyz = torch.rand(count, 3, generator=seeded(5)) * 4
    zeros = torch.zeros(count, 3)
    return PointCloud("cloud", xyz, zeros, zeros, torch.arange(count) % 7, torch.arange(count))


def test_dropout_keeps_the_ratio() -> None:
    assert RandomDropout(ratio=0.2, p=1.0)(random_cloud(), seeded(0)).num_points == 80


def test_dropout_keeps_points_once_and_unchanged() -> None:
    cloud = random_cloud()
    left = RandomDropout(ratio=0.5, p=1.0)(cloud, seeded(0))
    assert left.vertex.unique().numel() == 50
    assert torch.equal(left.xyz_m, cloud.xyz_m[left.vertex])


def test_dropout_leaves_at_least_one_point() -> None:
    assert RandomDropout(ratio=0.99, p=1.0)(random_cloud(3), seeded(0)).num_points == 1


def test_sphere_crop_keeps_the_points_nearest_to_the_middle() -> None:
    cloud = random_cloud()
    crop = SphereCrop(max_points=30, mode="center")(cloud, seeded(0))
    middle = (cloud.xyz_m.amin(0) + cloud.xyz_m.amax(0)) / 2
    nearest = (cloud.xyz_m - middle).norm(dim=1).argsort()[:30]
    assert crop.vertex.tolist() == sorted(nearest.tolist())


def test_a_random_sphere_crop_is_a_ball_around_one_of_its_points() -> None:
    cloud = random_cloud()
    kept = set(SphereCrop(max_points=30)(cloud, seeded(2)).vertex.tolist())
    distance = (cloud.xyz_m[:, None] - cloud.xyz_m[None]).norm(dim=2)
    balls = [set(row.argsort()[:30].tolist()) for row in distance]
    assert kept in balls


def places_of_crops(label: torch.Tensor, crops: int) -> torch.Tensor:
    """Labels of the points about which class-balanced crops of one point were made."""
    count = len(label)
    xyz = torch.arange(count, dtype=torch.float32)[:, None].expand(-1, 3)
    zeros = torch.zeros(count, 3)
    cloud = PointCloud("line", xyz, zeros, zeros, label, torch.arange(count))
    crop = SphereCrop(max_points=1, mode="class_balanced")
    return torch.cat([crop(cloud, seeded(seed)).label for seed in range(crops)])


def test_class_balanced_crops_are_about_every_class_alike() -> None:
    # 300 points without a class, 96 of class 3, 3 of class 0 and one of class 9.
    label = torch.tensor([IGNORE] * 300 + [3] * 96 + [0] * 3 + [9])[torch.randperm(400, generator=seeded(1))]
    places = places_of_crops(label, crops=1200)
    numbers = {number: int((places == number).sum()) for number in (IGNORE, 0, 3, 9)}
    assert numbers[IGNORE] == 0
    # 400 each are expected; four standard deviations are 65.
    assert all(abs(numbers[number] - 400) < 65 for number in (0, 3, 9)), numbers


def test_class_balanced_crops_are_about_every_point_of_a_class() -> None:
    label = torch.tensor([4, 4, 4, 1])
    zeros, xyz = torch.zeros(4, 3), torch.eye(4)[:, :3]
    cloud = PointCloud("four", xyz, zeros, zeros, label, torch.arange(4))
    crop = SphereCrop(max_points=1, mode="class_balanced")
    kept = [int(crop(cloud, seeded(seed)).vertex) for seed in range(600)]
    # A half falls on the one point of class 1, a sixth on each of the others.
    assert abs(kept.count(3) - 300) < 60
    assert all(abs(kept.count(vertex) - 100) < 45 for vertex in (0, 1, 2))


def test_class_balanced_crops_of_a_cloud_without_classes_are_random_ones() -> None:
    assert (places_of_crops(torch.full((50,), IGNORE), crops=5) == IGNORE).all()


def test_random_spheres_lie_at_different_places() -> None:
    crops = {tuple(SphereCrop(max_points=10)(random_cloud(), seeded(s)).vertex.tolist()) for s in range(20)}
    assert len(crops) > 10


@pytest.mark.parametrize("limit", [100, 101])
def test_a_cloud_within_the_limit_stays_whole(limit: int) -> None:
    cloud = random_cloud()
    assert SphereCrop(max_points=limit)(cloud, seeded(0)) is cloud


def test_cuboid_crop_keeps_a_column_of_every_height() -> None:
    cloud = random_cloud()
    crop = CuboidCrop(size_m=(1.0, 2.0), mode="center")(cloud, seeded(0))
    middle = (cloud.xyz_m.amin(0) + cloud.xyz_m.amax(0)) / 2
    inside = ((cloud.xyz_m - middle)[:, :2].abs() <= torch.tensor([0.5, 1.0])).all(dim=1)
    assert 0 < crop.num_points < 100
    assert crop.vertex.tolist() == inside.nonzero().squeeze(1).tolist()


def test_a_random_cuboid_holds_at_least_its_own_centre() -> None:
    assert all(CuboidCrop(size_m=(1e-6, 1e-6))(random_cloud(), seeded(s)).num_points >= 1 for s in range(20))
