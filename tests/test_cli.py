"""The command line: names, the door for exceptions, and what people script against."""

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from typer.testing import CliRunner

import pointseg
from pointseg.cli import app
from pointseg.cli import training as training_verbs
from pointseg.config import dump_config
from pointseg.config.shipped import shipped
from pointseg.experiment import Experiment, load_experiment


def call(*words: str | Path) -> Any:
    return CliRunner().invoke(app, [str(word) for word in words])


def failing(monkeypatch: pytest.MonkeyPatch, error: BaseException, *options: str) -> Any:
    """`pointseg config` where reading its words ends with an exception."""

    def raise_it(words: list[str]) -> None:
        raise error

    monkeypatch.setattr(training_verbs, "recipes_and_overrides", raise_it)
    return call("config", "x", *options)


def test_the_version_is_printed() -> None:
    result = call("--version")
    assert (result.exit_code, result.stdout) == (0, f"pointseg {pointseg.__version__}\n")


def test_the_resolved_experiment_is_printed_and_loads_back(tmp_path: Path) -> None:
    result = call("config", "synthetic/demo", "--method", "ceco", "-m", "dropclass", "train.steps=3")
    assert result.exit_code == 0 and result.stderr == ""
    (tmp_path / "a.yaml").write_text(result.stdout)
    expected = load_experiment("synthetic/demo", methods=["ceco", "dropclass"], overrides=["train.steps=3"])
    assert load_experiment(tmp_path / "a.yaml") == expected
    assert yaml.safe_load(result.stdout)["train"]["steps"] == 3


def test_several_files_and_overrides_come_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "lr=3").mkdir()
    over = tmp_path / "lr=3" / "over.yaml"
    over.write_text("train: {batch_size: 7}")
    printed = yaml.safe_load(call("config", "seed=5", "synthetic/demo", over).stdout)
    assert (printed["seed"], printed["train"]["batch_size"], printed["train"]["steps"]) == (5, 7, 800)


def test_overrides_without_a_recipe_are_refused() -> None:
    result = call("config", "train.steps=3")
    assert result.exit_code == 2 and "which recipe? Give its name" in result.stderr


def test_recipes_and_methods_are_listed_with_a_line_each() -> None:
    listed = json.loads(call("recipes", "--json").stdout)
    assert [row["name"] for row in listed["recipes"]] == list(shipped("recipe"))
    assert [row["name"] for row in listed["methods"]] == list(shipped("method"))
    files = [row["path"] for name in ("recipes", "methods") for row in listed[name]]
    # A model is a folder.
    files += [f"{row['path']}/model.json" for row in listed["models"]]
    assert all(Path(file).is_file() for file in files)
    lines = [line.split() for line in call("recipes").stdout.splitlines()]
    for rows in listed.values():
        assert all([row["name"], *row["description"].split()] in lines for row in rows)


def test_the_list_of_recipes_needs_no_torch() -> None:
    code = (
        "import sys; from pointseg.cli import app; app(['recipes'], standalone_mode=False); "
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=False).returncode == 0


def test_the_package_is_a_command_too() -> None:
    command = [sys.executable, "-m", "pointseg", "config", "synthetic/demoo"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith("pointseg: synthetic/demoo: no such recipe; did you mean 'synthetic/demo'?")


def test_training_takes_a_recipe_a_method_and_overrides(
    tiny_experiment: Callable[..., Experiment], tmp_path: Path
) -> None:
    (tmp_path / "tiny.yaml").write_text(dump_config(tiny_experiment("name=tiny")))
    words = ("train", tmp_path / "tiny.yaml", "--method", "ceco", "--out", tmp_path / "run", "train.steps=1")
    result = call(*words, "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert "tiny+ceco trains for 1 steps" in result.stdout
    rows = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert {"loss/main", "loss/center"} <= set(rows[0])


ALLOCATOR = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried"


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("Set x to 3."), "pointseg: Set x to 3.\n"),
        (FileNotFoundError("gone.pt: no such checkpoint."), "pointseg: gone.pt: no such checkpoint.\n"),
        (OSError(errno.ENOSPC, "No space left on device", "a.pt"), "a.pt: No space left on device: free"),
        (OSError(errno.EROFS, "Read-only file system", "/x"), "/x: Read-only file system: nothing can be"),
        (OSError(errno.EISDIR, "Is a directory", "d"), "d: Is a directory: this is a folder where"),
        (OSError(errno.EACCES, "Permission denied", "p"), "p: Permission denied: you may not"),
        (OSError(errno.ENOTEMPTY, "Not empty", "a", None, "b"), "a -> b: Not empty: choose another folder"),
        (MemoryError(), "pointseg: out of memory: lower train.batch_size"),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried\nmore"),
            "out of memory (CUDA out of memory. Tried):",
        ),
        (RuntimeError(ALLOCATOR), "lower train.batch_size"),
    ],
)
def test_what_a_user_can_mend_ends_with_one_message(
    error: Exception, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = failing(monkeypatch, error)
    assert result.exit_code == 2 and message in result.stderr
    assert result.stderr.count("\n") == 1 and "Traceback" not in result.stderr


@pytest.mark.parametrize("words", [("--debug", "config", "x"), ("config", "x", "--debug")])
def test_debug_before_or_after_the_verb_shows_where_it_comes_from(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    result = call(*words)
    assert type(result.exception).__name__ == "ConfigError" and "no such recipe" in str(result.exception)
    assert "fault" not in result.stderr


def test_a_fault_of_ours_keeps_its_traceback_and_says_whose_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, RuntimeError("mat1 and mat2 shapes cannot be multiplied"))
    assert isinstance(result.exception, RuntimeError) and result.exit_code == 1
    assert "a fault of pointseg" in result.stderr and "please report" in result.stderr


def test_a_value_error_from_inside_torch_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def call_torch(words: list[str]) -> None:
        torch.optim.SGD([], lr=0.1)

    monkeypatch.setattr(training_verbs, "recipes_and_overrides", call_torch)
    result = call("config", "x")
    assert isinstance(result.exception, ValueError) and "a fault of pointseg" in result.stderr


def test_an_interruption_ends_with_130(monkeypatch: pytest.MonkeyPatch) -> None:
    result = failing(monkeypatch, KeyboardInterrupt())
    assert result.exit_code == 130 and result.stderr == "pointseg: interrupted\n"


def test_a_misspelt_verb_is_answered() -> None:
    result = call("trian")
    assert result.exit_code == 2 and "'train'" in result.stderr and "fault" not in result.stderr
