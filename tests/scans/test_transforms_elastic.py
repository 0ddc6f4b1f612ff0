"""Elastic distortion against a slow interpolation, and its laws: bounded, smooth, of known strength."""

from collections import Counter

import numpy as np
import pytest
import torch
from host_waits import HostWaits
from scipy import ndimage
from scipy.interpolate import RegularGridInterpolator

from pointseg.core.cloud import PointCloud
from pointseg.scans.transforms import Elastic
from pointseg.scans.transforms.base import normal
from pointseg.scans.transforms.elastic import smooth_noise, trilinear
from pointseg.scans.voxelize import voxelize

CPU = torch.device("cpu")


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def cloud_of(xyz: torch.Tensor) -> PointCloud:
    count = xyz.shape[0]
    zeros = torch.zeros(count, 3)
    return PointCloud("hall", xyz, zeros, zeros, torch.zeros(count, dtype=torch.int64), torch.arange(count))


def test_the_noise_is_blurred_twice_along_each_axis_with_zeros_outside() -> None:
    expected = normal((1, 3, 5, 6, 7), seeded(0), CPU)[0].numpy()
    for _ in range(2):
        for axis in (1, 2, 3):
            expected = ndimage.uniform_filter1d(expected, size=3, axis=axis, mode="constant", cval=0.0)
    np.testing.assert_allclose(smooth_noise((5, 6, 7), seeded(0), CPU).numpy(), expected, atol=1e-6)


def test_interpolation_agrees_with_scipy() -> None:
    field = torch.randn(3, 4, 5, 6, generator=seeded(0))
    position = torch.rand(50, 3, generator=seeded(1)) * torch.tensor([3.0, 4.0, 5.0])
    slow = RegularGridInterpolator(
        (np.arange(4), np.arange(5), np.arange(6)), field.permute(1, 2, 3, 0).numpy()
    )
    np.testing.assert_allclose(trilinear(field, position).numpy(), slow(position.numpy()), atol=1e-5)


def test_the_nodes_lie_as_in_the_public_code() -> None:
    # There: axis points from low - granularity to low + granularity * (nodes - 2).
    xyz = torch.rand(200, 3, generator=seeded(4)) * torch.tensor([2.0, 1.5, 0.7]) + 5
    low = xyz.amin(0)
    shape = ((xyz.amax(0) - low) // 0.2 + 3).int().tolist()
    field = smooth_noise((shape[0], shape[1], shape[2]), seeded(7), CPU)
    axes = [np.linspace(float(a) - 0.2, float(a) + 0.2 * (n - 2), n) for a, n in zip(low, shape, strict=True)]
    slow = RegularGridInterpolator(
        axes, field.permute(1, 2, 3, 0).numpy(), bounds_error=False, fill_value=0.0
    )
    elastic = Elastic(p=1.0, distortions=((0.2, 0.4),))
    # apply() and not the call, which draws the coin of probability p before the noise.
    moved = elastic.apply(cloud_of(xyz), seeded(7)).xyz_m - xyz
    np.testing.assert_allclose(moved.numpy(), 0.4 * slow(xyz.numpy()), atol=1e-4)


def test_displacement_is_bounded_by_the_largest_node() -> None:
    xyz = torch.rand(500, 3, generator=seeded(0)) * 3
    moved = Elastic(p=1.0, distortions=((0.2, 0.4),)).apply(cloud_of(xyz), seeded(1)).xyz_m - xyz
    low, high = torch.aminmax(xyz, dim=0)
    shape = ((high - low) / 0.2).floor().int() + 3
    nodes = smooth_noise((int(shape[0]), int(shape[1]), int(shape[2])), seeded(1), CPU)
    assert 0.01 < float(moved.abs().max()) <= 0.4 * float(nodes.abs().max()) + 1e-6


def test_neighbours_move_together() -> None:
    xyz = torch.rand(500, 3, generator=seeded(0)) * 3
    step = 0.002
    near = torch.cat([xyz, xyz + torch.tensor([step, 0.0, 0.0])])
    moved = Elastic(p=1.0, distortions=((0.2, 0.4), (0.8, 1.6))).apply(cloud_of(near), seeded(1)).xyz_m - near
    difference = (moved[:500] - moved[500:]).norm(dim=1)
    # A hundredth of the grid spacing apart: they separate by at most a small part of how far they are.
    assert float(difference.max()) < step
    assert float(moved.norm(dim=1).median()) > 20 * float(difference.median())


def test_the_typical_displacement_is_a_ninth_of_the_magnitude() -> None:
    # A mean of 3 twice has the weights (1, 2, 3, 2, 1) / 9 along each axis: (19 / 81) ** 1.5 = 0.1136.
    field = smooth_noise((40, 40, 40), seeded(0), CPU)[:, 2:-2, 2:-2, 2:-2]
    assert float(field.std()) == pytest.approx((19 / 81) ** 1.5, rel=0.03)


def test_a_hall_that_needs_too_many_nodes_is_refused_by_name() -> None:
    wide = cloud_of(torch.tensor([[0.0, 0.0, 0.0], [500.0, 500.0, 50.0]]))
    with pytest.raises(ValueError, match=r"hall: elastic .* Crop before it"):
        Elastic(p=1.0)(wide, seeded(0))


def test_the_box_of_a_distorted_cloud_holds_its_points() -> None:
    xyz = torch.rand(400, 3, generator=seeded(0)) * 3 + 1000
    moved = Elastic(p=1.0, distortions=((0.2, 0.4), (0.8, 1.6))).apply(cloud_of(xyz), seeded(1))
    assert moved.box_m is not None
    low, high = torch.tensor(moved.box_m)
    assert bool((moved.xyz_m >= low).all()) and bool((moved.xyz_m <= high).all())
    assert float((high - low).max()) < 3 + 2 * 0.7 * 2.0 + 0.01


def test_a_cloud_whose_box_is_known_is_distorted_and_voxelised_with_one_question() -> None:
    xyz = torch.rand(400, 3, generator=seeded(0)) * 3
    cloud = cloud_of(xyz).with_(xyz_m=xyz, box_m=((0.0, 0.0, 0.0), (3.0, 3.0, 3.0)))
    with HostWaits() as waits:
        voxelize(Elastic(p=1.0).apply(cloud, seeded(1)), 0.1, seed=0)
    # The coins and seeds of the host are no questions to a device.
    assert waits.places - Counter({"base.py:of_device": 2}) == Counter({"voxelize.py:group_by_voxel": 1})


def test_new_positions_have_no_box_until_somebody_finds_it() -> None:
    cloud = cloud_of(torch.rand(9, 3, generator=seeded(0)))
    known = cloud.with_(xyz_m=cloud.xyz_m, box_m=((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)))
    assert known.with_(xyz_m=2 * cloud.xyz_m).box_m is None
    assert known.with_(color=cloud.color).box_m == known.select(torch.tensor([3])).box_m == known.box_m
