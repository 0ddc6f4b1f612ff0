"""Class frequencies: real ones follow the table, tempered ones leave nobody out."""

import numpy as np
import pytest
from scipy.stats import spearmanr

from pointseg.synthetic.categories import class_ids, class_names, instances_per_scene
from pointseg.synthetic.kinds import KINDS
from pointseg.synthetic.sampler import ClassSampler, least_objects, rates


def totals(sampler: ClassSampler) -> np.ndarray:
    found = sampler.totals()
    return np.array([found.get(raw_id, 0) for raw_id in class_ids().values()])


def test_without_tempering_the_numbers_over_many_scenes_are_the_real_ones() -> None:
    sampler = ClassSampler.for_split(0, 1513, 0.0)
    real = np.array([instances_per_scene()[i] for i in class_ids().values()]) * 1513
    got = totals(sampler)
    free = np.array([name not in ("floor", "ceiling") for name in class_ids()])
    assert np.abs(got - real)[free].max() <= 1
    assert spearmanr(got, real).statistic > 0.999


def test_without_tempering_a_small_split_keeps_the_order_of_the_classes() -> None:
    real = np.array([instances_per_scene()[i] for i in class_ids().values()])
    got = sum(totals(ClassSampler.for_split(seed, 40, 0.0)) for seed in range(5))
    assert spearmanr(got, real).statistic > 0.9


def test_tempering_keeps_the_number_of_objects_and_flattens_the_tail() -> None:
    def spread(temper: float) -> float:
        free = [rate for name, rate in rates(temper).items() if name not in ("wall", "door", "floor")]
        return max(free) / min(free)

    assert spread(0.0) > 300 > 20 > spread(0.6) > spread(1.0)
    assert sum(rates(0.7).values()) == pytest.approx(sum(rates(0.0).values()))


@pytest.mark.parametrize(
    ("scenes", "temper", "least"), [(40, 0.6, 4), (30, 0.6, 3), (10, 0.6, 1), (40, 0.0, 0)]
)
def test_a_tempered_split_has_a_handful_of_every_class(scenes: int, temper: float, least: int) -> None:
    assert least_objects(scenes, temper) == least
    for split in ("train", "val"):
        assert totals(ClassSampler.for_split(3, scenes, temper, split)).min() >= least


def test_scenes_have_room_for_their_objects() -> None:
    counts = [sum(plan.counts.values()) for plan in ClassSampler.for_split(0, 40, 0.6).plans]
    assert min(counts) > 15
    assert max(counts) < 70


def test_rare_classes_are_spread_over_scenes_that_suit_them() -> None:
    plans = ClassSampler.for_split(0, 60, 0.8).plans
    toilet = class_ids()["toilet"]
    where = [plan.kind for plan in plans if toilet in plan.counts]
    assert len(where) >= 3
    assert where.count("bathroom") >= 0.7 * len(where)


def test_scene_kinds_follow_their_shares() -> None:
    plans = ClassSampler.for_split(0, 200, 0.0).plans
    kinds = [plan.kind for plan in plans]
    for name, kind in KINDS.items():
        assert abs(kinds.count(name) - 200 * kind.share) <= 1


def test_plans_depend_on_seed_and_split_alone() -> None:
    once, again = (ClassSampler.for_split(5, 12, 0.5, "val") for _ in range(2))
    assert once == again
    assert ClassSampler.for_split(6, 12, 0.5, "val").plans != once.plans
    assert ClassSampler.for_split(5, 12, 0.5, "train").plans != once.plans


def test_each_scene_has_a_stream_of_its_own() -> None:
    sampler = ClassSampler.for_split(0, 3, 0.5)
    draws = [sampler.rng(i).random() for i in (2, 0, 1, 2)]
    assert draws[0] == draws[3]
    assert len(set(draws)) == 3


def test_every_scene_has_walls_and_a_floor() -> None:
    for plan in ClassSampler.for_split(1, 25, 0.3).plans:
        assert plan.counts[class_ids()["wall"]] >= 4
        assert plan.counts[class_ids()["floor"]] == 1


def test_plans_name_classes_only() -> None:
    known = set(class_names())
    assert all(set(plan.counts) <= known for plan in ClassSampler.for_split(1, 25, 0.3).plans)


@pytest.mark.parametrize(("scenes", "temper"), [(0, 0.5), (3, 1.5), (3, -0.1)])
def test_impossible_requests_are_refused(scenes: int, temper: float) -> None:
    with pytest.raises(ValueError, match=r"temper|scene"):
        ClassSampler.for_split(0, scenes, temper)
