"""Voxelisation against a dictionary, and the laws of the way back."""

import math
from collections import Counter

import pytest
import torch

from pointseg.core.cloud import PointCloud
from pointseg.core.rows import IGNORE
from pointseg.scans.voxelize import FeatureChoice, LabelChoice, Voxels, group_by_voxel, voxel_coords, voxelize

VOXEL_M = 0.25


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud_of(xyz: torch.Tensor, label: list[int] | None = None) -> PointCloud:
    count = xyz.shape[0]
    source = seeded(6)
    return PointCloud(
        "room",
        xyz,
        torch.rand(count, 3, generator=source) * 255,
        torch.nn.functional.normalize(torch.randn(count, 3, generator=source), dim=1),
        torch.arange(count) % 4 if label is None else torch.tensor(label),
        torch.arange(count),
    )


def random_cloud(count: int = 300) -> PointCloud:
    return cloud_of(torch.randn(count, 3, generator=seeded(0)) * 0.6)


def slow_voxels(cloud: PointCloud) -> dict[tuple[int, ...], list[int]]:
    """Voxel -> its points, by hand."""
    voxels: dict[tuple[int, ...], list[int]] = {}
    for row, xyz in enumerate(cloud.xyz_m.tolist()):
        voxels.setdefault(tuple(math.floor(value / VOXEL_M) for value in xyz), []).append(row)
    return voxels


def test_the_occupied_voxels_are_those_of_a_dictionary_in_sorted_order() -> None:
    voxels = voxelize(random_cloud(), VOXEL_M, seed=0)
    assert [tuple(row) for row in voxels.coords.tolist()] == sorted(slow_voxels(random_cloud()))
    assert voxels.coords.dtype == torch.int32


def test_the_inverse_leads_every_point_to_its_own_voxel() -> None:
    cloud = random_cloud()
    voxels = voxelize(cloud, VOXEL_M, seed=0)
    expected = (cloud.xyz_m.double() / VOXEL_M).floor().int()
    assert torch.equal(voxels.coords[voxels.inverse], expected)


@pytest.mark.parametrize("seed", [None, 3], ids=["by turn", "random"])
def test_a_voxel_is_one_of_its_points_with_all_its_fields(seed: int | None) -> None:
    cloud = random_cloud()
    voxels = voxelize(cloud, VOXEL_M, seed=seed)
    rows = voxels.cloud.vertex
    assert torch.equal(voxels.inverse[rows], torch.arange(len(rows)))
    for field in ("xyz_m", "color", "normal", "label"):
        assert torch.equal(getattr(voxels.cloud, field), getattr(cloud, field)[rows])


def test_turns_go_round_the_points_of_a_voxel() -> None:
    cloud = random_cloud()
    points = slow_voxels(cloud)
    for turn in range(4):
        voxels = voxelize(cloud, VOXEL_M, turn=turn)
        expected = [points[key][turn % len(points[key])] for key in sorted(points)]
        assert voxels.cloud.vertex.tolist() == expected


def test_every_point_of_a_voxel_is_drawn_equally_often() -> None:
    cloud = cloud_of(torch.full((4, 3), 0.1))
    drawn = Counter(int(voxelize(cloud, VOXEL_M, seed=seed).cloud.vertex) for seed in range(800))
    assert all(150 < drawn[point] < 250 for point in range(4))


def test_a_seed_repeats_the_draw_and_another_changes_it() -> None:
    def drawn(seed: int) -> list[int]:
        return voxelize(random_cloud(), VOXEL_M, seed=seed).cloud.vertex.tolist()

    assert drawn(1) == drawn(1)
    assert drawn(1) != drawn(2)


def test_means_are_those_of_a_dictionary_and_normals_stay_unit_vectors() -> None:
    cloud = random_cloud()
    voxels = voxelize(cloud, VOXEL_M, features="mean", seed=0).cloud
    points = slow_voxels(cloud)
    for row, key in enumerate(sorted(points)):
        torch.testing.assert_close(voxels.xyz_m[row], cloud.xyz_m[points[key]].mean(0))
        torch.testing.assert_close(voxels.color[row], cloud.color[points[key]].mean(0))
    torch.testing.assert_close(voxels.normal.norm(dim=1), torch.ones(voxels.num_points))


def majority(labels: list[int]) -> int:
    cloud = cloud_of(torch.zeros(len(labels), 3), labels)
    return int(voxelize(cloud, VOXEL_M, label="majority").cloud.label)


def test_the_majority_wins_and_unlabelled_points_have_no_vote() -> None:
    assert majority([1, 7, 7]) == 7
    assert majority([IGNORE, IGNORE, IGNORE, 3]) == 3


def test_the_smaller_index_wins_a_tie() -> None:
    assert majority([5, 2, 5, 2, 9]) == 2


def test_a_voxel_without_a_labelled_point_stays_unlabelled() -> None:
    assert majority([IGNORE, IGNORE]) == IGNORE


def test_majorities_are_those_of_a_dictionary() -> None:
    labels = [(row * 7) % 5 if row % 3 else IGNORE for row in range(300)]
    cloud = random_cloud().with_(label=torch.tensor(labels))
    found = voxelize(cloud, 0.5, label="majority")
    for voxel, label in enumerate(found.cloud.label.tolist()):
        inside = (found.inverse == voxel).nonzero().squeeze(1).tolist()
        votes = Counter(labels[row] for row in inside if labels[row] != IGNORE)
        assert label == (min(votes, key=lambda c: (-votes[c], c)) if votes else IGNORE)


def test_negative_coordinates_are_floored_and_not_cut() -> None:
    assert voxelize(cloud_of(torch.full((1, 3), -0.01)), VOXEL_M).coords.tolist() == [[-1, -1, -1]]


def test_a_point_kilometres_away_still_finds_its_voxel() -> None:
    cloud = cloud_of(torch.tensor([[4096.0, 0.0, 0.0], [4096.25, 0.0, 0.0]]))
    assert voxelize(cloud, 0.01).coords[:, 0].tolist() == [409600, 409625]


def shapes(voxels: Voxels) -> tuple[int, ...]:
    return (*voxels.coords.shape, voxels.cloud.num_points, voxels.inverse.shape[0])


@pytest.mark.parametrize("seed", [None, 0], ids=["by turn", "random"])
@pytest.mark.parametrize("label", ["point", "majority"])
@pytest.mark.parametrize("features", ["point", "mean"])
def test_an_empty_cloud_and_a_single_point(
    features: FeatureChoice, label: LabelChoice, seed: int | None
) -> None:
    for count in (0, 1):
        cloud = cloud_of(torch.zeros(count, 3))
        voxels = voxelize(cloud, 1.0, features=features, label=label, seed=seed)
        assert shapes(voxels) == (count, 3, count, count)


def test_a_coordinate_beyond_32_bits_is_refused_by_name() -> None:
    far = cloud_of(torch.tensor([[0.0, 0.0, 0.0], [1e9, 0.0, 0.0]]))
    with pytest.raises(ValueError, match=r"room: .*does not fit in 32 bits"):
        voxelize(far, 0.02)


def test_a_box_with_too_many_voxels_is_refused_by_name() -> None:
    coords = torch.tensor([[0, 0, 0], [2**30, 2**30, 2**3]])
    with pytest.raises(ValueError, match="hall: the bounding box"):
        group_by_voxel(coords, name="hall")


def test_the_widest_box_that_can_be_numbered_is_still_right() -> None:
    coords = torch.tensor([[2**30, 2**30, 3], [0, 0, 0], [2**30, 2**30, 3], [2**30, 0, 3]])
    groups = group_by_voxel(coords)
    assert groups.coords.tolist() == [[0, 0, 0], [2**30, 0, 3], [2**30, 2**30, 3]]
    assert groups.inverse.tolist() == [2, 0, 2, 1]


def test_the_quotient_of_a_coordinate_is_taken_in_float64() -> None:
    """The float32 next to 0.06 is 0.0599999987, just within voxel 2 of 0.02 m (2.99999993), and the float32
    quotient rounds to 3. The same 4 km away: 4095.99975586 / 0.02 = 204799.988, in float32 204800.
    """
    xyz = torch.tensor([[0.06, 4095.99975586, -0.06], [0.0, 0.0, 0.0]])
    assert math.floor(float(xyz[0, 0] / 0.02)) == 3 and math.floor(float(xyz[0, 1] / 0.02)) == 204800
    assert voxel_coords(xyz, 0.02)[0].tolist() == [2, 204799, -3]
