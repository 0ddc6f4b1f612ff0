"""Store: a prepared data set, opened for reading. StoreWriter makes one; see store_layout for its files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.core.scene import Scene
from pointseg.data.source import Source, count_classes
from pointseg.formats.npz import BAD_ARRAY
from pointseg.scans.store_layout import ARRAYS, SCENES, check_scene_name, read_manifest, sha256_of
from pointseg.scans.store_writer import StoreWriter

__all__ = ["Store", "StoreWriter", "count_classes"]

#: Files whose content this process has compared with the manifest, with their hashes there: once is enough
#: for a process, and costs a pass of SHA-256 at the first reading of a scene.
_VERIFIED: set[tuple[str, str]] = set()


# How it is shown is said by Source.
@dataclass(frozen=True, repr=False)
class Store(Source):
    """A prepared data set, opened for reading; small enough to be sent to loader workers.

    Args:
        path: its folder.
        label_space: the classes; ``raw_label`` of every scene is in its raw ids.
        options: how it was prepared (source, axis alignment, tables and their hashes).
        entries: for each scene its split, number of vertices, files with hashes, class points and notes.
    """

    path: Path
    label_space: LabelSpace
    options: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path | str) -> Store:
        """Read the manifest; no scene is touched.

        Raises:
            FileNotFoundError: if there is no store at ``path``.
            ValueError: if its preparation has not ended, or it was written in another format version.
        """
        path = Path(path)
        manifest = read_manifest(path)
        if not manifest["complete"]:
            raise ValueError(
                f"{path}: its preparation was stopped before the end. Run the same `pointseg prepare` again; "
                "it continues where it stopped."
            )
        return cls(
            path,
            LabelSpace.from_dict(manifest["label_space"]),
            entries=manifest["scenes"],
            options=manifest["options"],
        )

    def has_labels(self, name: str) -> bool:
        return "raw_label" in self.entry(name)["files"]

    def has_colors(self, name: str) -> bool:
        return "rgb" in self.entry(name)["files"]

    def num_scored(self, name: str) -> int:
        """Rows of a scene that its benchmark scores: the first ones; behind them lie drawn points."""
        return int(self.entry(name).get("notes", {}).get("scored_rows", self.num_vertices(name)))

    def load(self, name: str, *, verify: bool = True) -> Scene:
        """A scene whose arrays are read-only memory maps: pages are read when they are used.

        Args:
            name: of the scene.
            verify: compare each file with its hash in the manifest, the first time in a process.

        Raises:
            ValueError: if there is no such scene, or its files do not agree with the manifest.
        """
        entry = self.entry(name)
        folder = self.path / SCENES / check_scene_name(name)
        arrays: dict[str, Any] = {}
        for array in entry["files"]:
            if array not in ARRAYS:
                raise ValueError(f"{self.path}: scene {name} lists an unknown array {array!r}.")
            file = folder / f"{array}.npy"
            try:
                arrays[array] = np.load(file, mmap_mode="r", allow_pickle=False)
                if not isinstance(arrays[array], np.ndarray) or not arrays[array].ndim:
                    raise ValueError("it holds no rows")
            except BAD_ARRAY as error:
                raise ValueError(
                    f"{file}: cannot be read ({error}). Delete {folder} and run `pointseg prepare` again."
                ) from None
            rows, kind = len(arrays[array]), arrays[array].dtype
            if kind != ARRAYS[array] or rows != entry["num_vertices"]:
                raise ValueError(
                    f"{file}: expected {entry['num_vertices']} rows of {ARRAYS[array]}; got {rows} of "
                    f"{kind}. Delete {folder} and run `pointseg prepare` again."
                )
            if verify:
                _verify(file, entry["files"][array]["sha256"])
        x, y, z = entry.get("notes", {}).get("offset_m", (0.0, 0.0, 0.0))
        return Scene(name, **arrays, offset_m=(float(x), float(y), float(z)))

    def read(self, name: str) -> Scene:
        return read_whole(self.load(name))


def read_whole(scene: Scene) -> Scene:
    """A scene in memory, with what training needs of it: here the disk is waited for."""

    def copied(values: npt.NDArray[Any] | None) -> npt.NDArray[Any] | None:
        return None if values is None else np.array(values)

    return Scene(
        scene.name,
        np.array(scene.xyz_m),
        rgb=copied(scene.rgb),
        normal=copied(scene.normal),
        raw_label=copied(scene.raw_label),
        offset_m=scene.offset_m,
    )


def _verify(file: Path, sha256: str) -> None:
    """Raises ValueError if a file is not the one of this hash."""
    key = (str(file.absolute()), sha256)
    if key in _VERIFIED:
        return
    try:
        found = sha256_of(file)
    except OSError as error:
        raise ValueError(
            f"{file}: cannot be read ({error}). Delete {file.parent} and run `pointseg prepare` again."
        ) from None
    if found != sha256:
        raise ValueError(
            f"{file}: its content is not what was written: a damaged disk, a copy that was cut, or an "
            f"edit. Delete {file.parent} and run `pointseg prepare` again."
        )
    _VERIFIED.add(key)
