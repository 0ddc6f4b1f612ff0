"""SweepLayout: how a server of LiDAR sweeps wants the predictions of each sweep, in a zip with folders."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pointseg.formats import nuscenes, semantickitti
from pointseg.formats.semantickitti import count_points


@dataclass(frozen=True)
class SweepLayout(ABC):
    """A server's layout: a file of numbers for each sweep, one a point, and what else it looks for.

    Attributes:
        suffix: what the files of predictions end with.
        dtype: of their numbers.
        merged: raw ids that the server takes for others.
    """

    suffix: ClassVar[str]
    dtype: ClassVar[str]
    merged: ClassVar[Mapping[int, int]] = {}

    @abstractmethod
    def member(self, scene: str) -> str:
        """Where in the archive the predictions of a scene lie."""

    @abstractmethod
    def scored(self, raw: Path) -> dict[str, int]:
        """Scene -> points of what the server scores, from a copy of the data set.

        Raises:
            ValueError: if the copy lacks it.
        """

    def folders(self, scenes: Iterable[str]) -> list[str]:
        """Folders that must have an entry of their own, each ending with '/', outer ones first."""
        return []

    @property
    def further(self) -> dict[str, bytes]:
        """Files that the archive must hold beside the predictions, and what is written into them."""
        return {}

    @property
    def optional(self) -> tuple[str, ...]:
        """Files that it may hold."""
        return ()

    def fault(self, name: str, content: bytes) -> str | None:
        """What is wrong with one of the further or optional files."""
        return None

    def encode(self, raw_id: npt.NDArray[np.int32]) -> bytes:
        """(P,) raw ids as the bytes of a file."""
        return np.ascontiguousarray(raw_id.astype(self.dtype)).tobytes()

    def decode(self, content: bytes) -> npt.NDArray[np.int64]:
        """(P,) raw ids that the server counts, from the bytes of a file."""
        return np.frombuffer(content, dtype=self.dtype).astype(np.int64)


@dataclass(frozen=True)
class KittiLayout(SweepLayout):
    """SemanticKITTI: ``sequences/11/predictions/000000.label``, uint32, class in the lower half.

    The release's validate_submission.py wants entries for the folders, a name that ends with .zip, and a
    file of the right length for each sweep; ids it does not look at, and the server counts unknown ones as
    misses. ``description.txt`` is optional, has six headings, and is for the leaderboard.

    Args:
        description: content of description.txt; None leaves it out.
    """

    suffix: ClassVar[str] = ".label"
    dtype: ClassVar[str] = "<u4"
    merged: ClassVar[Mapping[int, int]] = semantickitti.MERGED
    #: Lines of description.txt, each followed by its value.
    HEADINGS: ClassVar[tuple[str, ...]] = (
        *("method name:", "method description:", "project url:", "publication url:", "bibtex:"),
        "organization or affiliation:",
    )

    description: bytes | None = None

    def member(self, scene: str) -> str:
        sequence, _, sweep = scene.rpartition("_")
        return f"sequences/{sequence}/predictions/{sweep}.label"

    def scored(self, raw: Path) -> dict[str, int]:
        sweeps = semantickitti.find_sweeps(raw, semantickitti.TEST)
        return {scene: count_points(file, semantickitti.POINT_BYTES) for scene, file in sweeps.items()}

    def folders(self, scenes: Iterable[str]) -> list[str]:
        sequences = sorted({scene.rpartition("_")[0] for scene in scenes})
        inner = [f"sequences/{s}/{sub}" for s in sequences for sub in ("", "predictions/")]
        return ["sequences/", *inner]

    @property
    def further(self) -> dict[str, bytes]:
        return {} if self.description is None else {"description.txt": self.description}

    @property
    def optional(self) -> tuple[str, ...]:
        # The tree in the README has it in sequences, the validator knows it at the root.
        return ("description.txt", "sequences/description.txt")

    def fault(self, name: str, content: bytes) -> str | None:
        try:
            text = content.decode("utf-8-sig").lower()
        except UnicodeDecodeError:
            return f"{name} is no text in UTF-8"
        missing = [heading for heading in self.HEADINGS if heading not in text]
        return f"{name} lacks {', '.join(repr(heading) for heading in missing)}" if missing else None

    def decode(self, content: bytes) -> npt.NDArray[np.int64]:
        return super().decode(content) & semantickitti.CLASS_BITS


@dataclass(frozen=True)
class NuScenesLayout(SweepLayout):
    """nuScenes-lidarseg: ``lidarseg/test/TOKEN_lidarseg.bin``, uint8, and ``test/submission.json``.

    Args:
        eval_set: split as the devkit calls it; the server scores test.
    """

    suffix: ClassVar[str] = "_lidarseg.bin"
    dtype: ClassVar[str] = "u1"
    META: ClassVar[Mapping[str, bool]] = {
        "use_camera": False,
        "use_lidar": True,
        "use_radar": False,
        "use_map": False,
        "use_external": False,
    }

    eval_set: str = "test"

    def member(self, scene: str) -> str:
        return f"lidarseg/{self.eval_set}/{scene}_lidarseg.bin"

    def scored(self, raw: Path) -> dict[str, int]:
        versions = [v for v in nuscenes.versions_of(raw) if (v == "v1.0-test") == (self.eval_set == "test")]
        if not versions:
            raise ValueError(f"{raw}: it holds no version of nuScenes with the split {self.eval_set!r}.")
        version, splits = versions[0], nuscenes.split_of_scenes(versions[0])
        return {
            frame.token: count_points(frame.points, nuscenes.POINT_BYTES)
            for frame in nuscenes.keyframes(raw, version)
            if splits.get(frame.scene) == self.eval_set
        }

    @property
    def further(self) -> dict[str, bytes]:
        content = json.dumps({"meta": dict(self.META)}, indent=2) + "\n"
        return {f"{self.eval_set}/submission.json": content.encode()}

    def fault(self, name: str, content: bytes) -> str | None:
        try:
            meta = json.loads(content)["meta"]
        except (ValueError, KeyError, TypeError):
            return f'{name} is no JSON with "meta"'
        if not isinstance(meta, dict) or set(meta) != set(self.META):
            return f"{name}: meta must have {', '.join(self.META)} and nothing else"
        odd = [key for key, value in meta.items() if not isinstance(value, bool)]
        return f"{name}: {', '.join(odd)} must be true or false" if odd else None


#: What files of predictions in these layouts end with.
SUFFIXES = (KittiLayout.suffix, NuScenesLayout.suffix)


def layout_of_archive(name: str, members: Collection[str]) -> SweepLayout:
    """The layout called so; that of nuScenes for the split that most members of the archive are of."""
    if name == "semantickitti":
        return KittiLayout()
    parts = [member.split("/") for member in members if member.endswith(NuScenesLayout.suffix)]
    sets = Counter(part[-2] for part in parts if len(part) > 1 and part[-2] in ("train", "val"))
    (eval_set, count), *_ = [*sets.most_common(1), ("test", 0)]
    return NuScenesLayout(eval_set if 2 * count > len(parts) else "test")


def layout_for_split(name: str, split: str, description: bytes | None) -> SweepLayout | None:
    """The layout called so, to write a split of a store; None where scans are written as text.

    Raises:
        ValueError: for a description where the server takes none.
    """
    if name == "semantickitti":
        return KittiLayout(description)
    if description is not None:
        raise ValueError("--description is for SemanticKITTI; the server of this data set takes none.")
    return NuScenesLayout(split) if name == "nuscenes" else None
