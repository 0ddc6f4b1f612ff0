"""YAML files <-> strict typed models: `base:` plus differences, dotted overrides, helpful errors."""

from __future__ import annotations

import contextlib
import difflib
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError


class Config(BaseModel):
    """Base of every configuration model: unknown keys are errors, values do not change after validation."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which key and what to do."""


M = TypeVar("M", bound=BaseModel)


def load_config(
    model: type[M],
    path: Path | str | None,
    overrides: Sequence[str] = (),
    *,
    data: Mapping[str, Any] | None = None,
) -> M:
    """Read a YAML file, follow its `base:` chain, apply `key.sub=value` overrides and validate.

    Args:
        model: the pydantic model to build.
        path: YAML file, or None to start from ``data``.
        overrides: dotted assignments; values are YAML (``optim.lr=0.1``, ``augment=[]``).
        data: a mapping to start from instead of a file.

    Raises:
        ConfigError: with the file, the key, and the nearest known key where one is misspelt.
    """
    merged = dict(data or {}) if path is None else read_with_bases(Path(path))
    for override in overrides:
        merged = apply_override(merged, override)
    try:
        return model.model_validate(merged)
    except ValidationError as error:
        raise ConfigError(explain(model, error, merged, str(path) if path else "config")) from None


def changed(config: M, **updates: Any) -> M:
    """The configuration with other values of some fields, validated as a whole; ``model_copy`` is not.

    Raises:
        ConfigError: where the values do not fit together.
    """
    values = {**dict(config), **updates}
    try:
        return type(config).model_validate(values)
    except ValidationError as error:
        raise ConfigError(explain(type(config), error, values, "config")) from None


def read_with_bases(path: Path, _seen: tuple[Path, ...] = ()) -> dict[str, Any]:
    """One YAML mapping with its bases merged under it; a base's path is relative to its file."""
    path = path.resolve()
    if path in _seen:
        raise ConfigError(f"{path}: base files form a circle: {' -> '.join(p.name for p in (*_seen, path))}.")
    if not path.is_file():
        raise ConfigError(f"{path}: no such configuration file.")
    try:
        data = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except yaml.YAMLError as error:
        raise ConfigError(f"{path}: not valid YAML: {error}") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{path}: expected a mapping at the top level; got {type(data).__name__}.")
    bases = data.pop("base", [])
    merged: dict[str, Any] = {}
    for base in [bases] if isinstance(bases, str) else bases:
        merged = merge(merged, read_with_bases(path.parent / base, (*_seen, path)))
    return merge(merged, data)


def merge(base: Mapping[str, Any], difference: Mapping[str, Any]) -> dict[str, Any]:
    """``difference`` over ``base``: mappings merge key by key, everything else replaces.

    A mapping whose `type` differs from the base's replaces it whole: options of another type do not carry
    over. A value of null removes the key.
    """
    merged = dict(base)
    for key, value in difference.items():
        old = merged.get(key)
        if value is None and key in merged:
            del merged[key]
        elif isinstance(old, Mapping) and isinstance(value, Mapping):
            other_type = "type" in value and "type" in old and value["type"] != old["type"]
            merged[key] = dict(value) if other_type else merge(old, value)
        else:
            merged[key] = value
    return merged


def apply_override(data: Mapping[str, Any], override: str) -> dict[str, Any]:
    """Apply one `a.b.c=value`; the value is read as YAML. Numbers index lists (``augment.0.p=1``)."""
    key, found, text = override.partition("=")
    if not found or not key:
        raise ConfigError(f"{override!r}: expected key=value, such as optim.lr=0.1.")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is not valid YAML: {error}") from None
    # PyYAML reads 1e-3 as text (YAML 1.1 wants a dot); people write it all the time.
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    return _assign(data, key.split("."), value, override)


def _assign(node: Any, keys: list[str], value: Any, override: str) -> Any:
    head, rest = keys[0], keys[1:]
    if isinstance(node, list):
        if not head.isdigit() or int(head) >= len(node):
            raise ConfigError(f"{override!r}: {head!r} is no position in a list of {len(node)}.")
        items = list(node)
        items[int(head)] = _assign(items[int(head)], rest, value, override) if rest else value
        return items
    if not isinstance(node, Mapping):
        raise ConfigError(f"{override!r}: {head!r} lies under a value that is not a mapping.")
    if rest:
        return {**node, head: _assign(node.get(head, {}), rest, value, override)}
    return merge(node, {head: value})


def explain(model: type[BaseModel], error: ValidationError, data: Mapping[str, Any], source: str) -> str:
    """One line for each thing that is wrong, with the nearest known key for a misspelt one."""
    lines = []
    for item in error.errors():
        where = _dotted(item["loc"], data)
        if item["type"] == "extra_forbidden":
            key = str(item["loc"][-1])
            near = difflib.get_close_matches(key, _all_keys(model), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            lines.append(f"{source}: unknown key {where!r}{hint}")
        else:
            lines.append(f"{source}: {where}: {item['msg']} (got {item['input']!r})")
    return "\n".join(lines)


def _dotted(place: Sequence[int | str], data: Any) -> str:
    """A place as people write it. Pydantic also names the `type` of an option on the way; that is no key."""
    keys, node = [], data
    for part in place:
        inside = isinstance(node, Mapping) and part in node
        if not inside and isinstance(node, Mapping) and node.get("type") == part:
            continue
        keys.append(str(part))
        known = inside or (isinstance(node, list) and isinstance(part, int) and part < len(node))
        node = node[part] if known else None
    return ".".join(keys)


def _all_keys(model: Any, _seen: set[Any] | None = None) -> list[str]:
    """Every key of a model and of the models inside it."""
    seen = set() if _seen is None else _seen
    if isinstance(model, type) and issubclass(model, BaseModel):
        if model in seen:
            return []
        seen.add(model)
        keys = list(model.model_fields)
        for field in model.model_fields.values():
            keys += _all_keys(field.annotation, seen)
        return keys
    if isinstance(model, types.UnionType) or typing.get_origin(model) is not None:
        return [key for argument in typing.get_args(model) for key in _all_keys(argument, seen)]
    return []


def dump_config(config: BaseModel) -> str:
    """The resolved configuration as YAML; loading it gives an equal model."""
    return yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
