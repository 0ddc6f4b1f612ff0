"""Rows and batches: unlabelled rows leave once, voxels return to points."""

import pytest
import torch

from pointseg.core.batch import SceneBatch
from pointseg.core.prediction import Prediction
from pointseg.core.rows import IGNORE, Branch


def batch(labels: list[int]) -> SceneBatch:
    count = len(labels)
    coords = torch.zeros(count, 4, dtype=torch.int32)
    coords[:, 0] = torch.arange(count) // 2
    coords[:, 1] = torch.arange(count)
    return SceneBatch(coords, torch.zeros(count, 3), torch.tensor(labels), names=("a", "b"))


def test_supervise_drops_unlabelled_rows_of_every_field() -> None:
    logits = torch.arange(8.0).view(4, 2)
    prediction = Prediction((Branch(logits), Branch(logits * 100, 0.5, torch.tensor([1]))), logits * 10)
    rows = batch([0, IGNORE, IGNORE, 1]).supervise(prediction, progress=0.5)
    assert rows.labels.tolist() == [0, 1]
    assert rows.sample.tolist() == [0, 1]
    assert rows.logits.tolist() == [[0, 1], [6, 7]]
    assert rows.features.tolist() == [[0, 10], [60, 70]]
    assert rows.branches[1].logits.tolist() == [[0, 100], [600, 700]]
    assert rows.branches[1].weight == 0.5
    assert rows.of_branch(1).labels.tolist() == [0, IGNORE]
    assert (rows.num_samples, rows.progress) == (2, 0.5)


def test_a_label_outside_the_classes_is_refused() -> None:
    logits = torch.zeros(2, 2)
    with pytest.raises(ValueError, match=r"0\.\.1"):
        batch([0, 7]).supervise(Prediction.of(logits, logits))


def test_voxel_values_return_to_the_points_of_their_scene() -> None:
    voxels = batch([0, 0, 0, 0])
    with_inverse = SceneBatch(
        voxels.coords, voxels.features, voxels.labels, voxels.names, torch.tensor([1, 0, 1, 3, 2]), (3, 2)
    )
    first, second = with_inverse.to_points(torch.tensor([10, 11, 12, 13]))
    assert first.tolist() == [11, 10, 11]
    assert second.tolist() == [13, 12]


def test_a_training_batch_has_no_way_back_to_points() -> None:
    with pytest.raises(ValueError, match="inverse"):
        batch([0, 0]).to_points(torch.zeros(2))
