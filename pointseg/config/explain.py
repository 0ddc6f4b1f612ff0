"""What pydantic found wrong, in words: the layer it comes from, the key, and what may have been meant."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from pointseg.config.layers import Layer
from pointseg.config.shipped import did_you_mean


def explain(
    model: type[BaseModel], error: ValidationError, data: Mapping[str, Any], layers: Sequence[Layer]
) -> str:
    """One line for each thing that is wrong, with the nearest known word for a misspelt one.

    Args:
        model: what was to be built.
        error: what pydantic says.
        data: what it was to be built from.
        layers: where that comes from.
    """
    lines = []
    for item in error.errors():
        keys = _keys(item["loc"], data)
        lines.append(f"{_source(keys, layers)}: {_say(model, item, '.'.join(keys))}")
    return "\n".join(lines)


def _say(model: type[BaseModel], item: ErrorDetails, where: str) -> str:
    context = item.get("ctx", {})
    if item["type"] == "extra_forbidden":
        return f"unknown key {where!r}{_meant(model, item['loc'])}"
    if item["type"] == "union_tag_invalid":
        known = [tag.strip(" '") for tag in context["expected_tags"].split(",")]
        tag = str(context["tag"])
        return f"{where}.type: there is no {tag!r}{did_you_mean(tag, known)} Known: {', '.join(known)}"
    if item["type"] == "literal_error" and isinstance(item["input"], str):
        known = [word.strip(" '") for word in context["expected"].replace(" or ", ", ").split(",")]
        return f"{where}: {item['msg']} (got {item['input']!r}){did_you_mean(item['input'], known)}"
    if item["type"] == "value_error":
        # Raised by a check of ours, which says what it got. It speaks of more than one key where it has none.
        said = item["msg"].removeprefix("Value error, ")
        got = "" if isinstance(item["input"], Mapping) else f" (got {_short(item['input'])})"
        return f"{where}: {said}{got}" if where else said + got
    return f"{where}: {item['msg']} (got {_short(item['input'])})"


def _meant(model: type[BaseModel], place: Sequence[int | str]) -> str:
    """What an unknown key may have been meant to be: an option of another type, or a known key near to it."""
    *way, key = place
    chosen, others = _models_at(model, way)
    of_others = [_type_of(other) for other in others if str(key) in other.model_fields]
    if chosen is not None and of_others:
        return f"; it is an option of type {' or '.join(of_others)}, not of {_type_of(chosen)}."
    own = did_you_mean(str(key), chosen.model_fields) if chosen is not None else "."
    elsewhere = [name for name in _all_keys(model) if name != key]
    return own if own != "." else did_you_mean(str(key), elsewhere)


def _models_at(
    model: Any, place: Sequence[int | str]
) -> tuple[type[BaseModel] | None, list[type[BaseModel]]]:
    """The model at a place of an error, and the other ones that its `type` might have chosen."""
    options = _options(model)
    for i, part in enumerate(place):
        chosen = [option for option in options if _type_of(option) == part]
        if len(options) > 1 and chosen:
            if i == len(place) - 1:
                return chosen[0], [option for option in options if option is not chosen[0]]
            options = chosen
        elif len(options) == 1 and part in options[0].model_fields:
            options = _options(options[0].model_fields[str(part)].annotation)
    return (options[0], []) if len(options) == 1 else (None, [])


def _options(annotation: Any) -> list[type[BaseModel]]:
    """The models that an annotation holds, in containers too, but not those inside them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [option for argument in typing.get_args(annotation) for option in _options(argument)]


def _type_of(model: type[BaseModel]) -> str:
    return str(model.model_fields["type"].default) if "type" in model.model_fields else model.__name__


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 200 else text[:197] + "..."


def _source(keys: Sequence[str], layers: Sequence[Layer]) -> str:
    """The last layer that speaks of a key, or of what lies around it."""
    for depth in range(len(keys), 0, -1):
        for layer in reversed(layers):
            node: Any = layer.data
            for key in keys[:depth]:
                node = node.get(key, _ABSENT) if isinstance(node, Mapping) else _ABSENT
            if node is not _ABSENT:
                return layer.source
    return " + ".join(layer.source for layer in layers) or "config"


_ABSENT = object()


def _keys(place: Sequence[int | str], data: Any) -> list[str]:
    """A place as people write it. Pydantic also names the `type` of an option on the way; that is no key."""
    keys, node = [], data
    for part in place:
        inside = isinstance(node, Mapping) and part in node
        if not inside and isinstance(node, Mapping) and node.get("type") == part:
            continue
        keys.append(str(part))
        known = inside or (isinstance(node, list) and isinstance(part, int) and part < len(node))
        node = node[part] if known else None
    return keys


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
