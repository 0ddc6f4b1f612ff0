"""The Experiment model: every shipped recipe goes with every method, and mistakes are named."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pointseg.config import ConfigError, dump_config, load_config
from pointseg.config.shipped import METHODS, describe, shipped
from pointseg.experiment import (
    BACKBONES,
    DATASETS,
    HEADS,
    LOSSES,
    OPTIMIZERS,
    SCHEDULES,
    Experiment,
    load_experiment,
)
from pointseg.images.dataset import ImageData
from pointseg.images.layouts import LAYOUTS
from pointseg.losses.cross_entropy import PowerWeights
from pointseg.models.minkunet import MinkUNetConfig

SMALLEST: dict[str, Any] = {"data": {"path": "store"}, "train": {"steps": 1}}
RECIPE_NAMES, METHOD_NAMES = list(shipped("recipe")), list(shipped("method"))


def experiment(*overrides: str) -> Experiment:
    return load_config(Experiment, None, overrides, data=SMALLEST)


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def types(chosen: Experiment) -> dict[str, str]:
    """Name of each loss -> its type."""
    return {name: loss.type for name, loss in chosen.losses.items()}  # type: ignore[attr-defined]


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_a_shipped_recipe_loads_survives_a_round_trip_and_has_its_name(recipe: str, tmp_path: Path) -> None:
    loaded = load_experiment(recipe)
    assert loaded.name == recipe
    assert load_experiment(write(tmp_path / "config.yaml", dump_config(loaded))) == loaded


def needs(method: str) -> list[str]:
    """What has to be typed with a method."""
    return ["train.init_from=RUN"] if method == "crt" else []


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_every_recipe_goes_with_every_method(recipe: str, method: str) -> None:
    if method == "paste" and isinstance(load_experiment(recipe).data, ImageData):
        # Objects are pasted into scans, not into photographs.
        with pytest.raises(ConfigError, match=r"'data\.paste'; it is an option of type store, not of images"):
            load_experiment(recipe, methods=method)
        return
    if method == "crt":
        # It trains a classifier on the features of another run, and says so.
        with pytest.raises(ConfigError, match=r"set train\.init_from=RUN"):
            load_experiment(recipe, methods=method)
    loaded = load_experiment(recipe, methods=[method], overrides=needs(method))
    assert loaded.name == f"{recipe}+{method}"


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_recipe_with_a_method_survives_a_round_trip(method: str, tmp_path: Path) -> None:
    loaded = load_experiment("synthetic/minkunet", methods=[method], overrides=needs(method))
    assert load_experiment(write(tmp_path / "config.yaml", dump_config(loaded))) == loaded


@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_method_changes_the_same_settings_in_every_recipe(method: str) -> None:
    """Its file says all of the difference to the recipe, and nothing of the recipe."""
    changed = []
    for recipe in ("scannet200/spunet", "scannet200/lground", "synthetic/minkunet", "lidarhd/minkunet"):
        plain = load_experiment(recipe, overrides=needs(method))
        other = load_experiment(recipe, methods=method, overrides=needs(method))
        changed.append(
            {name for name in Experiment.model_fields if getattr(plain, name) != getattr(other, name)}
        )
    assert all(one == changed[0] for one in changed)
    # Cross entropy is what these recipes have: the method only says so.
    assert changed[0] - {"name"} or method == "cross_entropy"
    assert changed[0] <= {"name", "head", "losses", "data", "evaluate", "train"}


@pytest.mark.parametrize(
    "losses", ["", "losses: {ce: {type: cross_entropy}}", "losses: {main: {type: focal}}"]
)
@pytest.mark.parametrize("method", METHOD_NAMES)
def test_a_method_gives_the_same_losses_whatever_the_recipe_calls_its_own(
    losses: str, method: str, tmp_path: Path
) -> None:
    """A recipe that says nothing, one with a name of its own, and one with another loss, which goes."""
    recipe = write(tmp_path / "mine.yaml", f"data: {{path: store}}\ntrain: {{steps: 1}}\n{losses}\n")
    mine, plain = (
        load_experiment(recipe, methods=method, overrides=needs(method)),
        load_experiment("synthetic/minkunet", methods=method, overrides=needs(method)),
    )
    if "main" in yaml.safe_load(METHODS.joinpath(f"{method}.yaml").read_text()).get("losses", {}):
        assert mine.losses == plain.losses
    else:
        assert set(types(mine).values()) >= set(types(plain).values()) - {"cross_entropy"}
        assert sum(loss.trains_classifier for loss in mine.losses.values()) == sum(
            loss.trains_classifier for loss in plain.losses.values()
        )


@pytest.mark.parametrize("folder", ["", "methods/"])
@pytest.mark.parametrize("suffix", ["", ".yaml"])
def test_a_file_may_name_shipped_recipes_and_methods_as_its_base(
    folder: str, suffix: str, tmp_path: Path
) -> None:
    mine = write(tmp_path / "mine.yaml", "data: {path: store}\ntrain: {steps: 1}\n")
    both = write(tmp_path / "both.yaml", f"base: [mine.yaml, {folder}ceco{suffix}, {folder}lovasz{suffix}]\n")
    assert types(load_experiment(both)) == {"main": "cross_entropy", "center": "ceco", "lovasz": "lovasz"}
    assert types(load_experiment(mine, methods=["ceco", "lovasz"])) == types(load_experiment(both))
    demo = write(tmp_path / "demo.yaml", "base: synthetic/demo\nname: own\n")
    assert load_experiment(demo).model_copy(update={"name": "x"}) == load_experiment(
        "synthetic/demo", overrides=["name=x"]
    )


def test_the_first_recipe_of_scannet200_is_cross_entropy_with_lovasz_and_nothing_else_changes() -> None:
    plain, both = (load_experiment(f"scannet200/{name}") for name in ("spunet", "spunet_lovasz"))
    assert types(plain) == {"main": "cross_entropy"}
    assert types(both) == {"main": "cross_entropy", "lovasz": "lovasz"}
    assert [loss.weight for loss in both.losses.values()] == [1.0, 1.0]
    assert both.model_copy(update={"losses": plain.losses, "name": plain.name}) == plain
    replaced = load_experiment("scannet200/spunet_lovasz", methods=["pat"])
    assert types(replaced) == {"main": "pat", "lovasz": "lovasz"}
    without = load_experiment("scannet200/spunet_lovasz", methods=["pat"], overrides=["losses.lovasz=null"])
    assert types(without) == {"main": "pat"}


def test_methods_compose() -> None:
    both = load_experiment("synthetic/demo", methods=["pat", "dropclass"])
    assert both == load_experiment(
        "synthetic/demo", methods=["pat_dropclass"], overrides=[f"name={both.name}"]
    )
    weighted = load_experiment("synthetic/demo", methods=["weighted", "ceco", "lovasz"]).losses["main"]
    assert weighted.class_weights == PowerWeights(power=-0.5)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (("pat", "tilted"), "pat sets losses.main.type to 'pat', tilted to 'tilted'"),
        (("weighted", "class_balanced"), "losses.main.class_weights"),
        (("ldam_drw", "dropclass"), "head.type"),
        (("ceco", "dropclass", "seesaw"), "methods dropclass and seesaw do not go together"),
    ],
)
def test_methods_that_undo_one_another_are_refused(methods: tuple[str, ...], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_experiment("synthetic/demo", methods=methods)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("recipe", "methods", "message"),
    [
        ("synthetic/demoo", (), "no such recipe; did you mean 'synthetic/demo'?"),
        ("spunet", (), "did you mean 'scannet200/spunet'?"),
        (
            "configs/scannet200/spunet_recipe.yaml",
            (),
            "no such configuration file; did you mean 'scannet200/spunet'",
        ),
        ("ceco", (), "ceco is a method, not a recipe; lay it over a recipe with --method ceco"),
        ("synthetic/demo", ("cecoo",), "no such method; did you mean 'ceco'?"),
        ("synthetic/demo", ("scannet200/spunet",), "is a recipe, not a method"),
        ("tests", (), "tests is a folder"),
    ],
)
def test_a_misspelt_recipe_or_method_is_answered(
    recipe: str, methods: tuple[str, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(Path(__file__).parents[1])
    with pytest.raises(ConfigError) as caught:
        load_experiment(recipe, methods=methods)
    assert message in str(caught.value)


def test_a_folder_with_a_configuration_is_no_recipe_but_its_file_is_named(tmp_path: Path) -> None:
    write(tmp_path / "config.yaml", "")
    with pytest.raises(ConfigError, match=r"is a folder; did you mean .*config\.yaml"):
        load_experiment(tmp_path)


def test_every_layout_of_images_has_a_recipe() -> None:
    data = [load_experiment(recipe).data for recipe in RECIPE_NAMES]
    assert {one.layout for one in data if isinstance(one, ImageData)} == set(LAYOUTS)


@pytest.mark.parametrize(
    "path", [*shipped("recipe").values(), *shipped("method").values()], ids=lambda p: p.stem
)
def test_a_shipped_file_says_in_a_line_what_it_is(path: Path) -> None:
    assert 10 < len(describe(path)) <= 130 and describe(path)[-1] == "."


@pytest.mark.parametrize("recipe", RECIPE_NAMES)
def test_the_command_in_a_recipe_is_its_own(recipe: str) -> None:
    commands = [
        line
        for line in shipped("recipe")[recipe].read_text(encoding="utf-8").splitlines()
        if "pointseg train" in line
    ]
    assert all(f"pointseg train {recipe} --out " in command for command in commands)


def test_every_loss_and_head_is_in_some_method() -> None:
    used = [
        load_experiment("synthetic/minkunet", methods=method, overrides=needs(method))
        for method in METHOD_NAMES
    ]
    losses = (loss for chosen in used for loss in (chosen.losses | chosen.extra_losses).values())
    assert {loss.type for loss in losses} == set(LOSSES)  # type: ignore[attr-defined]
    assert {chosen.head.type for chosen in used} == set(HEADS)  # type: ignore[attr-defined]


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
        ("schedule={type: onecicle}", "schedule.type: there is no 'onecicle'; did you mean 'onecycle'?"),
        ("optimizer={type: adamv}", "did you mean 'adamw'?"),
        ("losses.main.type=focall", "losses.main.type: there is no 'focall'; did you mean 'focal'?"),
        ("head.type=liner", "did you mean 'linear'?"),
        ("model.type=minkunett", "did you mean 'minkunet'?"),
        ("optimizer={type: sgd, betas: [0.9, 0.9]}", "'optimizer.betas'; it is an option of type adamw"),
        ("train.steps=null", "exactly one of train.steps and train.epochs"),
        ("losses.main=null", "none is left"),
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
    both = experiment("losses.second={type: cross_entropy, weight: 0.5, label_smoothing: 0.1}").losses
    assert {name: loss.weight for name, loss in both.items()} == {"main": 1.0, "second": 0.5}


@pytest.mark.parametrize(
    "overrides",
    [["optimizer={type: sgd, momentum: 0.5}", "optimizer={type: adamw}"], ["optimizer.type=adamw"]],
)
def test_another_type_starts_with_its_own_options(overrides: list[str]) -> None:
    chosen = load_experiment("scannet200/spunet", overrides=overrides).optimizer
    assert chosen == load_config(Experiment, None, ["optimizer={type: adamw}"], data=SMALLEST).optimizer


@pytest.mark.parametrize("order", [1, -1])
def test_options_given_beside_another_type_are_kept_in_any_order(order: int) -> None:
    overrides = ["optimizer.type=adamw", "optimizer.lr=0.004"][::order]
    assert load_experiment("scannet200/spunet", overrides=overrides).optimizer.lr == 0.004


@pytest.mark.parametrize(
    ("override", "type_"),
    [
        ("schedule.type=poly", "poly"),
        ("losses.main.type=focal", "focal"),
        ("head.type=cosine", "cosine"),
        ("model.type=image_unet", "image_unet"),
    ],
)
def test_a_type_can_be_changed_alone(override: str, type_: str, tmp_path: Path) -> None:
    recipe = "ccp59/unet" if type_ == "image_unet" else "synthetic/demo"
    dumped = write(tmp_path / "config.yaml", dump_config(load_experiment(recipe)))
    loaded = load_experiment(dumped, overrides=[override])
    section = loaded.losses["main"] if type_ == "focal" else getattr(loaded, override.partition(".")[0])
    assert section.type == type_


def test_a_type_that_was_left_out_can_be_changed_too(tmp_path: Path) -> None:
    text = "data: {path: x, voxel_size_m: 0.1}\nmodel: {variant: 34C}\ntrain: {steps: 1}\n"
    overrides = ["model.type=image_unet", "data={type: images, layout: folder, path: y}"]
    loaded = load_experiment(write(tmp_path / "a.yaml", text), overrides=overrides)
    assert (loaded.model.type, loaded.data.kind) == ("image_unet", "images")  # type: ignore[attr-defined]


def test_null_over_a_dumped_configuration_is_none(tmp_path: Path) -> None:
    dumped = write(tmp_path / "config.yaml", dump_config(load_experiment("synthetic/demo")))
    loaded = load_experiment(dumped, overrides=["data.val_split=null", "train.clip_norm=null"])
    assert loaded.data.val_split is None and loaded.train.clip_norm is None


def test_steps_and_epochs_take_one_another_s_place(tmp_path: Path) -> None:
    by_epochs = load_experiment("scannet200/spunet", overrides=["train.steps=100"]).train
    assert (by_epochs.steps, by_epochs.epochs) == (100, None)
    dumped = write(tmp_path / "config.yaml", dump_config(load_experiment("synthetic/demo")))
    by_steps = load_experiment(dumped, overrides=["train.epochs=3"]).train
    assert (by_steps.steps, by_steps.epochs) == (None, 3)


def test_steps_and_epochs_in_one_file_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "data: {path: x}\ntrain: {steps: 1, epochs: 2}\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: train: give exactly one of steps and epochs"):
        load_experiment(path)


def test_losses_that_do_not_train_the_classifier_come_on_top_of_the_default() -> None:
    assert types(experiment("losses.center={type: ceco}")) == {"main": "cross_entropy", "center": "ceco"}
    alone = load_config(Experiment, None, data={**SMALLEST, "losses": {"center": {"type": "ceco"}}})
    assert types(alone) == {"main": "cross_entropy", "center": "ceco"}


def test_the_losses_of_a_recipe_are_all_there_is_where_one_trains_the_classifier() -> None:
    alone = load_config(Experiment, None, data={**SMALLEST, "losses": {"dice": {"type": "dice"}}})
    assert types(alone) == {"dice": "dice"}


def test_an_experiment_is_shown_in_a_line() -> None:
    text = "Experiment('synthetic/demo+ceco': scans in demo/store, losses main + center)"
    assert repr(load_experiment("synthetic/demo", methods="ceco")) == text


@pytest.mark.parametrize(
    ("recipe", "widen", "eps", "momentum"),
    [("spunet", "strided", 1e-3, 0.01), ("minkunet34c", "block", 1e-5, 0.1)],
)
def test_a_recipe_trains_the_network_that_it_is_named_for(
    recipe: str, widen: str, eps: float, momentum: float
) -> None:
    model = load_experiment(f"scannet200/{recipe}").model
    assert isinstance(model, MinkUNetConfig)
    options = model.resolved()
    assert options["widths"] == (32, 64, 128, 256, 256, 128, 96, 96)
    assert options["blocks"] == (2, 3, 4, 6, 2, 2, 2, 2) and options["stem_kernel"] == 5
    assert (options["widen"], options["bn_eps"], options["bn_momentum"]) == (widen, eps, momentum)
