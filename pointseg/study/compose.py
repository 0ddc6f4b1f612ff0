"""The words of a study file -> recipes, methods and settings, and the command that trains the same."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from pointseg.config.model import ConfigError
from pointseg.config.shipped import SUFFIXES, Kind, find


def located(word: str, folder: Path) -> str:
    """A recipe or method as it is named from here: a file beside the study, or a shipped name as it is."""
    file = folder / word
    return str(file) if file.suffix in SUFFIXES and file.is_file() else word


def is_there(word: str, kind: Kind) -> bool:
    """Whether a word means a recipe or method at all."""
    try:
        find(word, kind)
    except ConfigError:
        return False
    return True


def command_of(recipe: str, methods: Sequence[str], out: Path, overrides: Sequence[str]) -> str:
    """What a person types to train the same."""
    chosen = [word for method in methods for word in ("--method", method)]
    return shlex.join(["pointseg", "train", recipe, *chosen, "--out", str(out), *overrides])


def as_overrides(settings: Mapping[str, Any]) -> list[str]:
    """Dotted keys and values as ``key=value``."""
    return [f"{key}={_written(value)}" for key, value in settings.items()]


def _written(value: Any) -> str:
    """A value in YAML on one line: JSON is that too, and plain text where it reads as the same text."""
    if isinstance(value, str) and yaml.safe_load(value) == value:
        return value
    return json.dumps(value)
