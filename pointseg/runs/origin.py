"""Origin: the data that a run was trained on, as far as other data can be held against them.

A network takes anything that has the right columns. Scenes that stand otherwise, are of another unit or
carry other ids give numbers that look like numbers; what was recorded here is what tells them apart.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.scene import Scene
from pointseg.data.kind import DataFile
from pointseg.data.source import Source

#: So many scenes are measured, evenly over all, and so many of their vertices: enough for a range.
_SCENES, _VERTICES = 200, 2000
#: A scan may be so many times as high as the highest of the training, or as low as the lowest.
_TIMES_HEIGHT = 1.6
#: What is said of options of a preparation that differ; others of them change no number.
_MATTERS = ("source", "axis_aligned", "label_column", "label_table_sha256", "unit", "normals")


@dataclass(frozen=True)
class Origin:
    """What a run was trained on.

    Args:
        content: fingerprint of the training members, of all that the data set's manifest says of them.
        options: how they were prepared, where the data set says it.
        height_m: heights of the lowest and the highest training scan, strays left out; None for what is no
            scan.
        guesses: what all training scenes lacked and got made from their points, see
            :class:`pointseg.data.kind.DataFile`.
    """

    content: str
    options: Mapping[str, Any] = field(default_factory=dict)
    height_m: tuple[float, float] | None = None
    guesses: tuple[str, ...] = ()

    @classmethod
    def of(cls, source: Source, names: Sequence[str]) -> Origin:
        """That of members of a data set; a part of every scan is read."""
        heights = []
        for name in names[:: -(-len(names) // _SCENES)]:
            member = source.load(name)
            if isinstance(member, Scene) and member.num_vertices:
                heights.append(height_m(member.xyz_m))
        span = (round(min(heights), 3), round(max(heights), 3)) if heights else None
        made = all(source.entry(name).get("notes", {}).get("made_normals") for name in names)
        guesses = ("normals",) if made else ()
        return cls(content_of(source, names), dict(getattr(source, "options", {})), span, guesses)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Origin:
        """The inverse of :meth:`to_dict`; KeyError, TypeError and ValueError for anything else."""
        span = data["height_m"]
        low, high = (0.0, 0.0) if span is None else span
        return cls(
            str(data["content"]),
            dict(data["options"]),
            None if span is None else (float(low), float(high)),
            tuple(str(name) for name in data.get("guesses", ())),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "content": self.content,
            "options": dict(self.options),
            "height_m": self.height_m,
            "guesses": list(self.guesses),
        }

    def doubts_about(self, source: Source, names: Sequence[str]) -> list[str]:
        """How members of another data set differ from those of the training, for people."""
        options = getattr(source, "options", {})
        found = [
            f"{source.path} was prepared otherwise than the training data: {', '.join(differing)}"
            for differing in [differences(self.options, options)]
            if differing
        ]
        bare = [name for name in names if not _is_aligned(source, name)]
        if self.options.get("axis_aligned") and options.get("axis_aligned") and bare:
            found.append(
                f"{len(bare)} of {len(names)} scenes have no axisAlignment and stand as they were scanned, "
                f"such as {bare[0]}; the training scenes were turned by theirs"
            )
        return found

    def doubts_about_file(self, file: DataFile) -> list[str]:
        """How a single file differs from the training data, for people."""
        member = file.scene
        if not isinstance(member, Scene) or not member.num_vertices:
            return []
        found = [cost for name, cost in file.guesses.items() if name not in self.guesses]
        if self.options.get("axis_aligned"):
            found.append(
                "the network was trained on scenes that were turned to the axes by their axisAlignment; this "
                "file is taken as it stands"
            )
        height = height_m(member.xyz_m)
        if self.height_m and not self.height_m[0] <= height * _TIMES_HEIGHT:
            found.append(f"it is {height:.3g} m high, {self._trained()}; is its unit the metre, and z up?")
        elif self.height_m and height > _TIMES_HEIGHT * self.height_m[1]:
            found.append(
                f"it is {height:.3g} m high, {self._trained()}; is its unit the metre (3.28 times as much "
                "would be feet; --unit says it), and z up?"
            )
        return found

    def _trained(self) -> str:
        assert self.height_m is not None
        return f"and the scans of the training were {self.height_m[0]:.3g} to {self.height_m[1]:.3g} m"


def content_of(source: Source, names: Sequence[str]) -> str:
    """Fingerprint of members: changes with their files, where hashes of these are kept, and their labels."""
    entries = {name: {k: v for k, v in source.entry(name).items() if k != "notes"} for name in names}
    return hashlib.sha256(json.dumps(entries, sort_keys=True, default=str).encode()).hexdigest()


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Options of a preparation that both data sets have, and that differ."""
    both = [key for key in _MATTERS if key in before and key in now and before[key] != now[key]]
    return [f"{key} {_short(now[key])}, in the training {_short(before[key])}" for key in both]


def mixed_alignment(source: Source, names: Sequence[str]) -> str:
    """What to say of members of which some were turned to the axes and others not, or ""."""
    turned = sum(_is_aligned(source, name) for name in names)
    if not getattr(source, "options", {}).get("axis_aligned") or turned == len(names):
        return ""
    return (
        f"WARNING: {turned} of {len(names)} scenes were turned to the axes by their axisAlignment and the "
        "others have none: the network sees two kinds of rooms. Prepare them without --axis-align"
    )


def height_m(xyz_m: npt.NDArray[Any]) -> float:
    """Height of a scan without its strays: from the first to the last hundredth of its vertices, (P, 3)."""
    z = np.asarray(xyz_m[:: max(1, len(xyz_m) // _VERTICES), 2], dtype=np.float64)
    low, high = np.percentile(z, (1, 99))
    return float(high - low)


def _is_aligned(source: Source, name: str) -> bool:
    return bool(source.entry(name).get("notes", {}).get("axis_aligned", True))


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 20 else f"{text[:12]}..."
