"""Predictions are for vertices, in file order, whatever the voxels, the views and the tiles were."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from pointseg.core.batch import ImageBatch, SceneBatch
from pointseg.core.cloud import PointCloud
from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.prediction import Prediction
from pointseg.core.scene import Scene
from pointseg.images.pipeline import ImagePipeline
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.models.segmenter import Segmenter
from pointseg.prediction.predict import evaluation_mode, predict_scenes
from pointseg.scans.pipeline import ScenePipeline
from pointseg.scans.transforms import CenterShift

LABELS = LabelSpace("three", (7, 2, 40), ("a", "b", "c"), ("", "", ""), distinct_colors(3))


def pipeline(features: Sequence[str] = ("color",), voxel_size_m: float = 0.1) -> ScenePipeline:
    return ScenePipeline(
        voxel_size_m=voxel_size_m, features=features, transforms=(), label_space=LABELS, device="cpu"
    )


def scene(count: int = 400, seed: int = 0, extent_m: float = 2.0) -> Scene:
    random = np.random.default_rng(seed)
    xyz = random.uniform(0, extent_m, (count, 3)).astype(np.float32)
    return Scene("room", xyz, rgb=random.integers(0, 256, (count, 3), dtype=np.uint8))


def tiny_network(in_channels: int = 3) -> Segmenter:
    torch.manual_seed(0)
    config = MinkUNetConfig(variant="14A", widths=(8,) * 8, stem_channels=8, stem_kernel=3)
    return Segmenter(config.build(in_channels), num_classes=3)


class BrightestChannel(nn.Module):
    """Class = the colour channel that is strongest: a network whose answer is known by hand."""

    def forward(self, batch: SceneBatch, progress: float = 0.0) -> Prediction:
        return Prediction.of(batch.features * 10, batch.features)


def test_every_vertex_gets_the_class_of_its_own_voxel_in_file_order() -> None:
    xyz = np.array([[5, 0, 0], [0, 0, 0], [9, 0, 0], [5.01, 0.01, 0]], np.float32)
    rgb = np.array([[0, 255, 0], [255, 0, 0], [0, 0, 255], [0, 255, 0]], np.uint8)
    (found,) = predict_scenes(BrightestChannel(), pipeline(), [Scene("s", xyz, rgb=rgb)])
    assert found.name == "s"
    assert found.train_index.tolist() == [1, 0, 2, 1]
    assert found.train_index.dtype == np.int64 and found.confidence.dtype == np.float32
    assert np.allclose(found.confidence, 1.0)


def test_confidence_is_the_mean_probability_over_the_views() -> None:
    network, pipe, room = tiny_network().eval(), pipeline(), scene()
    (found,) = predict_scenes(network, pipe, [room], views=3)
    with torch.no_grad():
        mean = torch.zeros(room.num_vertices, 3)
        for view in range(3):
            batch = pipe.eval_batch([room], view=view)
            mean += batch.to_points(network(batch).logits.softmax(1))[0] / 3
    confidence, train_index = mean.max(dim=1)
    assert np.array_equal(found.train_index, train_index.numpy())
    assert np.allclose(found.confidence, confidence.numpy(), atol=1e-6)


def test_a_scene_is_uploaded_and_its_labels_encoded_once_for_all_views(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    uploaded, encoded = [], []
    upload, encode = PointCloud.from_scene, LabelSpace.encode
    monkeypatch.setattr(PointCloud, "from_scene", lambda *args: uploaded.append(args[0]) or upload(*args))
    monkeypatch.setattr(LabelSpace, "encode", lambda *args: encoded.append(args[0]) or encode(*args))
    room = replace(scene(), raw_label=np.full(400, 7, np.int32))
    list(predict_scenes(BrightestChannel(), pipeline(), [room], views=4))
    assert (len(uploaded), len(encoded)) == (1, 1)


def test_an_image_is_uploaded_once_for_all_views(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded, encode = [], LabelSpace.encode
    monkeypatch.setattr(LabelSpace, "encode", lambda *args: encoded.append(args[0]) or encode(*args))
    pipe = ImagePipeline(size=(32, 32), scale=(1.0, 1.0), color_jitter=0.0, label_space=LABELS)
    rgb = np.zeros((32 * 32, 3), np.uint8)
    image = ImageScene("black", 32, 32, rgb, np.full(32 * 32, 7, np.int32))

    class FirstClass(nn.Module):
        def forward(self, batch: ImageBatch, progress: float = 0.0) -> Prediction:
            logits = torch.tensor([1.0, 0, 0]).repeat(batch.num_rows, 1)
            return Prediction.of(logits, logits)

    (found,) = predict_scenes(FirstClass(), pipe, [image], views=4)
    assert len(encoded) == 1 and not found.train_index.any()


def test_views_of_a_scene_that_is_uploaded_once_have_the_bits_of_fresh_ones() -> None:
    room, centred = scene(), CenterShift()
    pipe = ScenePipeline(
        voxel_size_m=0.1, features=("color", "coord"), transforms=(centred,), label_space=LABELS
    )
    cloud = pipe.upload(room)
    for view in (5, 0, 3):
        fresh, again = pipe.eval_batch([room], view), pipe.view_batch([cloud], view)
        assert torch.equal(fresh.coords, again.coords) and torch.equal(fresh.features, again.features)
        assert fresh.inverse is not None and torch.equal(fresh.inverse, again.inverse)


def test_a_scene_has_the_same_prediction_alone_and_among_others() -> None:
    network, pipe = tiny_network(), pipeline()
    rooms = [scene(300, seed) for seed in range(3)]
    together = list(predict_scenes(network, pipe, rooms))
    (alone,) = predict_scenes(network, pipe, [rooms[1]])
    assert np.array_equal(together[1].train_index, alone.train_index)
    assert np.array_equal(together[1].confidence, alone.confidence)


def test_tiles_change_nothing_for_a_network_that_looks_at_one_voxel() -> None:
    room = scene(5000, extent_m=6.0)
    (whole,) = predict_scenes(BrightestChannel(), pipeline(voxel_size_m=0.001), [room])
    (tiled,) = predict_scenes(BrightestChannel(), pipeline(voxel_size_m=0.001), [room], max_tile_points=700)
    assert np.array_equal(whole.train_index, tiled.train_index)
    assert np.allclose(whole.confidence, tiled.confidence)


def test_no_batch_is_larger_than_the_tile_bound() -> None:
    sizes = []

    class Counting(BrightestChannel):
        def forward(self, batch: SceneBatch, progress: float = 0.0) -> Prediction:
            sizes.append(sum(batch.num_points))
            return super().forward(batch)

    (found,) = predict_scenes(Counting(), pipeline(), [scene(2000)], max_tile_points=300)
    assert max(sizes) <= 300 and len(sizes) > 6
    assert len(found.train_index) == 2000


class HasANeighbour(nn.Module):
    """Class 1 for a voxel with another one at x - 1 or x + 1, else class 0."""

    def forward(self, batch: SceneBatch, progress: float = 0.0) -> Prediction:
        places = {tuple(row) for row in batch.coords.tolist()}
        beside = [
            any((b, x + step, y, z) in places for step in (-1, 1)) for b, x, y, z in batch.coords.tolist()
        ]
        logits = nn.functional.one_hot(torch.tensor(beside).long(), 3).float() * 10
        return Prediction.of(logits, logits)


def test_a_tile_shows_the_network_what_lies_around_it() -> None:
    """Pairs of neighbours along x, each cut by some tile's border: without context both halves were alone."""
    x = np.arange(64, dtype=np.float32)[:, None] * 0.1 + 0.05
    row = Scene("row", np.concatenate([x, np.zeros((64, 2), np.float32)], axis=1))
    (found,) = predict_scenes(HasANeighbour(), pipeline(), [row], max_tile_points=2)
    assert found.train_index.tolist() == [1] * 64


def test_the_context_of_a_tile_is_a_hundred_voxels_wide() -> None:
    """Two clumps of 20 points: 99 voxels apart the tile of one shows the other, 101 apart it does not."""
    seen = []

    class Counting(BrightestChannel):
        def forward(self, batch: SceneBatch, progress: float = 0.0) -> Prediction:
            seen.append(sum(batch.num_points))
            return super().forward(batch)

    for apart_m in (9.9, 10.1):
        seen.clear()
        xyz = np.zeros((40, 3), np.float32)
        xyz[20:, 0] = apart_m
        list(predict_scenes(Counting(), pipeline(), [Scene("two", xyz)], max_tile_points=39))
        assert max(seen) == (39 if apart_m < 10 else 20)


def test_a_tiled_prediction_is_repeatable() -> None:
    network, pipe, room = tiny_network(), pipeline(), scene(1500, extent_m=4.0)
    runs = [next(predict_scenes(network, pipe, [room], max_tile_points=600)) for _ in range(2)]
    assert np.array_equal(runs[0].train_index, runs[1].train_index)
    assert np.array_equal(runs[0].confidence, runs[1].confidence)


def test_prediction_runs_in_evaluation_mode_and_gives_every_module_its_own_mode_back() -> None:
    network = tiny_network().train()
    network.head.eval()  # a frozen part
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    list(predict_scenes(network, pipeline(), [scene()]))
    assert network.backbone.training and not network.head.training
    assert all(torch.equal(before[name], buffer) for name, buffer in network.named_buffers())


def test_modes_come_back_after_an_error_too() -> None:
    module = nn.Sequential(nn.Dropout()).train()
    with pytest.raises(RuntimeError), evaluation_mode(module):
        assert not module[0].training
        raise RuntimeError
    assert module[0].training


def test_scenes_are_read_only_when_their_turn_comes() -> None:
    read = []

    def reading():  # type: ignore[no-untyped-def]
        for number in range(3):
            read.append(number)
            yield scene(20)

    next(predict_scenes(BrightestChannel(), pipeline(), reading()))
    assert read == [0]


def test_a_scene_without_vertices_has_an_empty_prediction() -> None:
    (found,) = predict_scenes(BrightestChannel(), pipeline(), [Scene("none", np.zeros((0, 3), np.float32))])
    assert found.train_index.shape == (0,) and found.confidence.shape == (0,)


@pytest.mark.parametrize("views", [0, 9])
def test_a_number_of_views_out_of_range_is_refused(views: int) -> None:
    with pytest.raises(ValueError, match=r"views must be 1\.\.8"):
        list(predict_scenes(BrightestChannel(), pipeline(), [scene()], views=views))


def test_a_position_that_is_no_number_is_refused_with_the_name_of_the_scene() -> None:
    room = scene()
    room.xyz_m[3, 1] = np.nan
    with pytest.raises(ValueError, match="room: 1 of 400 points"):
        list(predict_scenes(BrightestChannel(), pipeline(), [room]))
