"""Layers: what lies later is laid over what lies earlier, key by key."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml
from pydantic import BaseModel

from pointseg.config.model import Config, ConfigError
from pointseg.config.yaml_file import parse

#: Where overrides come from, in messages.
COMMAND_LINE = "command line"


@dataclass(frozen=True)
class Layer:
    """One portion of a configuration.

    Args:
        source: file or other place, for messages.
        data: its keys.
        method: name of the method that it is, or None.
    """

    source: str
    data: Mapping[str, Any]
    method: str | None = None

    @property
    def adds(self) -> bool:
        """Whether it adds to an experiment and is none by itself."""
        return self.method is not None or self.source == COMMAND_LINE


def compose(layers: Sequence[Layer], model: type[BaseModel]) -> dict[str, Any]:
    """All layers, the first at the bottom.

    Raises:
        ConfigError: if a layer gives two keys of which only one is meant.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        if issubclass(model, Config):
            merged = model.make_room(merged, layer.data, method=layer.method, adds=layer.adds)
        try:
            merged = merge(merged, layer.data, model)
        except ConfigError as error:
            raise ConfigError(f"{layer.source}: {error}") from None
    return merged


def merge(below: Mapping[str, Any], above: Mapping[str, Any], model: Any = None) -> dict[str, Any]:
    """``above`` over ``below``: mappings merge key by key, everything else replaces.

    A mapping with another `type` than the one below replaces it whole: options of another type do not carry
    over. A mapping whose keys are all numbers changes those positions of a list. Null is a value like others;
    see :class:`Config` for what it means. Of the rivals of a model, the one that ``above`` gives stays.

    Args:
        below: the mapping to change; it is left as it is.
        above: the difference.
        model: the model that both describe, if it is known.
    """
    merged = dict(below)
    known = model if isinstance(model, type) and issubclass(model, Config) else None
    for rivals in known.rivals if known else ():
        given = [key for key in rivals if above.get(key) is not None]
        if len(given) > 1:
            raise ConfigError(f"give exactly one of {' and '.join(given)}, not both")
        if given:
            merged = {key: value for key, value in merged.items() if key not in rivals}
    for key, value in above.items():
        field = known.model_fields.get(key) if known else None
        try:
            merged[key] = _over(merged.get(key), value, field.annotation if field else None)
        except ConfigError as error:
            raise ConfigError(f"{key}: {error}") from None
    return merged


def _over(old: Any, new: Any, model: Any) -> Any:
    if not isinstance(new, Mapping):
        return new
    if isinstance(old, list) and new and all(str(key).isdigit() for key in new):
        items = list(old)
        for key, value in new.items():
            if int(key) >= len(items):
                raise ConfigError(f"{key!r} is no position in a list of {len(items)}")
            items[int(key)] = _over(items[int(key)], value, None)
        return items
    other_type = isinstance(old, Mapping) and "type" in new and "type" in old and new["type"] != old["type"]
    # Over nothing as over something: what holds within a layer holds for the first one too.
    return merge(old if isinstance(old, Mapping) and not other_type else {}, new, model)


def overrides_layer(overrides: Sequence[str], model: type[BaseModel]) -> Layer:
    """Several `a.b.c=value` as one layer: `optimizer.lr=0.1 optimizer.type=adamw` may come in any order.

    Of two for the same key, and of two rivals, the last wins. Values are YAML; numbers are positions in lists
    (``augment.0.p=1``).

    Raises:
        ConfigError: for text that is no assignment.
    """
    data: Any = {}
    for override in overrides:
        key, found, text = override.partition("=")
        if not found or not all(key.split(".")):
            raise ConfigError(f"{override!r}: expected key=value, such as optimizer.lr=0.1.")
        try:
            data = _assigned(data, key.split("."), _value(override, text))
        except ConfigError as error:
            raise ConfigError(f"{override!r}: {error}.") from None
    return Layer(COMMAND_LINE, _last_rivals(data, model))


def _last_rivals(data: Mapping[str, Any], model: Any) -> dict[str, Any]:
    """Only the last of each group of rivals."""
    known = model if isinstance(model, type) and issubclass(model, Config) else None
    if known is None:
        return dict(data)
    lost: set[str] = set()
    for rivals in known.rivals:
        lost |= set([key for key in data if key in rivals and data[key] is not None][:-1])
    return {
        key: _last_rivals(value, known.model_fields[key].annotation)
        if isinstance(value, Mapping) and key in known.model_fields
        else value
        for key, value in data.items()
        if key not in lost
    }


def _value(override: str, text: str) -> Any:
    try:
        value = parse(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{override!r}: the value is not valid YAML: {error}") from None
    # PyYAML reads 1e-3 as text (YAML 1.1 wants a dot); people write it all the time.
    if isinstance(value, str):
        with contextlib.suppress(ValueError):
            value = float(value)
    return value


def _assigned(node: Any, keys: Sequence[str], value: Any) -> Any:
    """``node`` with a value put into it, and with the mappings on the way to it."""
    head, rest = keys[0], keys[1:]
    if isinstance(node, list):
        if not head.isdigit() or int(head) >= len(node):
            raise ConfigError(f"{head!r} is no position in a list of {len(node)}")
        items = list(node)
        items[int(head)] = _assigned(items[int(head)], rest, value) if rest else value
        return items
    mapping = dict(node) if isinstance(node, Mapping) else {}
    # Taken out and put in again: the order of the keys is the order in which they were given.
    inner = mapping.pop(head, None)
    mapping[head] = _assigned(inner, rest, value) if rest else _over(inner, value, None)
    return mapping
