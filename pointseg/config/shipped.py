"""Recipes, methods and models that come with pointseg, by name.

A recipe is an experiment (`scannet200/spunet`), a method a difference that goes with any (`ceco`). Files
whose name begins with an underscore are bases of others and no recipes. A model is a trained network, in a
folder of `pointseg export`.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Literal

from pointseg.config.model import ConfigError

RESOURCES = Path(__file__).parents[1] / "resources"
RECIPES, METHODS = RESOURCES / "recipes", RESOURCES / "methods"
MODELS = RESOURCES / "models"
SUFFIXES = (".yaml", ".yml")

Kind = Literal["recipe", "method"]


@cache
def shipped(kind: Kind) -> Mapping[str, Path]:
    """Name -> file."""
    folder = RECIPES if kind == "recipe" else METHODS
    paths = sorted(path for path in folder.rglob("*.yaml") if not path.name.startswith("_"))
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in paths}


@cache
def shipped_models() -> Mapping[str, Path]:
    """Name -> folder."""
    folders = sorted(path.parent for path in MODELS.rglob("model.json"))
    return {folder.relative_to(MODELS).as_posix(): folder for folder in folders}


def describe_model(folder: Path) -> str:
    """The line that a model's manifest has for people."""
    return str(json.loads((folder / "model.json").read_text(encoding="utf-8")).get("about", ""))


def describe(path: Path) -> str:
    """The first line of a file's opening comment."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def find(word: Path | str, kind: Kind) -> Path:
    """The file that a name or path means: a shipped one by its name, any other by its path.

    Raises:
        ConfigError: if there is none, with the names that come near.
    """
    path, name = Path(word), _name(word)
    if path.suffix in SUFFIXES and path.is_file():
        return path
    if name in shipped(kind):
        return shipped(kind)[name]
    if path.is_file():
        return path
    other: Kind = "method" if kind == "recipe" else "recipe"
    if name in shipped(other):
        how = f"lay it over a recipe with --method {name}" if kind == "recipe" else "give it as the recipe"
        raise ConfigError(f"{name} is a {other}, not a {kind}; {how}.")
    if path.is_dir():
        held = path / "config.yaml"
        hint = f"; did you mean {held}?" if held.is_file() else ", not a configuration file."
        raise ConfigError(f"{path} is a folder{hint}")
    what = "no such configuration file" if path.suffix in SUFFIXES else f"no such {kind}"
    near = did_you_mean(name, shipped(kind))
    raise ConfigError(f"{word}: {what}{near} `pointseg recipes` lists recipes and methods.")


def find_base(word: str, folder: Path) -> Path:
    """The file that an entry of `base:` means: a path from the folder of its file, or a shipped name."""
    path = folder / word
    if path.is_file():
        return path
    name = _name(word)
    for kind in ("recipe", "method"):
        if name.removeprefix(f"{kind}s/") in shipped(kind):
            return shipped(kind)[name.removeprefix(f"{kind}s/")]
    near = did_you_mean(name, [*shipped("recipe"), *shipped("method")])
    raise ConfigError(f"{path}: no such configuration file, and no shipped recipe or method{near}")


def method_name(path: Path) -> str | None:
    """Name of the shipped method that a file is; None for other files."""
    resolved = path.resolve()
    return resolved.stem if resolved.parent == METHODS.resolve() else None


def shown(path: Path) -> str:
    """A file as messages name it: shipped ones by their place among the shipped."""
    return path.relative_to(RESOURCES).as_posix() if path.is_relative_to(RESOURCES) else str(path)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'x'?` with the nearest known words, or a full stop where none is near.

    Names with a slash are also compared by what follows it: `spunet` is near to `scannet200/spunet`.
    """
    scores = {name: max(_likeness(word, name), _likeness(_last(word), _last(name))) for name in known}
    best = max(scores.values(), default=0.0)
    near = [name for name, score in scores.items() if score >= max(0.6, best - 0.05)][:3]
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else "."


def _likeness(word: str, name: str) -> float:
    return difflib.SequenceMatcher(None, word, name).ratio()


def _last(name: str) -> str:
    return name.rpartition("/")[2]


def _name(word: Path | str) -> str:
    text = Path(word).as_posix()
    return text.rpartition(".")[0] if text.endswith(SUFFIXES) else text
