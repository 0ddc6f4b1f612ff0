"""Configuration: bases, differences, overrides and messages that help."""

from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import pytest
from pydantic import Field

from pointseg.config import Config, ConfigError, dump_config, load_config, merge
from pointseg.config.yaml_file import parse
from pointseg.experiment import load_experiment


class Optimizer(Config):
    type: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.1
    momentum: float | None = None


class Length(Config):
    rivals: ClassVar[tuple[tuple[str, ...], ...]] = (("metres", "feet"),)

    metres: float | None = None
    feet: float | None = None


class Settings(Config):
    name: str = "x"
    optimizer: Optimizer = Optimizer()
    steps: tuple[int, ...] = ()
    limit: int | None = 5
    parts: dict[str, Optimizer] = Field(default_factory=dict)
    length: Length = Length()


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def test_a_file_states_only_its_difference_to_its_base(tmp_path: Path) -> None:
    write(tmp_path / "base.yaml", "name: b\noptimizer: {lr: 0.5}\nsteps: [1]\n")
    path = write(tmp_path / "sub" / "own.yaml", "base: ../base.yaml\nsteps: [2, 3]\n")
    settings = load_config(Settings, path)
    assert (settings.name, settings.optimizer.lr, settings.steps) == ("b", 0.5, (2, 3))


def test_a_text_that_is_parsed_again_has_a_value_of_its_own() -> None:
    first, second = parse("a: {b: [1]}"), parse("a: {b: [1]}")
    first["a"]["b"].append(2)
    assert second == parse("a: {b: [1]}") == {"a": {"b": [1]}}


def test_later_bases_win_over_earlier_ones(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", "name: a\nsteps: [1]")
    write(tmp_path / "b.yaml", "name: b")
    settings = load_config(Settings, write(tmp_path / "c.yaml", "base: [a.yaml, b.yaml]"))
    assert (settings.name, settings.steps) == ("b", (1,))


def test_another_type_leaves_the_options_of_the_old_one_behind() -> None:
    base = {"optimizer": {"type": "sgd", "momentum": 0.9}}
    assert merge(base, {"optimizer": {"type": "adamw"}}) == {"optimizer": {"type": "adamw"}}


def test_null_is_none_where_a_setting_may_be_none() -> None:
    assert load_config(Settings, None, ["limit=null"], data={"limit": 3}).limit is None


def test_null_is_the_default_where_a_setting_may_not_be_none() -> None:
    assert load_config(Settings, None, ["name=null"], data={"name": "y"}).name == "x"


def test_null_takes_a_named_thing_out() -> None:
    data = {"parts": {"a": {"lr": 1}, "b": {"lr": 2}}}
    assert list(load_config(Settings, None, ["parts.a=null"], data=data).parts) == ["b"]


@pytest.mark.parametrize(
    ("override", "lr"), [("optimizer.lr=0.2", 0.2), ("optimizer.lr=1e-3", 0.001), ("optimizer={lr: 3}", 3.0)]
)
def test_overrides_are_yaml(override: str, lr: float) -> None:
    assert load_config(Settings, None, [override]).optimizer.lr == lr


@pytest.mark.parametrize(
    ("data", "overrides", "steps"),
    [
        ({"steps": [1, 2]}, ["steps.1=9"], (1, 9)),
        ({}, ["steps=[1, 2]", "steps.1=9"], (1, 9)),
        ({"steps": [5, 5, 5]}, ["steps.2=9", "steps.0=7"], (7, 5, 9)),
    ],
)
def test_an_override_can_reach_into_a_list(data: dict[str, Any], overrides: list[str], steps: object) -> None:
    assert load_config(Settings, None, overrides, data=data).steps == steps


@pytest.mark.parametrize("overrides", [["steps.2=9"], ["steps=[1, 2]", "steps.2=9"]])
def test_a_position_beyond_a_list_is_refused(overrides: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"'2' is no position in a list of 2"):
        load_config(Settings, None, overrides, data={"steps": [1, 2]})


def test_of_two_overrides_of_a_key_the_last_wins() -> None:
    assert load_config(Settings, None, ["optimizer.lr=1", "optimizer={lr: 2}"]).optimizer.lr == 2
    assert load_config(Settings, None, ["optimizer={lr: 2}", "optimizer.lr=1"]).optimizer.lr == 1


@pytest.mark.parametrize("override", ["lr", "=3", "optimizer..lr=3", ".lr=3"])
def test_text_that_is_no_assignment_is_refused(override: str) -> None:
    with pytest.raises(ConfigError, match="expected key=value"):
        load_config(Settings, None, [override])


def test_of_rivals_the_later_layer_wins_and_within_a_command_the_last() -> None:
    metres = {"length": {"metres": 2.0, "feet": None}}
    assert load_config(Settings, None, ["length.feet=7"], data=metres).length == Length(feet=7)
    both = ["length.metres=1", "length.feet=7"]
    assert load_config(Settings, None, both).length == Length(feet=7)
    assert load_config(Settings, None, both[::-1], data=metres).length == Length(metres=1)


def test_rivals_in_one_file_are_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "a.yaml", "length: {metres: 1, feet: 3}")
    with pytest.raises(ConfigError, match=r"a\.yaml: length: give exactly one of metres and feet, not both"):
        load_config(Settings, path)


@pytest.mark.parametrize("text", ["name: a\noptimizer: {lr: 1}\nname: b\n", "name: a\n\n'name': b\n"])
def test_a_key_given_twice_is_an_error_with_its_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml, line 3: key 'name' is given twice, first in line 1"):
        load_config(Settings, write(tmp_path / "a.yaml", text))


def test_a_key_given_twice_inside_is_an_error_too(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"line 2: key 'lr' is given twice, first in line 2"):
        load_config(Settings, write(tmp_path / "a.yaml", "optimizer:\n  {lr: 1, lr: 2}\n"))
    with pytest.raises(ConfigError, match="key 'lr' is given twice"):
        load_config(Settings, None, ["optimizer={lr: 1, lr: 2}"])


def test_an_own_key_may_repeat_one_of_a_merge(tmp_path: Path) -> None:
    text = "parts:\n  a: &a {lr: 1, momentum: 0.5}\n  b: {<<: *a, lr: 2}\n"
    parts = load_config(Settings, write(tmp_path / "a.yaml", text)).parts
    assert (parts["b"].lr, parts["b"].momentum) == (2, 0.5)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_text_with_or_without_a_mark_is_read(encoding: str, tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("name: Äther\r\n".encode(encoding))
    assert load_config(Settings, tmp_path / "a.yaml").name == "Äther"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_text_of_windows_tools_is_refused_by_name_with_the_way_out(
    encoding: str, mark: str, tmp_path: Path
) -> None:
    (tmp_path / "a.yaml").write_bytes((mark + "name: Äther\r\n").encode(encoding))
    with pytest.raises(ConfigError, match=r"a\.yaml: expected text in UTF-8; .*Out-File -Encoding utf8"):
        load_config(Settings, tmp_path / "a.yaml")


def test_text_of_another_encoding_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes("name: Äther".encode("latin-1"))
    with pytest.raises(ConfigError, match=r"a\.yaml: not text in UTF-8"):
        load_config(Settings, tmp_path / "a.yaml")


@pytest.mark.parametrize("text", ["", "\n", "# nothing\n", "---\n"])
def test_an_empty_file_says_nothing(text: str, tmp_path: Path) -> None:
    assert load_config(Settings, write(tmp_path / "a.yaml", text)) == Settings()


@pytest.mark.parametrize("bases", ["3", "[3]", "{a: b}"])
def test_a_base_that_is_no_file_name_is_refused(bases: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="base: expected a file, or a list of files"):
        load_config(Settings, write(tmp_path / "a.yaml", f"base: {bases}"))


def test_a_mistake_names_the_file_it_is_in(tmp_path: Path) -> None:
    write(tmp_path / "low.yaml", "optimizer: {lrr: 1}")
    high = write(tmp_path / "high.yaml", "base: low.yaml\noptimizer: {lr: 2}")
    with pytest.raises(ConfigError, match=r"low\.yaml: unknown key 'optimizer\.lrr'; did you mean 'lr'"):
        load_config(Settings, high, ["name=z"])


def test_several_files_are_laid_over_one_another(tmp_path: Path) -> None:
    files = [write(tmp_path / "a.yaml", "name: a\nsteps: [1]"), write(tmp_path / "b.yaml", "name: b")]
    settings = load_config(Settings, files)
    assert (settings.name, settings.steps) == ("b", (1,))


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


def test_a_configuration_shows_what_is_not_by_default() -> None:
    experiment = load_experiment("synthetic/demo", overrides=["train.steps=7"])
    assert "steps=7" in repr(experiment.train) and "accumulate" not in repr(experiment.train)
