"""What makes a run the run it is: its settings, its data, and the code that trains it.

A finished run is taken for done where all three are those of now, and trained again otherwise. So each is a
fingerprint of what changes the result, and of as little else as can be told apart: a comment, a docstring, a
renamed test or another method's loss change nothing.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import json
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.runs.folder import FREE_TO_CHANGE

#: Settings that say what a run is called and where it begins; the latter is told by the start's own key.
_NAMES = frozenset({"name", "train.init_from"})
#: Modules of the training itself, whatever is trained.
_TRAINING = tuple(f"pointseg.training.{name}" for name in ("step", "state", "job", "loader", "sampling"))
#: No parts of what is learned: these put parts together, read and write files, predict, check or show. The
#: engines of sparse convolution differ in the last digits and may be changed within one run.
_NO_PART = tuple(
    f"pointseg.{name}"
    for name in (
        *("experiment", "config", "runs", "formats", "evaluation", "prediction", "training.validate"),
        *("sparse.backends", "data.kind", "core.durable"),
        *(f"scans.{name}" for name in ("checker", "file", "predict", "submission", "tiles", "store_writer")),
        *(f"images.{name}" for name in ("checker", "file", "predict", "submission")),
    )
)
#: Name under which the code's defaults stand among its files.
DEFAULTS = "defaults"
_LENGTH = 12


def config_hash(experiment: Experiment, start: str | None) -> str:
    """Fingerprint of the settings that are not the code's defaults, less those that are free to change.

    Args:
        experiment: the settings.
        start: key of the run whose weights it begins with, or None.
    """
    return _hash({"settings": _without(chosen_settings(experiment)), "start": start})


def data_hash(source: Source) -> str:
    """Fingerprint of the classes and of every scene: split, size, class counts, and hashes kept of it."""
    entries = {name: {k: v for k, v in e.items() if k != "notes"} for name, e in source.entries.items()}
    return _hash({"classes": source.label_space.to_dict(), "scenes": entries})


def code_of(experiment: Experiment) -> dict[str, str]:
    """Module -> fingerprint, for every module that can change what this experiment computes.

    These are the modules of its own parts (data, network, head, losses, optimiser, transforms) and of the
    training, and what they import. The values of all defaults stand under ``defaults``.
    """
    parts = (experiment.data, experiment.model, experiment.head, experiment.optimizer, experiment.schedule)
    modules = {type(part).__module__ for part in (*parts, *experiment.losses.values(), *experiment.augment)}
    modules |= {*_TRAINING, *(["pointseg.training.initial"] if experiment.train.init_from else [])}
    found = {name: _source_hash(name) for name in sorted(_reachable(modules))}
    return {**found, DEFAULTS: _hash(_without(experiment.model_dump(mode="json")))[:8]}


def code_hash(code: Mapping[str, str]) -> str:
    """One fingerprint for all of :func:`code_of`."""
    return _hash(dict(code))


def changed_code(old: Mapping[str, str], new: Mapping[str, str]) -> list[str]:
    """Names of the modules that differ."""
    return sorted(name for name in old.keys() | new.keys() if old.get(name) != new.get(name))


def chosen_settings(value: Any) -> Any:
    """A configuration as plain data without what is the code's default; a ``type`` always stays."""
    if isinstance(value, BaseModel):
        fields = type(value).model_fields
        kept = {
            name: getattr(value, name)
            for name, field in fields.items()
            if name == "type" or getattr(value, name) != field.get_default(call_default_factory=True)
        }
        return {name: chosen_settings(item) for name, item in kept.items()}
    if isinstance(value, Mapping):
        return {key: chosen_settings(item) for key, item in value.items()}
    if isinstance(value, tuple | list):
        return [chosen_settings(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _without(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The settings less names and what is free to change."""
    return {
        key: _without(value, f"{prefix}{key}.") if isinstance(value, Mapping) else value
        for key, value in settings.items()
        if f"{prefix}{key}" not in FREE_TO_CHANGE | _NAMES
    }


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:_LENGTH]


def _reachable(modules: Iterable[str]) -> set[str]:
    seen: set[str] = set()
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name not in seen and not _is_no_part(name):
            seen.add(name)
            waiting += _imports_of(name)
    return seen


def _is_no_part(name: str) -> bool:
    return any(name == other or name.startswith(f"{other}.") for other in _NO_PART)


@cache
def _tree(name: str) -> ast.Module | None:
    """The syntax of a module of ours; None for anything else."""
    if not name.startswith("pointseg."):
        return None
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        # `from module import name`: the name is no module of its own.
        return None
    if spec is None or spec.origin is None or not spec.origin.endswith(".py"):
        return None
    return ast.parse(Path(spec.origin).read_text(encoding="utf-8"))


@cache
def _imports_of(name: str) -> tuple[str, ...]:
    tree = _tree(name)
    found: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return tuple(sorted(module for module in found if _tree(module) is not None))


@cache
def _source_hash(name: str) -> str:
    tree = _tree(name)
    return "" if tree is None else hashlib.sha256(repr(_form(tree)).encode()).hexdigest()[:8]


def _form(node: Any) -> Any:
    """A syntax tree as nested tuples, without places, comments and docstrings, alike on all Pythons."""
    if isinstance(node, ast.AST):
        fields = [(key, _form(value)) for key, value in ast.iter_fields(node) if key not in ("ctx", "kind")]
        # Fields that newer Pythons have added are empty for older syntax.
        return (type(node).__name__, *(pair for pair in fields if pair[1] not in (None, ())))
    if isinstance(node, list):
        return tuple(_form(item) for item in node if not _is_docstring(item))
    return node


def _is_docstring(node: Any) -> bool:
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text and isinstance(node.value.value, str)
