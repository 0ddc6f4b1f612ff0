"""Repeat factors: their formula, and how often scenes come."""

from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.scans.store import Store, StoreWriter
from pointseg.training.loader import BatchPlan
from pointseg.training.sampling import classes_of_scenes, repeat_factors


def test_a_scene_is_repeated_for_its_rarest_class() -> None:
    # Class 0 is in all of 16 scenes, class 1 in one of them, class 2 in none.
    has_class = np.zeros((16, 3), dtype=bool)
    has_class[:, 0] = True
    has_class[5, 1] = True
    factors = repeat_factors(has_class, threshold=0.25)
    assert factors[5] == pytest.approx(2.0)  # sqrt(0.25 / (1 / 16))
    assert set(np.delete(factors, 5)) == {1.0}


def test_classes_above_the_threshold_change_nothing() -> None:
    assert repeat_factors(np.eye(4, dtype=bool), threshold=0.25).tolist() == [1.0] * 4
    assert repeat_factors(np.zeros((2, 3), dtype=bool), threshold=1.0).tolist() == [1.0, 1.0]
    assert repeat_factors(np.zeros((0, 3), dtype=bool), threshold=1.0).tolist() == []


def test_scenes_come_as_often_as_their_factor_says() -> None:
    plan = BatchPlan([1] * 4, batch_size=4, repeat=np.array([1.0, 1.0, 2.0, 3.5]))
    drawn = Counter(scene for batch in islice(plan.batches(), 750) for scene in batch)
    # 7.5 scenes a pass on average, so 400 passes.
    assert [round(drawn[scene] / 400, 1) for scene in range(4)] == [1.0, 1.0, 2.0, 3.5]


def test_repeats_do_not_lengthen_an_epoch() -> None:
    repeated = BatchPlan([1] * 4, batch_size=2, repeat=np.array([4.0] * 4))
    assert repeated.num_batches(10) == BatchPlan([1] * 4, batch_size=2).num_batches(10) == 20


def test_factors_of_one_give_every_scene_once_a_pass() -> None:
    plan = BatchPlan([1] * 6, batch_size=6, repeat=np.ones(6))
    assert all(sorted(batch) == list(range(6)) for batch in islice(plan.batches(), 5))


def test_classes_come_from_the_manifest_in_train_order(tmp_path: Path) -> None:
    space = LabelSpace("two", (30, 7), ("a", "b"), ("", ""), distinct_colors(2))
    writer = StoreWriter(tmp_path / "store", space, options={})
    for name, labels in (("x", [7, 7, 0]), ("y", [30, 7, 99])):
        writer.add(Scene(name, np.zeros((3, 3), np.float32), raw_label=np.array(labels, np.int32)), "train")
    writer.finish()
    has_class = classes_of_scenes(Store.open(tmp_path / "store"), ["x", "y"])
    assert has_class.tolist() == [[False, True], [True, True]]
