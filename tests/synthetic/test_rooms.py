"""Rooms: everything is inside, on something, and the same again for the same seed."""

from functools import cache

import numpy as np
import pytest

from pointseg.synthetic.catalogue import catalogue
from pointseg.synthetic.categories import class_ids, class_names, ways_to_class
from pointseg.synthetic.kinds import KINDS
from pointseg.synthetic.model import TEXTURES, ObjectModel, RoomModel, ScenePlan
from pointseg.synthetic.rooms import make_room
from pointseg.synthetic.sampler import ClassSampler

SCENES = 12


@cache
def sampler() -> ClassSampler:
    return ClassSampler.for_split(0, SCENES, 0.6)


@cache
def rooms() -> tuple[RoomModel, ...]:
    return tuple(make_room(sampler().rng(i), sampler().scene(i)) for i in range(SCENES))


def plan(kind: str, **counts: int) -> ScenePlan:
    ids = class_ids()
    return ScenePlan(kind, {ids[name.replace("_", " ")]: count for name, count in counts.items()})


def of_class(room: RoomModel, name: str) -> list[ObjectModel]:
    return [thing for thing in room.objects if thing.raw_id == class_ids()[name]]


def bounds(thing: ObjectModel) -> tuple[np.ndarray, np.ndarray]:
    points = thing.quads.reshape(-1, 3)
    return points.min(axis=0), points.max(axis=0)


def overlap(a: ObjectModel, b: ObjectModel) -> np.ndarray:
    (low_a, high_a), (low_b, high_b) = bounds(a), bounds(b)
    return np.minimum(high_a, high_b) - np.maximum(low_a, low_b)


def test_a_room_is_the_same_again_whichever_rooms_were_made_before() -> None:
    alone = make_room(sampler().rng(5), sampler().scene(5))
    np.testing.assert_array_equal(alone.camera_positions_m, rooms()[5].camera_positions_m)
    for a, b in zip(alone.objects, rooms()[5].objects, strict=True):
        assert a.raw_category == b.raw_category
        np.testing.assert_array_equal(a.quads, b.quads)
        np.testing.assert_array_equal(a.color, b.color)


def test_objects_have_the_types_that_the_scanner_expects() -> None:
    for room in rooms():
        for thing in room.objects:
            assert thing.quads.dtype == np.float32
            assert thing.quads.shape[1:] == (4, 3)
            assert thing.color.dtype == np.uint8
            assert thing.color.shape == (len(thing.quads), 3)
            assert len(thing.quads) > 0
            assert np.isfinite(thing.quads).all()
            assert thing.texture in TEXTURES


def test_everything_lies_inside_the_room_but_for_recesses_a_hand_deep() -> None:
    for room in rooms():
        for thing in room.objects:
            low, high = bounds(thing)
            assert (low > [-0.25, -0.25, -0.02]).all(), thing.raw_category
            assert (high - room.size_m < [0.25, 0.25, 0.02]).all(), thing.raw_category


def test_what_stands_has_the_floor_or_something_else_under_it() -> None:
    for room in rooms():
        for thing in room.objects:
            name = class_names().get(thing.raw_id)
            recipes = catalogue().get(name or "", ())
            if not recipes or recipes[0].spots[0] == "opening" or any(r.mount != "stand" for r in recipes):
                continue
            low = bounds(thing)[0][2]
            below = [
                other
                for other in room.objects
                if other is not thing
                and (overlap(thing, other)[:2] > 0).all()
                and np.abs(other.quads[..., 2] - low).min() < 0.06
            ]
            assert abs(low) < 0.02 or below, (thing.raw_category, low)


def test_large_furniture_does_not_interpenetrate() -> None:
    large = ("bed", "wardrobe", "couch", "dresser", "bookshelf", "refrigerator", "piano", "copier", "bathtub")
    ids = {class_ids()[name] for name in large}
    for room in rooms():
        things = [thing for thing in room.objects if thing.raw_id in ids]
        for i, a in enumerate(things):
            for b in things[:i]:
                assert overlap(a, b).min() < 0.03, (a.raw_category, b.raw_category)


def test_nearly_everything_that_a_plan_asks_for_is_there() -> None:
    wanted = found = 0
    for i, room in enumerate(rooms()):
        for raw_id, count in sampler().scene(i).counts.items():
            wanted += count
            found += min(count, sum(thing.raw_id == raw_id for thing in room.objects))
    assert found > 0.95 * wanted


def test_about_a_fifth_of_the_surface_is_not_annotated() -> None:
    area = {True: 0.0, False: 0.0}
    for room in rooms():
        for thing in room.objects:
            q = thing.quads.astype(float)
            cross = np.cross(q[:, 2] - q[:, 0], q[:, 3] - q[:, 1])
            area[thing.annotated] += np.linalg.norm(cross, axis=1).sum() / 2
    assert 0.7 < area[True] / (area[True] + area[False]) < 0.9


def test_categories_lead_to_the_class_or_to_none() -> None:
    kinds = {"class": 0, "no class": 0, "not annotated": 0}
    for thing in (thing for room in rooms() for thing in room.objects):
        if not thing.annotated:
            assert (thing.raw_id, thing.raw_category) == (0, "")
            kinds["not annotated"] += 1
        elif thing.raw_id:
            assert ways_to_class()[thing.raw_category] == thing.raw_id
            kinds["class"] += 1
        else:
            assert ways_to_class()[thing.raw_category] not in class_names()
            kinds["no class"] += 1
    assert min(kinds.values()) > 0


def test_a_person_stood_on_free_floor_in_every_room() -> None:
    for room in rooms():
        cameras = room.camera_positions_m
        assert len(cameras) >= 3
        assert (cameras[:, :2] > 0.3).all()
        assert (cameras[:, :2] < room.size_m[:2] - 0.3).all()
        assert (cameras[:, 2] >= 1.4).all()
        assert (cameras[:, 2] <= 1.8).all()


def test_chairs_stand_around_the_table_and_face_it() -> None:
    room = make_room(np.random.default_rng(0), plan("conference", wall=4, floor=1, table=1, chair=2))
    low, high = bounds(of_class(room, "table")[0])
    for chair in of_class(room, "chair"):
        a, b = bounds(chair)
        gap = np.maximum(np.maximum(low[:2] - b[:2], a[:2] - high[:2]), 0)
        assert np.linalg.norm(gap) < 0.25


def test_a_sink_goes_into_the_hole_of_a_worktop_whose_cover_is_gone() -> None:
    room = make_room(np.random.default_rng(1), plan("bathroom", wall=4, floor=1, bathroom_vanity=1, sink=1))
    sink, vanity = of_class(room, "sink")[0], of_class(room, "bathroom vanity")[0]
    (low, high), top = bounds(sink), bounds(vanity)[1][2]
    assert low[2] < top - 0.1 < high[2]
    level = vanity.quads[np.ptp(vanity.quads[..., 2], axis=1) < 1e-3].mean(axis=1)
    middle = (low + high)[:2] / 2
    over = np.linalg.norm(level[:, :2] - middle, axis=1) < 0.1
    assert not (over & (level[:, 2] > low[2] + 0.05)).any()


def test_doors_and_windows_are_holes_in_the_wall() -> None:
    room = make_room(np.random.default_rng(2), plan("office", wall=4, floor=1, door=1, doorframe=1, window=1))
    standing = [
        q for thing in room.objects for q in thing.quads if np.ptp(q[:, 2]) > 0.01 and len(thing.quads) < 9
    ]
    for name in ("doorframe", "window"):
        low, high = bounds(of_class(room, name)[0])
        middle = (low + high) / 2
        flat = int(np.argmin(high - low))
        across = [
            q
            for q in standing
            if (np.delete(q.min(axis=0) < middle, flat)).all()
            and (np.delete(q.max(axis=0) > middle, flat)).all()
            and np.abs(q[:, flat] - np.round(middle[flat] / room.size_m[flat]) * room.size_m[flat]).max()
            < 0.01
        ]
        assert not across, name


def test_pictures_hang_on_a_wall() -> None:
    room = make_room(np.random.default_rng(3), plan("lounge", wall=4, floor=1, picture=3))
    assert len(of_class(room, "picture")) == 3
    for picture in of_class(room, "picture"):
        low, high = bounds(picture)
        assert min(*low[:2], *(room.size_m[:2] - high[:2])) < 0.02 or len(of_class(room, "wall")) > 4
        assert low[2] > 1.0


def test_the_kind_can_be_overridden_and_must_exist() -> None:
    room = make_room(np.random.default_rng(0), plan("gym", wall=4, floor=1), kind="kitchen")
    assert room.kind == KINDS["kitchen"].scene_type
    with pytest.raises(ValueError, match="garden"):
        make_room(np.random.default_rng(0), plan("garden", wall=4, floor=1))


def test_a_raw_id_outside_the_200_is_refused() -> None:
    with pytest.raises(ValueError, match="99999"):
        make_room(np.random.default_rng(0), ScenePlan("office", {99999: 1}))
