"""Config: the base of every configuration model."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, model_validator


class ConfigError(ValueError):
    """A configuration that cannot be used; the message says which key and what to do."""


class Config(BaseModel):
    """Base of every configuration model: unknown keys are errors, values do not change after validation.

    A null is None where the field may be None, and the default everywhere else.

    Attributes:
        rivals: groups of keys of which only one is meant: where a layer gives one, the others are forgotten.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    rivals: ClassVar[tuple[tuple[str, ...], ...]] = ()

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """What is not as it would be by default; the whole is what ``pointseg config`` prints."""
        for name, value in super().__repr_args__():
            field = type(self).model_fields.get(name or "")
            if field is None or value != field.get_default(call_default_factory=True):
                yield name, value

    @classmethod
    def make_room(
        cls, below: dict[str, Any], above: Mapping[str, Any], *, method: str | None, adds: bool
    ) -> dict[str, Any]:
        """What lies below, made ready for a layer; for models whose layers do more than merge.

        Args:
            below: the layers so far.
            above: the layer that comes next.
            method: name of the method that it is, or None.
            adds: whether the layer adds to an experiment (methods and overrides) or may be one by itself.
        """
        return below

    @model_validator(mode="before")
    @classmethod
    def _null_is_none_or_the_default(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        kept = {}
        for key, value in data.items():
            field = cls.model_fields.get(key) if isinstance(key, str) else None
            if field is None:
                kept[key] = value
            elif value is not None or _takes_none(field.annotation):
                kept[key] = _without_nulls(field.annotation, value)
        return kept


def _takes_none(annotation: Any) -> bool:
    """Whether None is a value of a type."""
    if annotation in (None, type(None), Any):
        return True
    if typing.get_origin(annotation) is typing.Annotated:
        return _takes_none(typing.get_args(annotation)[0])
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return any(_takes_none(option) for option in typing.get_args(annotation))
    return False


def _without_nulls(annotation: Any, value: Any) -> Any:
    """A mapping of named things without those that were set to null, which is how one is taken out."""
    if typing.get_origin(annotation) is not dict or not isinstance(value, Mapping):
        return value
    if _takes_none(typing.get_args(annotation)[1]):
        return value
    return {name: item for name, item in value.items() if item is not None}
