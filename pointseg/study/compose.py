"""Recipe, method and settings -> the experiment of one run, and the command that trains it."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from pointseg.config import ConfigError, apply_override, load_config, merge, read_with_bases
from pointseg.experiment import Experiment
from pointseg.study.definition import SearchSpace

#: Key of a method file that is no part of an experiment: values worth trying.
SEARCH = "search"


def method_file(recipe: Path, name: str) -> Path | None:
    """The file of a method: ``methods/NAME.yaml`` beside the recipe or beside a folder above it."""
    for folder in recipe.resolve().parents:
        file = folder / "methods" / f"{name}.yaml"
        if file.is_file():
            return file
    return None


def search_space(recipe: Path, method: str) -> SearchSpace:
    """Values worth trying that the file of a method names."""
    space = _read_method(recipe, method).get(SEARCH, {})
    if not isinstance(space, dict) or not all(isinstance(v, list) and v for v in space.values()):
        raise ConfigError(
            f"{method_file(recipe, method)}: {SEARCH} must be dotted keys with lists of values, such as "
            f"{{losses.main.t: [0.1, 1]}}; got {space!r}."
        )
    return space


def compose(recipe: Path, method: str, overrides: Sequence[str]) -> Experiment:
    """The experiment of a recipe with a method over it and ``key=value`` settings over both.

    Raises:
        ConfigError: if a file is missing or they do not fit together.
    """
    difference = {key: value for key, value in _read_method(recipe, method).items() if key != SEARCH}
    merged = merge(read_with_bases(recipe), difference)
    for override in overrides:
        merged = apply_override(merged, override)
    return load_config(Experiment, None, data=merged)


def command_of(recipe: Path, method: str, out: Path, overrides: Sequence[str]) -> str:
    """What a person types to train the same."""
    words = ["pointseg", "train", str(recipe), "--method", method, "--out", str(out), *overrides]
    return shlex.join(words)


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Dotted keys and values as ``key=value``; a value is written as JSON, which is YAML too."""
    return [f"{key}={json.dumps(value)}" for key, value in settings.items()]


def _read_method(recipe: Path, method: str) -> dict[str, Any]:
    file = method_file(recipe, method)
    if file is None:
        raise ConfigError(f"{method}: no file methods/{method}.yaml beside {recipe} or in a folder above it.")
    return read_with_bases(file)
