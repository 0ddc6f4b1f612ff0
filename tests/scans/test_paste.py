"""Objects of rare classes, pasted onto the floor of other scenes."""

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.data.reader import SceneReader
from pointseg.scans.paste import InstancePaster, PasteConfig, floor_vertices, join, turn
from pointseg.scans.store import Store, StoreWriter

FLOOR, LAMP, VASE = 1, 20, 30
SPACE = LabelSpace(
    "three", (FLOOR, LAMP, VASE), ("floor", "lamp", "vase"), ("head", "common", "tail"), distinct_colors(3)
)


def room(name: str, *, vase: bool, floor_z: float = 0.0, bare: bool = False) -> Scene:
    """A floor of 4 m x 4 m at ``floor_z``, and perhaps a vase of 40 cm floating at 1 m."""
    grid = np.stack(np.meshgrid(np.linspace(0, 4, 41), np.linspace(0, 4, 41)), -1).reshape(-1, 2)
    floor = np.column_stack([grid, np.full(len(grid), floor_z)])
    rng = np.random.default_rng(3)
    column = rng.uniform([1.8, 1.9, 1.0], [2.0, 2.2, 1.4], (60, 3)) if vase else np.zeros((0, 3))
    xyz_m = np.concatenate([floor, column]).astype(np.float32)
    count = len(xyz_m)
    label = np.repeat(np.array([FLOOR, VASE], np.int32), [len(floor), len(column)])
    normal = np.tile(np.array([[1, 0, 0]], np.float32), (count, 1))
    instance = np.where(label == VASE, 4, -1).astype(np.int32)
    if bare:
        return Scene(name, xyz_m, raw_label=label)
    return Scene(name, xyz_m, np.full((count, 3), 9, np.uint8), normal, label, instance)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A donor with a vase, and two rooms without one, the second 2 m higher and without colours."""
    writer = StoreWriter(tmp_path / "store", SPACE, options={})
    writer.add(room("donor", vase=True), "train")
    writer.add(room("empty", vase=False), "train")
    writer.add(room("upstairs", vase=False, floor_z=2.0, bare=True), "train")
    writer.finish()
    return Store.open(tmp_path / "store")


def paster(store: Store, **options: Any) -> InstancePaster:
    config = PasteConfig(**{"p": 1.0, "max_objects": 1, **options})
    return InstancePaster(store, ["donor", "empty", "upstairs"], config)


def pasted(scene: Scene, before: Scene) -> np.ndarray[Any, Any]:
    return np.asarray(scene.xyz_m[before.num_vertices :])


def test_the_object_stands_on_the_floor_with_its_label_and_shape(store: Store) -> None:
    before = store.load("empty")
    after = paster(store)(before, 0)
    vase = pasted(after, before)
    assert after.raw_label is not None and set(after.raw_label[before.num_vertices :]) == {VASE}
    assert vase.shape == (60, 3) and vase[:, 2].min() == pytest.approx(0.0, abs=1e-6)
    original = store.load("donor").xyz_m[-60:]
    np.testing.assert_allclose(np.ptp(vase[:, 2]), np.ptp(original[:, 2]), atol=1e-6)
    # Turned and moved as a whole: all distances are kept.
    np.testing.assert_allclose(
        np.linalg.norm(vase[:, None] - vase, axis=2),
        np.linalg.norm(original[:, None] - original, axis=2),
        atol=1e-5,
    )


def test_the_scene_itself_stays_in_front_and_as_it_was(store: Store) -> None:
    before = store.load("empty")
    after = paster(store)(before, 0)
    for array in ("xyz_m", "rgb", "normal", "raw_label"):
        np.testing.assert_array_equal(getattr(after, array)[: before.num_vertices], getattr(before, array))


def test_the_floor_of_the_scene_decides_the_height_and_its_arrays_what_is_kept(store: Store) -> None:
    before = store.load("upstairs")
    after = paster(store)(before, 0)
    assert pasted(after, before)[:, 2].min() == pytest.approx(2.0)
    assert after.rgb is None and after.normal is None and after.instance is None


def test_one_key_gives_one_scene_in_any_process(store: Store) -> None:
    make, before = paster(store), store.load("empty")
    elsewhere = pickle.loads(pickle.dumps(make))
    np.testing.assert_array_equal(make(before, 3, 1).xyz_m, elsewhere(before, 3, 1).xyz_m)
    assert not np.array_equal(make(before, 3, 1).xyz_m, make(before, 3, 2).xyz_m)


def test_a_place_that_is_taken_is_not_used(store: Store) -> None:
    before = store.load("empty")
    full = np.random.default_rng(0).uniform([-1, -1, 0], [5, 5, 1], (20_000, 3)).astype(np.float32)
    colors, labels = np.zeros((20_000, 3), np.uint8), np.zeros(20_000, np.int32)
    crowded = join(before, Scene("air", full, colors, full, labels))
    assert paster(store)(crowded, 0).num_vertices == crowded.num_vertices
    assert paster(store, max_overlap=1e6)(crowded, 0).num_vertices == crowded.num_vertices + 60


def test_objects_do_not_stand_in_each_other(store: Store) -> None:
    before = store.load("empty")
    after = paster(store, max_objects=8, max_overlap=0.0)(before, 5)
    boxes = pasted(after, before).reshape(-1, 60, 3)
    assert len(boxes) > 2
    low, high = boxes.min(1), boxes.max(1)
    for i in range(len(boxes)):
        for j in range(i):
            inside = ((boxes[j] >= low[i] + [0, 0, 0.1]) & (boxes[j] <= high[i])).all(1)
            assert not inside.any()


def test_a_scene_gives_nothing_to_itself_and_small_objects_stay(store: Store) -> None:
    donor, empty = store.load("donor"), store.load("empty")
    assert paster(store)(donor, 0).num_vertices == donor.num_vertices
    assert paster(store, min_points=61)(empty, 0).num_vertices == empty.num_vertices


def test_probability_zero_gives_the_scene_itself(store: Store) -> None:
    scene = store.load("empty")
    assert paster(store, p=0.0)(scene, 0) is scene


def test_turning_takes_normals_along() -> None:
    scene = Scene("one", np.array([[2, 0, 5]], np.float32), normal=np.array([[0, 1, 0]], np.float32))
    turned = turn(scene, np.pi / 2)
    assert turned.normal is not None
    np.testing.assert_allclose(turned.xyz_m, [[0, 2, 5]], atol=1e-6)
    np.testing.assert_allclose(turned.normal, [[-1, 0, 0]], atol=1e-6)


def test_without_a_labelled_floor_the_lowest_vertices_are_it() -> None:
    xyz_m = np.zeros((100, 3), np.float32)
    xyz_m[:, 2] = np.linspace(0, 3, 100)
    assert floor_vertices(Scene("ramp", xyz_m), [FLOOR]).tolist() == [0, 1, 2, 3]


def test_the_reader_pastes_with_the_number_of_the_batch(store: Store) -> None:
    names = ["donor", "empty", "upstairs"]
    reader = SceneReader(store, names, paster(store))
    (scene,) = reader[(7, (1,))].scenes
    np.testing.assert_array_equal(scene.xyz_m, paster(store)(store.load("empty"), 7, 0).xyz_m)


@pytest.mark.parametrize(
    ("classes", "message"),
    [(("vse",), "no class 'vse'; did you mean 'vase'"), (("lamp",), "no training scene .* objects")],
)
def test_classes_that_cannot_be_pasted_are_refused(
    store: Store, classes: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        paster(store, classes=classes)


def test_a_label_set_without_a_tail_needs_names(tmp_path: Path) -> None:
    space = LabelSpace("flat", (FLOOR, VASE), ("floor", "vase"), ("", ""), distinct_colors(2))
    writer = StoreWriter(tmp_path / "store", space, options={})
    writer.add(room("donor", vase=True), "train")
    writer.finish()
    store = Store.open(tmp_path / "store")
    with pytest.raises(ValueError, match="no tail classes; name those to paste"):
        InstancePaster(store, ["donor"], PasteConfig())
    assert InstancePaster(store, ["donor"], PasteConfig(classes=("vase",))).donors == {VASE: ("donor",)}


def test_with_a_labelled_floor_only_that_is_it() -> None:
    xyz_m = np.array([[0, 0, 0], [0, 0, 0.01], [0, 0, 1]], np.float32)
    scene = Scene("s", xyz_m, raw_label=np.array([7, 3, 3], np.int32))
    assert floor_vertices(scene, [3]).tolist() == [1, 2]
    # No vertex has that label: the lowest ones.
    assert floor_vertices(scene, [9]).tolist() == [0, 1]


def test_what_lies_lower_than_ten_centimetres_is_no_obstacle(store: Store) -> None:
    before = store.load("empty")
    grid = np.stack(np.meshgrid(np.linspace(-1, 5, 61), np.linspace(-1, 5, 61)), -1).reshape(-1, 2)
    for height_m, fits in ((0.09, True), (0.11, False)):
        xyz_m = np.column_stack([grid, np.full(len(grid), height_m)]).astype(np.float32)
        colors, labels = np.zeros(xyz_m.shape, np.uint8), np.zeros(len(xyz_m), np.int32)
        carpeted = join(before, Scene("carpet", xyz_m, colors, xyz_m, labels))
        after = paster(store, max_overlap=0.0)(carpeted, 0)
        assert (after.num_vertices > carpeted.num_vertices) is fits


def test_objects_are_turned_to_any_side(store: Store) -> None:
    def heading(key: int) -> float:
        """Of the normals that pointed along x in the donor, in radians."""
        before = store.load("empty")
        normal = paster(store)(before, key).normal
        assert normal is not None and len(normal) > before.num_vertices
        x, y, _ = normal[-1]
        return float(np.arctan2(y, x)) % (2 * np.pi)

    headings = [heading(key) for key in range(40)]
    # Of 40 draws from the whole circle each quarter misses all with probability 1e-5.
    assert {int(angle // (np.pi / 2)) for angle in headings} == {0, 1, 2, 3}
