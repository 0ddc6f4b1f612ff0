"""Numbers with their nouns."""

from __future__ import annotations

_IRREGULAR = {"classes": "class", "vertices": "vertex"}


def singular(many: str) -> str:
    """What one of ``many`` is called: vertices -> vertex, smaller classes -> smaller class."""
    before, space, noun = many.rpartition(" ")
    return before + space + _IRREGULAR.get(noun, noun.removesuffix("s"))


def counted(count: int, many: str) -> str:
    """A number with its noun: 1 class, 2,000 classes."""
    return f"{count:,} {singular(many) if count == 1 else many}"
