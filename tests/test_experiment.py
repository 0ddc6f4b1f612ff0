"""The Experiment model: every shipped configuration loads, and mistakes are named."""

from pathlib import Path
from typing import Any

import pytest

from pointseg.config import ConfigError, dump_config, load_config
from pointseg.experiment import BACKBONES, DATASETS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES, Experiment
from pointseg.images.dataset import ImageData
from pointseg.images.layouts import LAYOUTS
from pointseg.models.minkunet import MinkUNetConfig

CONFIGS = Path(__file__).parents[1] / "configs"
#: A base.yaml only holds what others share, and a method only its difference; they are no experiments.
METHODS = sorted((CONFIGS / "methods").glob("*.yaml"))
SHIPPED = sorted(
    path for path in CONFIGS.rglob("*.yaml") if path.name != "base.yaml" and path.parent.name != "methods"
)
SMALLEST: dict[str, Any] = {"data": {"path": "store"}, "train": {"steps": 1}}


def experiment(*overrides: str) -> Experiment:
    return load_config(Experiment, None, overrides, data=SMALLEST)


def test_there_are_configurations() -> None:
    assert {p.parent.name for p in SHIPPED} >= {"scannet200", "synthetic", "lidarhd", "ccp59"}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_a_shipped_configuration_loads_and_survives_a_round_trip(path: Path, tmp_path: Path) -> None:
    loaded = load_config(Experiment, path)
    written = tmp_path / "config.yaml"
    written.write_text(dump_config(loaded), encoding="utf-8")
    assert load_config(Experiment, written) == loaded


@pytest.mark.parametrize("folder", ["scannet200", "scannet200/lground", "synthetic", "images/ccp59"])
def test_every_method_has_a_configuration_for_every_data_set(folder: str) -> None:
    # Objects are pasted into scans, not into photographs.
    methods = {path.name for path in METHODS} - ({"paste.yaml"} if folder == "images/ccp59" else set())
    assert methods <= {path.name for path in (CONFIGS / folder).glob("*.yaml")}


def test_every_layout_of_images_has_a_baseline() -> None:
    paths = [path for path in SHIPPED if path.parent.parent.name == "images"]
    loaded = {path: load_config(Experiment, path) for path in paths}
    images = {path: chosen.data for path, chosen in loaded.items() if isinstance(chosen.data, ImageData)}
    assert images.keys() == loaded.keys()
    assert {data.layout for data in images.values()} == set(LAYOUTS)
    for path in paths:
        command = f"pointseg train configs/images/{path.parent.name}/{path.name} --out "
        assert path.stem != "baseline" or command in path.read_text(encoding="utf-8")


@pytest.mark.parametrize("method", METHODS, ids=lambda p: p.stem)
def test_a_method_changes_the_same_settings_in_every_recipe(method: Path) -> None:
    """Its file says all of the difference to the recipe, and nothing of the recipe."""
    recipes = {"scannet200": "baseline", "scannet200/lground": "../lground_recipe", "synthetic": "baseline"}
    changed = []
    for folder, base in recipes.items():
        plain = load_config(Experiment, CONFIGS / folder / f"{base}.yaml")
        other = load_config(Experiment, CONFIGS / folder / method.name)
        changed.append(
            {name for name in Experiment.model_fields if getattr(plain, name) != getattr(other, name)}
        )
    assert changed[0] == changed[1] == changed[2]
    assert changed[0] - {"name"} and changed[0] <= {"name", "head", "losses", "data", "evaluate"}


def test_every_loss_and_head_is_in_some_shipped_configuration() -> None:
    used = [load_config(Experiment, CONFIGS / "synthetic" / path.name) for path in METHODS]
    assert {
        loss.type for experiment in used for loss in (experiment.losses | experiment.extra_losses).values()
    } == set(LOSSES)  # type: ignore[attr-defined]
    assert {experiment.head.type for experiment in used} == set(HEADS)  # type: ignore[attr-defined]


def test_shipped_configurations_have_names_of_their_own() -> None:
    names = [load_config(Experiment, path).name for path in SHIPPED]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("table", [BACKBONES, DATASETS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES])
def test_the_key_of_a_row_is_the_type_in_yaml(table: dict[str, Any]) -> None:
    for key, model in table.items():
        assert model.model_fields["type"].default == key


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("optimizer={type: sgd, lrr: 1}", "did you mean 'lr'"),
        ("optimizer={lr: 1}", "give its type, one of sgd, adamw"),
        ("losses.main={type: cross_entropy, label_smothing: 0.1}", "did you mean 'label_smoothing'"),
        ("schedule={type: onecicle}", "onecycle"),
        ("train.epochs=3", "exactly one of train.steps and train.epochs"),
        ("losses={}", "losses"),
        ("data.features=[colour]", "color"),
        ("augment=[{type: voxelize}, {type: flip}]", "put it before 'voxelize'"),
        ("optimizer={type: sgd, nesterov: true, dampening: 0.1}", "nesterov"),
        ("train.amp=fp8", "fp16"),
        ("evaluate.views=9", "8"),
    ],
)
def test_a_mistake_is_named(override: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        experiment(override)
    assert message in str(caught.value)


def test_two_losses_can_be_of_one_type() -> None:
    both = experiment(
        "losses.cross_entropy={type: cross_entropy}",
        "losses.second={type: cross_entropy, weight: 0.5, label_smoothing: 0.1}",
    ).losses
    assert {name: loss.weight for name, loss in both.items()} == {"cross_entropy": 1.0, "second": 0.5}


def test_an_override_of_another_type_replaces_the_options_of_the_old_one() -> None:
    chosen = experiment("optimizer={type: sgd, momentum: 0.5}", "optimizer={type: adamw}").optimizer
    assert chosen.lr == 2e-3


@pytest.mark.parametrize(
    ("recipe", "widen", "eps", "momentum"),
    [("spunet_recipe", "strided", 1e-3, 0.01), ("minkunet34c_recipe", "block", 1e-5, 0.1)],
)
def test_a_recipe_trains_the_network_that_it_is_named_for(
    recipe: str, widen: str, eps: float, momentum: float
) -> None:
    model = load_config(Experiment, CONFIGS / "scannet200" / f"{recipe}.yaml").model
    assert isinstance(model, MinkUNetConfig)
    options = model.resolved()
    assert options["widths"] == (32, 64, 128, 256, 256, 128, 96, 96)
    assert options["blocks"] == (2, 3, 4, 6, 2, 2, 2, 2) and options["stem_kernel"] == 5
    assert (options["widen"], options["bn_eps"], options["bn_momentum"]) == (widen, eps, momentum)
