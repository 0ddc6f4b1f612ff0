"""The page of all keys of a configuration: from the models, with the words of their docstrings."""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pointseg.experiment.model import Experiment
from pointseg.experiment.options import EvaluateConfig, OtherHead, TrainConfig
from pointseg.experiment.tables import BACKBONES, DATASETS, HEADS, LOSSES, OPTIMIZERS, SCHEDULES
from pointseg.scans.paste import PasteConfig
from pointseg.scans.transforms import TransformConfig

Model = type[BaseModel]

#: Models without a type of which the page has a section.
_WITH_SECTIONS: tuple[Model, ...] = (TrainConfig, EvaluateConfig, OtherHead, PasteConfig)


def write() -> str:
    """A section for each key of an experiment, and in it a table for each type that it may have."""
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield "## The whole\n"
    yield from _model(Experiment)
    for title, models in _sections().items():
        yield f"## {title}\n"
        for model in models:
            if len(models) > 1:
                yield f"### type: {_type_of(model)}\n"
            yield from _model(model)


def _sections() -> Mapping[str, list[Model]]:
    """Title -> the models that may stand there."""
    transforms = list(typing.get_args(typing.get_args(TransformConfig)[0]))
    tables: dict[str, Mapping[str, Model]] = {
        "data": DATASETS,
        "model": BACKBONES,
        "head": HEADS,
        "losses.NAME": LOSSES,
        "optimizer": OPTIMIZERS,
        "schedule": SCHEDULES,
    }
    return {
        "train": [TrainConfig],
        "evaluate": [EvaluateConfig],
        **{title: list(table.values()) for title, table in tables.items()},
        "heads.NAME": [OtherHead],
        "augment": transforms,
        "data.paste": [PasteConfig],
    }


def _model(model: Model) -> Iterator[str]:
    said = arguments_of(model)
    yield f"{_opening(model)}\n"
    fields = {name: field for name, field in model.model_fields.items() if name != "type"}
    if not fields:
        return
    yield "| key | values | default | |"
    yield "|---|---|---|---|"
    for name, field in fields.items():
        yield (
            f"| `{name}` | {_code(shown_type(field.annotation, field.metadata))} "
            f"| {_default(field)} | {_cell(said.get(name, ''))} |"
        )
    yield ""


def arguments_of(model: Model) -> dict[str, str]:
    """Name -> what is said of it: in the docstrings of a model and its bases, or of what it builds."""
    found: dict[str, str] = {}
    for source in (*reversed(model.__mro__), model):
        if source is object or source is BaseModel:
            continue
        found |= _arguments(source)
    build = getattr(model, "build", None)
    built = typing.get_type_hints(build).get("return") if build is not None else None
    there = _arguments(built) if isinstance(built, type) else {}
    for name in model.model_fields:
        if there.get(name) and found.get(name, "see there.") in ("see there.", "see there"):
            found[name] = there[name]
        elif found.get(name) in ("see there.", "see there"):
            found[name] = ""
    return found


def _arguments(source: type) -> dict[str, str]:
    """The part `Args:` of a docstring; a line may speak of several names."""
    block = re.search(r"^Args:\n((?:(?: {4}.*)?\n)*)", (inspect.getdoc(source) or "") + "\n", re.M)
    if block is None or source.__doc__ is None:
        return {}
    found: dict[str, str] = {}
    for names, text in re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {8}.*)*)", block[1], re.M):
        found |= dict.fromkeys(re.split(r",\s*", names), re.sub(r"\s+", " ", text))
    return found


def shown_type(annotation: Any, metadata: typing.Sequence[Any] = ()) -> str:
    """A type as people write values of it: ``number >= 0``, ``list of text``, ``integer >= 1 or null``."""
    limits = " ".join(filter(None, map(_limit, metadata)))
    words, or_null, nothing = _plain_type(annotation).partition(" or null")
    return f"{words} {limits}".rstrip() + or_null + nothing


def _plain_type(annotation: Any) -> str:
    plain = {bool: "true or false", int: "integer", float: "number", str: "text", Path: "path", Any: "any"}
    if annotation in plain:
        return plain[annotation]
    if annotation is type(None) or annotation is None:
        return "null"
    origin, given = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return shown_type(given[0], given[1:])
    if origin is typing.Literal:
        return " or ".join(map(str, given))
    if origin in (types.UnionType, typing.Union):
        models = [one for one in given if isinstance(one, type) and issubclass(one, BaseModel)]
        if len(models) > 3:
            return "one of the types below"
        return " or ".join(dict.fromkeys(map(_plain_type, given)))
    if origin is dict:
        return f"{_plain_type(given[0])} -> {_plain_type(given[1])}"
    if origin in (tuple, list):
        inner = [_plain_type(one) for one in given if one is not Ellipsis]
        return f"list of {inner[0]}" if Ellipsis in given or origin is list else f"[{', '.join(inner)}]"
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return f"type: {_type_of(annotation)}" if "type" in annotation.model_fields else _keys(annotation)
    return str(getattr(annotation, "__name__", annotation))


def _keys(model: Model) -> str:
    """A mapping: its keys where they have no section of their own."""
    if model in _WITH_SECTIONS:
        return "keys, see below"
    fields = model.model_fields.items()
    return "{" + ", ".join(f"{n}: {shown_type(one.annotation, one.metadata)}" for n, one in fields) + "}"


def _limit(one: Any) -> str:
    """A limit of a value, of those that pydantic keeps beside a type."""
    signs = {"ge": ">=", "gt": ">", "le": "<=", "lt": "<"}
    found = {sign: getattr(one, name, None) for name, sign in signs.items()}
    return " ".join(f"{sign} {bound:g}" for sign, bound in found.items() if bound is not None)


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    value = field.get_default(call_default_factory=True)
    if value is PydanticUndefined:
        return ""
    if isinstance(value, BaseModel):
        return f"`type: {_type_of(type(value))}`" if "type" in type(value).model_fields else ""
    if isinstance(value, Mapping):
        shown = {name: _inner(one) for name, one in value.items()}
        return _code(", ".join(f"{name}: {one}" for name, one in shown.items())) if shown else "none"
    if isinstance(value, tuple):
        return _code(f"[{', '.join(map(_inner, value))}]")
    return _code(_inner(value))


def _inner(value: Any) -> str:
    """A value as YAML has it."""
    if isinstance(value, BaseModel):
        return _type_of(type(value))
    if isinstance(value, float):
        return f"{value:g}"
    return {"None": "null", "True": "true", "False": "false"}.get(str(value), str(value))


def _type_of(model: Model) -> str:
    return str(model.model_fields["type"].default) if "type" in model.model_fields else model.__name__


def _opening(model: Model) -> str:
    """What a docstring says before its first heading."""
    text = re.split(r"^(?:Args|Attributes|Shapes|Source):", inspect.getdoc(model) or "", flags=re.M)[0]
    return _plain(text).strip()


def _code(text: str) -> str:
    return f"`{text}`".replace("|", "\\|") if text else ""


def _cell(text: str) -> str:
    return _plain(text).replace("|", "\\|").replace("\n", " ")


def _plain(text: str) -> str:
    """Words of a docstring as Markdown: its roles and double backquotes become code."""
    text = re.sub(r":\w+:`~?(?:[\w.]+\.)?(\w+)`", r"`\1`", text)
    text = re.sub(r"``(.+?)``", r"`\1`", text)
    # Outside code, names keep their underscores and bounds their signs.
    parts = re.split(r"(`[^`]*`)", text)
    return "".join(part if part.startswith("`") else re.sub(r"([*_<\[\]])", r"\\\1", part) for part in parts)
