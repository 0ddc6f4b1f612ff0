"""The plan of batches, and the loader that reads them."""

import math
import multiprocessing
import os
import signal
from collections import Counter
from itertools import islice
from pathlib import Path

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.core.seeds import derived_seed
from pointseg.data.reader import SceneReader
from pointseg.scans.dataset import StoreData
from pointseg.scans.store import Store, StoreWriter
from pointseg.training.loader import BatchPlan, train_loader


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Four scenes; scene i has i + 1 points, all at x = i."""
    writer = StoreWriter(
        tmp_path / "store", LabelSpace("one", (1,), ("thing",), ("",), distinct_colors(1)), options={}
    )
    for i in range(4):
        xyz_m = np.full((i + 1, 3), i, np.float32)
        writer.add(Scene(f"s{i}", xyz_m, raw_label=np.ones(i + 1, np.int32)), "train")
    writer.finish()
    return StoreData(path=tmp_path / "store").open()


def first(plan: BatchPlan, count: int) -> list[tuple[int, ...]]:
    return list(islice(plan.batches(), count))


def test_the_plan_is_a_function_of_the_seed() -> None:
    assert first(BatchPlan([1] * 9, batch_size=2, seed=5), 20) == first(
        BatchPlan([1] * 9, batch_size=2, seed=5), 20
    )
    assert first(BatchPlan([1] * 9, batch_size=2, seed=5), 20) != first(
        BatchPlan([1] * 9, batch_size=2, seed=6), 20
    )


def test_every_pass_holds_every_scene_once_in_an_order_of_its_own() -> None:
    stream = [scene for batch in first(BatchPlan([1] * 6, batch_size=4), 9) for scene in batch]
    passes = [stream[start : start + 6] for start in range(0, 36, 6)]
    assert all(sorted(one) == list(range(6)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_batches_are_full_across_the_borders_of_passes() -> None:
    assert {len(batch) for batch in first(BatchPlan([1] * 5, batch_size=3), 20)} == {3}


def test_a_point_budget_closes_a_batch_before_it_is_exceeded() -> None:
    sizes = [40, 30, 20, 10, 25, 35]
    for batch in first(BatchPlan(sizes, batch_size=4, point_budget=60), 50):
        assert sum(sizes[scene] for scene in batch) <= 60


def test_a_point_budget_may_be_used_up() -> None:
    plan = BatchPlan([30] * 6, batch_size=4, point_budget=60)
    assert {len(batch) for batch in first(plan, 20)} == {2}


def test_a_scene_above_the_budget_is_a_batch_of_its_own() -> None:
    plan = BatchPlan([100, 10, 10], batch_size=3, point_budget=50)
    batches = first(plan, 30)
    assert all(batch == (0,) for batch in batches if 0 in batch)
    assert Counter(batches)[(0,)] > 5


@pytest.mark.parametrize("passes", [1, 2.5, 4])
def test_number_of_batches_of_some_passes(passes: float) -> None:
    assert BatchPlan([1] * 7, batch_size=3).num_batches(passes) == math.ceil(7 * passes / 3)


def test_no_scene_is_refused() -> None:
    with pytest.raises(ValueError, match="no scene"):
        BatchPlan([], batch_size=1)


def test_the_loader_reads_the_batches_of_the_plan(store: Store) -> None:
    names = store.scene_names("train")
    plan = BatchPlan([store.num_vertices(name) for name in names], batch_size=2, seed=1)
    loaded = list(train_loader(SceneReader(store, names), plan, range(5)))
    assert [batch.index for batch in loaded] == [0, 1, 2, 3, 4]
    assert [batch.names for batch in loaded] == [tuple(names[i] for i in b) for b in first(plan, 5)]


def test_any_share_of_the_numbers_gives_the_same_batches(store: Store) -> None:
    names = store.scene_names("train")
    plan, reader = BatchPlan([1, 2, 3, 4], batch_size=2, seed=1), SceneReader(store, names)
    whole = [batch.names for batch in train_loader(reader, plan, range(12))]
    assert [batch.names for batch in train_loader(reader, plan, range(5, 12, 3))] == whole[5:12:3]


def test_a_worker_reads_what_the_main_process_reads(store: Store) -> None:
    names = store.scene_names("train")
    plan, reader = BatchPlan([1, 2, 3, 4], batch_size=3, seed=1), SceneReader(store, names)
    here = list(train_loader(reader, plan, range(3)))
    there = list(train_loader(reader, plan, range(3), workers=1))
    # More than there are cores: as many as these, without the warning that torch would give.
    list(train_loader(reader, plan, range(3), workers=10_000))
    assert [batch.names for batch in here] == [batch.names for batch in there]
    for mine, theirs in zip(here, there, strict=True):
        for a, b in zip(mine.scenes, theirs.scenes, strict=True):
            np.testing.assert_array_equal(a.xyz_m, b.xyz_m)
            np.testing.assert_array_equal(a.raw_label, b.raw_label)


def test_ctrl_c_does_not_end_a_worker(store: Store) -> None:
    reader = SceneReader(store, store.scene_names("train"))
    batches = iter(train_loader(reader, BatchPlan([1, 2, 3, 4], batch_size=1), range(8), workers=1))
    seen = [next(batches).index]
    for worker in multiprocessing.active_children():
        assert worker.pid is not None
        os.kill(worker.pid, signal.SIGINT)
    seen += [batch.index for batch in batches]
    assert seen == list(range(8))


def test_a_scene_is_read_into_memory(store: Store) -> None:
    (batch,) = train_loader(
        SceneReader(store, store.scene_names("train")), BatchPlan([1] * 4, batch_size=1), range(1)
    )
    assert not isinstance(batch.scenes[0].xyz_m, np.memmap)


def test_seeds_of_different_keys_differ_and_fit_in_63_bits() -> None:
    seeds = {
        derived_seed(seed, stream, step) for seed in range(3) for stream in range(2) for step in range(50)
    }
    assert len(seeds) == 300 and all(0 <= seed < 2**63 for seed in seeds)
