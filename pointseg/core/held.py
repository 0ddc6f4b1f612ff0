"""held_tensors(): every tensor that something holds, for whoever has to say on which stream they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class Holder(Protocol):
    """Something that is no dataclass and knows the tensors that it holds."""

    def tensors(self) -> Iterator[Tensor]:
        """Each of them, some perhaps twice."""
        ...


def held_tensors(value: object) -> Iterator[Tensor]:
    """All tensors of a value, those inside of mappings, sequences, dataclasses and holders included."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from held_tensors(part)
    elif isinstance(value, tuple | list):
        for part in value:
            yield from held_tensors(part)
    elif isinstance(value, Holder):
        yield from value.tensors()
    elif is_dataclass(value):
        for part in vars(value).values():
            yield from held_tensors(part)
