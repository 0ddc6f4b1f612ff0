"""Every class can be built, looks like a thing of its size, and has words and a place."""

import numpy as np
import pytest

from pointseg.core.labels import load_label_space
from pointseg.synthetic.catalogue import SHELL, THEMES, catalogue
from pointseg.synthetic.categories import (
    UNLISTED,
    class_ids,
    instances_per_scene,
    raw_category,
    ways_to_class,
)
from pointseg.synthetic.draw import Draw
from pointseg.synthetic.kinds import KINDS
from pointseg.synthetic.model import TEXTURES
from pointseg.synthetic.recipe import Recipe
from pointseg.synthetic.shapes import Shape, signed_volume

RECIPES = [recipe for theme in THEMES for recipe in theme.RECIPES]
NAMES = [f"{recipe.name}-{recipe.mount}" for recipe in RECIPES]
SPOTS = ("wall", "corner", "floor", "center", "hang", "ceiling")
SHELL_SLOTS = ("window_cover", "window_sill", "radiator", "door_side", "opening")


def build(recipe: Recipe, seed: int) -> Shape:
    return recipe.build(Draw(np.random.default_rng(seed), 2.6)).anchored(recipe.mount)


def surface(quads: np.ndarray) -> float:
    q = quads.astype(float)
    return float(np.linalg.norm(np.cross(q[:, 2] - q[:, 0], q[:, 3] - q[:, 1]), axis=1).sum() / 2)


def test_the_catalogue_and_the_shell_are_the_200_classes() -> None:
    assert sorted([*catalogue(), *SHELL]) == sorted(load_label_space("scannet200").names)


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_an_object_is_finite_closed_and_of_a_size_that_fits_a_room(recipe: Recipe) -> None:
    for seed in range(3):
        shape = build(recipe, seed)
        assert shape.quads.dtype == np.float32
        assert shape.color.dtype == np.uint8
        assert len(shape.color) == len(shape.quads) <= 500
        assert np.isfinite(shape.quads).all()
        assert 0.1 < shape.size.max() < 3.5
        assert shape.size[2] < 2.61
        # At 534 vertices a square metre even the smallest has two dozen.
        assert surface(shape.quads) > 0.045
        assert signed_volume(shape.quads) > 0


@pytest.mark.parametrize("recipe", RECIPES, ids=NAMES)
def test_an_object_is_the_same_for_the_same_seed_and_another_for_another(recipe: Recipe) -> None:
    once, again, other = build(recipe, 1), build(recipe, 1), build(recipe, 2)
    np.testing.assert_array_equal(once.quads, again.quads)
    np.testing.assert_array_equal(once.color, again.color)
    assert len(other) != len(once) or not np.array_equal(once.color, other.color)


def test_every_spot_is_a_place_in_the_room_or_a_slot_that_somebody_offers() -> None:
    offered = {slot.kind for recipe in RECIPES for seed in range(4) for slot in build(recipe, seed).slots}
    known = {*SPOTS, *SHELL_SLOTS, *offered}
    assert {spot for recipe in RECIPES for spot in recipe.spots} <= known


def test_every_slot_is_wanted_by_some_class() -> None:
    offered = {slot.kind for recipe in RECIPES for seed in range(4) for slot in build(recipe, seed).slots}
    assert offered <= {spot for recipe in RECIPES for spot in recipe.spots}


def test_rooms_and_textures_in_the_catalogue_exist() -> None:
    assert {kind for recipe in RECIPES for kind in recipe.rooms} <= set(KINDS)
    assert {texture for recipe in RECIPES for texture in recipe.textures} <= set(TEXTURES)


def test_context_decides_where_classes_are() -> None:
    def weight(name: str, kind: str) -> float:
        return catalogue()[name][0].weight(kind)

    assert weight("toilet", "bathroom") > 100 * weight("toilet", "office")
    assert weight("oven", "kitchen") > 100 * weight("oven", "bedroom")
    assert weight("keyboard", "office") > 100 * weight("keyboard", "bathroom")


def test_no_class_has_colours_of_its_own() -> None:
    """Twenty objects of a class, drawn in rooms of any style, reach into each other class's colours."""
    chair = np.concatenate([build(catalogue()["chair"][0], s).color for s in range(20)]).astype(int)
    for name in ("couch", "cabinet", "bag", "monitor", "picture"):
        other = np.concatenate([build(catalogue()[name][0], s).color for s in range(20)]).astype(int)
        distance = np.abs(chair[:, None] - other[None]).sum(axis=2).min(axis=1)
        assert np.median(distance) < 40, name


def test_raw_categories_lead_to_their_class_and_synonyms_occur() -> None:
    rng = np.random.default_rng(0)
    for raw_id in class_ids().values():
        assert ways_to_class()[raw_category(raw_id, rng)] == raw_id
    assert {raw_category(63, rng) for _ in range(200)} == {"shoe", "shoes"}


def test_unlisted_categories_are_in_the_table_and_lead_to_no_class() -> None:
    assert all(word in ways_to_class() for word in UNLISTED)
    assert not {ways_to_class()[word] for word in UNLISTED} & set(class_ids().values())
    assert set(UNLISTED.values()) <= set(catalogue())


def test_real_frequencies_are_those_of_the_shipped_table() -> None:
    assert instances_per_scene()[2] == pytest.approx(4681 / 1513)
