"""Mistakes of a submission, each with what to do about it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

#: A mistake found in many files is shown with this many of them.
MAX_SHOWN = 4


@dataclass(frozen=True)
class Problem:
    """One kind of mistake and every place where it was found: what is wrong, and what to do."""

    kind: str
    places: tuple[str, ...]
    what: str
    fix: str

    @property
    def message(self) -> str:
        """What is wrong, where, and what to do, as one line."""
        more = len(self.places) - MAX_SHOWN
        shown = "; ".join(self.places[:MAX_SHOWN]) + (f"; and {more} more" if more > 0 else "")
        return f"{self.what}: {shown}. {self.fix}"


class Findings:
    """Mistakes while they are being found.

    Args:
        kinds: kind -> (what is wrong, what to do), in the order of a report.
    """

    def __init__(self, kinds: Mapping[str, tuple[str, str]]) -> None:
        self._kinds = kinds
        self._places: dict[str, list[str]] = {}

    def add(self, kind: str, place: str) -> None:
        assert kind in self._kinds
        self._places.setdefault(kind, []).append(place)

    def problems(self) -> tuple[Problem, ...]:
        return tuple(
            Problem(kind, tuple(self._places[kind]), *text)
            for kind, text in self._kinds.items()
            if kind in self._places
        )
