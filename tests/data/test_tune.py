"""The tune split is cut from the training scenes, by seed, so that both sides hold what can be shared."""

from collections.abc import Callable
from typing import Any

import pytest

from pointseg.data.tune import with_tune_split
from pointseg.experiment import Experiment


def entries(classes: dict[str, list[int]]) -> dict[str, Any]:
    made = {
        name: {"split": "train", "class_points": {str(c): 5 for c in held}} for name, held in classes.items()
    }
    return {**made, "v": {"split": "val", "class_points": {"1": 5}}}


def test_the_share_is_taken_from_the_training_scenes_and_val_stays() -> None:
    cut = with_tune_split(entries({f"t{i}": [1] for i in range(8)}), "train", 0.25, 0)
    splits = [entry["split"] for entry in cut.values()]
    assert (splits.count("train"), splits.count("tune"), splits.count("val")) == (6, 2, 1)


def test_the_same_seed_cuts_the_same_and_another_seed_another() -> None:
    given = entries({f"t{i}": [1] for i in range(20)})
    first, again, other = (with_tune_split(given, "train", 0.5, seed) for seed in (0, 0, 1))
    assert first == again != other


def test_a_class_in_two_scenes_is_on_both_sides() -> None:
    # Of the 45 pairs of ten scenes only a few divide both rare classes.
    given = entries({**{f"t{i}": [1] for i in range(6)}, "x": [1, 2], "y": [1, 2], "p": [1, 3], "q": [1, 3]})
    for seed in range(5):
        cut = with_tune_split(given, "train", 0.2, seed)
        apart = {name for name, entry in cut.items() if entry["split"] == "tune"}
        assert len(apart & {"x", "y"}) == 1 and len(apart & {"p", "q"}) == 1


def test_one_scene_stays_and_one_is_set_apart_at_least() -> None:
    for share in (0.01, 0.99):
        cut = with_tune_split(entries({"a": [1], "b": [1]}), "train", share, 0)
        assert sorted(entry["split"] for entry in cut.values()) == ["train", "tune", "val"]


@pytest.mark.parametrize("names", [["a"], []])
def test_fewer_than_two_scenes_cannot_be_divided(names: list[str]) -> None:
    with pytest.raises(ValueError, match="two to set one apart"):
        with_tune_split(entries({name: [1] for name in names}), "train", 0.5, 0)


def test_an_experiment_on_a_tune_split_never_opens_a_scene_of_val(
    tiny_experiment: Callable[..., Experiment],
) -> None:
    data = tiny_experiment("data.tune_share=0.4", "data.val_split=tune").data
    source = data.open()
    train, tune = source.scene_names("train"), source.scene_names("tune")
    assert len(train) == 3 and len(tune) == 2 and not set(train) & set(tune)
    assert all(name.startswith("train") for name in (*train, *tune))
    assert source.class_statistics("train").num_samples == 3
