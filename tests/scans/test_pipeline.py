"""ScenePipeline: seeds, views, the way back to vertices, features and what it refuses."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from pointseg.core.labels import LabelSpace
from pointseg.core.rows import IGNORE
from pointseg.core.scene import Scene
from pointseg.scans.pipeline import ScenePipeline
from pointseg.scans.transforms import TransformConfig

LABELS = LabelSpace("toy", (11, 22, 33), ("a", "b", "c"), ("", "", ""), ((0, 0, 0),) * 3)
MANY = [
    {"type": "center_shift"},
    {"type": "random_dropout", "p": 0.5},
    {"type": "rotate", "axis": "z"},
    {"type": "elastic"},
    {"type": "chromatic_jitter"},
    {"type": "voxelize"},
    {"type": "sphere_crop", "max_points": 150},
    {"type": "center_shift", "z": "keep"},
]


def pipeline(
    transforms: Sequence[dict[str, object]] = (),
    *,
    features: Sequence[str] = ("coord", "color"),
    mix3d_p: float = 0.0,
    max_voxels: int | None = None,
    voxel_size_m: float = 0.2,
) -> ScenePipeline:
    return ScenePipeline(
        voxel_size_m=voxel_size_m,
        features=features,
        transforms=TypeAdapter(list[TransformConfig]).validate_python(transforms),
        label_space=LABELS,
        mix3d_p=mix3d_p,
        max_voxels=max_voxels,
    )


def scene(name: str, seed: int = 0, count: int = 400) -> Scene:
    rng = np.random.default_rng(seed)
    normal = rng.normal(size=(count, 3)).astype(np.float32)
    return Scene(
        name=name,
        xyz_m=rng.uniform(0, 3, (count, 3)).astype(np.float32),
        rgb=rng.integers(0, 256, (count, 3), dtype=np.uint8),
        normal=normal / np.linalg.norm(normal, axis=1, keepdims=True),
        raw_label=rng.choice([11, 22, 33, 99], count).astype(np.int32),
    )


def same(first: torch.Tensor, second: torch.Tensor) -> bool:
    return first.shape == second.shape and bool((first == second).all())


def test_a_seed_repeats_a_training_batch_whatever_else_is_drawn() -> None:
    build, scenes = pipeline(MANY, mix3d_p=0.5), [scene("s"), scene("t", 1), scene("u", 2)]
    first = build.train_batch(scenes, seed=4)
    torch.rand(7)
    second = build.train_batch(scenes, seed=4)
    assert first.names == second.names
    assert same(first.coords, second.coords)
    assert same(first.features, second.features)
    assert same(first.labels, second.labels)


def test_another_seed_gives_another_batch() -> None:
    build = pipeline(MANY)
    assert not same(build.train_batch([scene("s")], 1).features, build.train_batch([scene("s")], 2).features)


def test_a_scene_does_not_depend_on_its_company() -> None:
    build = pipeline(MANY)
    alone = build.train_batch([scene("s")], 3)
    together = build.train_batch([scene("s"), scene("t", 1)], 3)
    assert same(together.features[together.coords[:, 0] == 0], alone.features)


def test_the_same_scene_twice_in_a_batch_is_augmented_differently() -> None:
    batch = pipeline(MANY).train_batch([scene("s"), scene("s")], 3)
    first, second = (batch.features[batch.coords[:, 0] == b] for b in (0, 1))
    assert not same(first, second)


def test_a_training_batch_is_laid_out_as_a_batch() -> None:
    batch = pipeline(MANY).train_batch([scene("s"), scene("t", 1)], 0)
    assert batch.coords.dtype == torch.int32
    assert batch.features.dtype == torch.float32
    assert batch.labels.dtype == torch.int64
    rows = batch.coords.tolist()
    assert rows == sorted(rows)
    assert len({tuple(row) for row in rows}) == len(rows)
    assert int(batch.coords.min()) == 0
    assert batch.names == ("s", "t")
    assert batch.inverse is None


def test_a_voxel_carries_the_label_and_color_of_one_vertex() -> None:
    given = scene("s")
    assert given.rgb is not None
    assert given.raw_label is not None
    known = {
        (*rgb, label)
        for rgb, label in zip(given.rgb.tolist(), LABELS.encode(given.raw_label).tolist(), strict=True)
    }
    batch = pipeline(MANY[:4], features=("color",)).train_batch([given], 0)
    rgb = ((batch.features + 1) * 127.5).round().int().tolist()
    assert all((*c, label) in known for c, label in zip(rgb, batch.labels.tolist(), strict=True))
    assert IGNORE in batch.labels.tolist()


def test_the_inverse_gives_every_vertex_its_voxel_in_its_scene() -> None:
    scenes = [scene("s"), scene("t", 1, count=250)]
    batch = pipeline(features=("coord",)).eval_batch(scenes)
    assert batch.num_points == (400, 250)
    for given, rows in zip(scenes, batch.to_points(batch.coords), strict=True):
        voxel = np.floor(given.xyz_m.astype(np.float64) / 0.2)
        assert rows[:, 1:].tolist() == (voxel - voxel.min(0)).astype(int).tolist()
    assert [int(rows[0, 0]) for rows in batch.to_points(batch.coords)] == [0, 1]


def test_evaluation_applies_the_center_shifts_and_nothing_else() -> None:
    given = scene("s")
    batch = pipeline(MANY, features=("coord",), voxel_size_m=0.001).eval_batch([given])
    low, high = given.xyz_m.min(0), given.xyz_m.max(0)
    middle = (low + high) / 2
    expected = given.xyz_m - np.array([middle[0], middle[1], low[2]])
    np.testing.assert_allclose(batch.to_points(batch.features)[0].numpy(), expected, atol=1e-5)


def test_evaluation_repeats_itself() -> None:
    build = pipeline(MANY)
    first, second = build.eval_batch([scene("s")], 2), build.eval_batch([scene("s")], 2)
    assert same(first.coords, second.coords)
    assert same(first.features, second.features)


@pytest.mark.parametrize("view", range(8))
def test_every_view_reaches_every_vertex_once(view: int) -> None:
    fine = pipeline(features=("coord",), voxel_size_m=0.001)
    batch = fine.eval_batch([scene("s")], view)
    assert batch.inverse is not None
    assert sorted(batch.inverse.tolist()) == list(range(400))


def test_views_are_the_eight_different_symmetries_of_the_square() -> None:
    corner = Scene("s", np.array([[2.0, 1.0, 5.0]], dtype=np.float32))
    build = pipeline(features=("coord",))
    seen = [tuple(build.eval_batch([corner], view).features[0].tolist()) for view in range(8)]
    assert seen[:4] == [(2, 1, 5), (-1, 2, 5), (-2, -1, 5), (1, -2, 5)]
    assert len(set(seen)) == 8
    assert seen[4] == (-2, 1, 5)


def test_views_show_the_points_of_a_voxel_in_turn() -> None:
    grey = np.array([[0] * 3, [51] * 3, [255] * 3], np.uint8)
    crowd = Scene("s", np.full((3, 3), 0.1, np.float32), grey)
    build = pipeline(features=("color_unit",))
    seen = [float(build.eval_batch([crowd], view).features[0, 0]) for view in range(8)]
    assert seen == pytest.approx([0, 0.2, 1, 0, 0.2, 1, 0, 0.2])


def test_normals_turn_with_the_view() -> None:
    point = Scene("s", np.ones((1, 3), np.float32), normal=np.array([[1, 0, 0]], np.float32))
    assert pipeline(features=("normal",)).eval_batch([point], 1).features.tolist() == [[0, 1, 0]]


def test_an_unknown_view_is_refused() -> None:
    with pytest.raises(ValueError, match=r"0\.\.7; got 8"):
        pipeline().eval_batch([scene("s")], 8)


def test_features_stand_in_the_order_they_are_named() -> None:
    point = Scene(
        "s",
        np.array([[0.1, 0.1, 2.0], [0.9, 0.1, 5.0]], dtype=np.float32),
        np.array([[0, 255, 51], [0, 0, 0]], dtype=np.uint8),
        np.array([[0, 0, 1], [0, 1, 0]], dtype=np.float32),
    )
    build = pipeline(features=("ones", "height", "color_half", "normal", "color", "coord"))
    row = build.eval_batch([point]).features[1].tolist()
    assert build.num_features == len(row) == 14
    assert row == pytest.approx([1, 3, -0.5, -0.5, -0.5, 0, 1, 0, -1, -1, -1, 0.9, 0.1, 5.0])
    first = build.eval_batch([point]).features[0].tolist()
    assert first[:5] == pytest.approx([1, 0, -0.5, 0.5, -0.3])


def test_the_three_scales_of_colour_are_those_of_their_code_bases() -> None:
    point = Scene("s", np.zeros((1, 3), np.float32), np.array([[0, 255, 51]], dtype=np.uint8))
    row = pipeline(features=("color", "color_unit", "color_half")).eval_batch([point]).features[0].tolist()
    assert row == pytest.approx([-1, 1, -0.6, 0, 1, 0.2, -0.5, 0.5, -0.3])


def test_a_scene_without_color_gives_zeros() -> None:
    grey = replace(scene("s"), rgb=None)
    assert not bool(pipeline(features=("color", "color_half")).eval_batch([grey]).features.any())


def test_a_scene_without_normals_is_refused_where_they_are_asked_for() -> None:
    bare = replace(scene("bare"), normal=None)
    with pytest.raises(ValueError, match=r"bare: .*no normals"):
        pipeline(features=("normal",)).eval_batch([bare])
    assert pipeline(features=("color",)).eval_batch([bare]).num_voxels > 0


def test_an_unlabelled_scene_has_only_ignored_labels() -> None:
    test = replace(scene("s"), raw_label=None)
    assert set(pipeline().eval_batch([test]).labels.tolist()) == {IGNORE}


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_coordinate_that_is_not_finite_is_refused_by_name(value: float) -> None:
    broken = scene("broken")
    broken.xyz_m[3, 1] = value
    with pytest.raises(ValueError, match="broken: 1 of 400 points"):
        pipeline(MANY).train_batch([broken], 0)


def test_a_budget_of_one_voxel_is_one() -> None:
    assert pipeline(max_voxels=1).train_batch([scene("s")], 0).num_voxels == 1


def test_the_voxel_budget_holds_for_each_scene() -> None:
    batch = pipeline(max_voxels=50).train_batch([scene("s"), scene("t", 1, count=30)], 0)
    assert torch.bincount(batch.coords[:, 0]).tolist() == [50, 30]


def test_a_mixed_pair_is_one_sample_with_the_labels_of_both_and_no_duplicate() -> None:
    first = replace(scene("s"), raw_label=np.full(400, 11, np.int32))
    second = replace(scene("t", 1), raw_label=np.full(400, 33, np.int32))
    batch = pipeline(MANY, mix3d_p=1.0).train_batch([first, second], 0)
    assert batch.names == ("s+t",)
    assert batch.num_samples == 1
    assert set(batch.labels.tolist()) == {0, 2}
    assert len({tuple(row) for row in batch.coords.tolist()}) == batch.num_voxels
    assert batch.num_voxels < 300


def test_mixing_leaves_the_augmentation_of_a_scene_alone() -> None:
    scenes = [scene("s"), scene("t", 1), scene("u", 2)]
    mixed = pipeline(MANY, mix3d_p=1.0).train_batch(scenes, 5)
    plain = pipeline(MANY).train_batch(scenes, 5)
    assert same(mixed.features[mixed.coords[:, 0] == 1], plain.features[plain.coords[:, 0] == 2])


def test_a_shift_after_voxelisation_moves_the_grid_by_whole_voxels() -> None:
    # Two equal rooms far apart: recentred as voxels they lie on each other again.
    # Fourteen voxels wide, so that the middle is a whole number of voxels.
    room = scene("s")
    room.xyz_m[:] = np.floor(np.minimum(room.xyz_m, 2.7) / 0.2) * 0.2 + 0.1
    far = replace(room, name="t", xyz_m=room.xyz_m + np.array([8, 4, 0], np.float32))
    steps = [{"type": "voxelize"}, {"type": "center_shift", "z": "keep"}]
    mixed = pipeline(steps, mix3d_p=1.0).train_batch([room, far], 0)
    assert mixed.num_voxels == pipeline(steps).train_batch([room], 0).num_voxels
    assert pipeline(mix3d_p=1.0).train_batch([room, far], 0).num_voxels == 2 * mixed.num_voxels


def test_mean_features_and_majority_labels_serve_training_and_evaluation() -> None:
    steps = [{"type": "voxelize", "features": "mean", "label": "majority"}]
    pair = Scene(
        "s",
        np.array([[0.02, 0, 0], [0.04, 0, 0], [0.06, 0, 0]], np.float32),
        raw_label=np.array([22, 22, 11], np.int32),
    )
    build = pipeline(steps, features=("coord",))
    for batch in (build.train_batch([pair], 0), build.eval_batch([pair])):
        assert batch.labels.tolist() == [1]
        assert batch.features[0].tolist() == pytest.approx([0.04, 0, 0])


def test_an_empty_scene_and_a_single_point_pass() -> None:
    empty, single = scene("empty", count=0), scene("single", count=1)
    build = pipeline(MANY, features=("coord", "height", "normal"))
    train = build.train_batch([empty, single], 0)
    assert train.coords.tolist() == [[1, 0, 0, 0]]
    evaluated = build.eval_batch([single, empty], 3)
    assert evaluated.num_points == (1, 0)
    assert [len(part) for part in evaluated.to_points(evaluated.features)] == [1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"voxel_size_m": 0.0}, "voxel_size_m"),
        ({"voxel_size_m": np.inf}, "voxel_size_m"),
        ({"mix3d_p": 1.2}, "mix3d_p"),
        ({"max_voxels": 0}, "max_voxels"),
        ({"features": []}, "at least one"),
        ({"features": ["colour"]}, "colour"),
        ({"features": ["color", "color"]}, "different"),
        ({"transforms": [{"type": "voxelize"}, {"type": "voxelize"}]}, "may occur once"),
        ({"transforms": [{"type": "voxelize"}, {"type": "jitter"}]}, "jitter would leave the grid"),
    ],
)
def test_settings_without_sense_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pipeline(**options)  # type: ignore[arg-type]


def test_a_batch_needs_a_scene_and_a_seed_that_is_not_negative() -> None:
    with pytest.raises(ValueError, match="at least one scene"):
        pipeline().train_batch([], 0)
    with pytest.raises(ValueError, match="must not be negative; got -1"):
        pipeline().train_batch([scene("s")], -1)
