"""Configuration: bases, differences, overrides and messages that help."""

from pathlib import Path
from typing import Annotated, Literal

import pytest
from pydantic import Field

from pointseg.config import Config, ConfigError, dump_config, load_config, merge


class Optimizer(Config):
    type: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float | None = None


class Settings(Config):
    name: str = "x"
    optimizer: Optimizer = Optimizer()
    steps: tuple[int, ...] = ()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_states_only_its_difference_to_its_base(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: b\noptimizer: {lr: 0.5}\nsteps: [1]\n")
    path = write(tmp_path / "sub" / "own.yaml", "base: ../base.yaml\nsteps: [2, 3]\n")
    settings = load_config(Settings, path)
    assert (settings.name, settings.optimizer.lr, settings.steps) == ("b", 0.5, (2, 3))


def test_later_bases_win_over_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "name: a\nsteps: [1]")
    write(tmp_path / "b.yaml", "name: b")
    settings = load_config(Settings, write(tmp_path / "c.yaml", "base: [a.yaml, b.yaml]"))
    assert (settings.name, settings.steps) == ("b", (1,))


def test_another_type_leaves_the_options_of_the_old_one_behind() -> None:
    base = {"optimizer": {"type": "sgd", "momentum": 0.9}}
    assert merge(base, {"optimizer": {"type": "adamw"}}) == {"optimizer": {"type": "adamw"}}


def test_null_goes_back_to_the_default() -> None:
    assert merge({"a": 1, "b": 2}, {"a": None}) == {"b": 2}


@pytest.mark.parametrize(
    ("override", "lr"), [("optimizer.lr=0.2", 0.2), ("optimizer.lr=1e-3", 0.001), ("optimizer={lr: 3}", 3.0)]
)
def test_overrides_are_yaml(override: str, lr: float) -> None:
    assert load_config(Settings, None, [override]).optimizer.lr == lr


def test_an_override_can_reach_into_a_list() -> None:
    assert load_config(Settings, None, ["steps.1=9"], data={"steps": [1, 2]}).steps == (1, 9)


def test_a_misspelt_key_is_answered_with_the_nearest_one() -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'optimizer\.lrr'; did you mean 'lr'"):
        load_config(Settings, None, ["optimizer.lrr=0.2"])


def test_the_type_of_an_option_is_no_part_of_its_key() -> None:
    class Sgd(Config):
        type: Literal["sgd"] = "sgd"
        lr: float = 0.1

    class Adam(Config):
        type: Literal["adam"] = "adam"
        lr: float = 0.1

    class Choice(Config):
        optimizers: list[Annotated[Sgd | Adam, Field(discriminator="type")]]

    with pytest.raises(ConfigError, match=r"unknown key 'optimizers\.0\.lrr'; did you mean 'lr'"):
        load_config(Choice, None, data={"optimizers": [{"type": "adam", "lrr": 1}]})


def test_a_value_of_the_wrong_kind_names_its_key() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr: .*got 'fast'"):
        load_config(Settings, None, ["optimizer.lr=fast"])


def test_nan_is_no_setting() -> None:
    with pytest.raises(ConfigError, match=r"optimizer\.lr"):
        load_config(Settings, None, ["optimizer.lr=.nan"])


def test_bases_in_a_circle_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "base: b.yaml")
    path = write(tmp_path / "b.yaml", "base: a.yaml")
    with pytest.raises(ConfigError, match="circle"):
        load_config(Settings, path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"gone\.yaml: no such"):
        load_config(Settings, tmp_path / "gone.yaml")


def test_yaml_cannot_run_code(tmp_path: Path) -> None:
    path = write(tmp_path / "evil.yaml", "name: !!python/object/apply:os.getcwd []")
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_config(Settings, path)


def test_what_is_dumped_loads_to_the_same_settings(tmp_path: Path) -> None:
    settings = load_config(Settings, None, ["optimizer.type=adamw", "steps=[4]"])
    assert load_config(Settings, write(tmp_path / "c.yaml", dump_config(settings))) == settings
