"""StoreWriter: scenes into a store, each whole or absent; a stopped run continues."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from pointseg import __version__
from pointseg.core.durable import is_partial, move, remove_partials, writing
from pointseg.core.labels import LabelSpace
from pointseg.core.lock import LOCK
from pointseg.core.scene import Scene
from pointseg.formats.sealed import read_sealed_json, write_sealed_json
from pointseg.scans.store_layout import (
    ARRAYS,
    FORMAT_VERSION,
    MANIFEST,
    PARTIAL,
    SCENES,
    check_scene_name,
    read_manifest,
    sha256_of,
)


class StoreWriter:
    """Writes a store scene by scene.

    One writer a store at a time; under it, several processes may call :func:`write_scene`.

    Args:
        path: folder of the store; made if missing.
        label_space: the classes of ``raw_label``.
        options: how the scenes are prepared; recorded in the manifest.

    Raises:
        ValueError: if there is a store already that was made with another label space or other options,
            or the folder holds something else.
    """

    def __init__(
        self, path: Path | str, label_space: LabelSpace, *, options: Mapping[str, Any] | None = None
    ) -> None:
        self.path = Path(path)
        self.label_space = label_space
        # Through JSON, so that a tuple given now equals the list read later.
        self.options: dict[str, Any] = json.loads(json.dumps(dict(options or {})))
        if (self.path / MANIFEST).is_file():
            self._check_continues(read_manifest(self.path))
        elif self.path.exists() and not _is_empty(self.path):
            raise ValueError(f"{self.path}: not empty and no store; choose a new folder for the store.")
        (self.path / SCENES).mkdir(parents=True, exist_ok=True)
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)
        remove_partials(self.path)
        self._write_manifest({}, complete=False)

    def _check_continues(self, manifest: Mapping[str, Any]) -> None:
        if not any((self.path / SCENES).glob("*/scene.json")):
            return  # Nothing is in it that was made otherwise: the first try failed before its first scene.
        old = LabelSpace.from_dict(manifest["label_space"])
        for what, before, now in (
            ("classes", _identity(old), _identity(self.label_space)),
            ("options", manifest["options"], self.options),
        ):
            if before != now and not _only_adds(before, now):
                raise ValueError(
                    f"{self.path}: this store was begun with other {what} "
                    f"({_difference(before, now)}). Choose another folder or delete this one."
                )

    def has(self, name: str, split: str | None = None) -> bool:
        """Whether the scene is there, whole; with ``split``, whether it is there in that split."""
        file = self.path / SCENES / check_scene_name(name) / "scene.json"
        if split is None or not file.is_file():
            return file.is_file()
        try:
            return bool(read_sealed_json(file)["split"] == split)
        except (ValueError, KeyError, TypeError):
            # Cut by a full disk or a power cut: the scene is made again, and takes its place.
            return False

    def add(self, scene: Scene, split: str, notes: Mapping[str, Any] | None = None) -> None:
        """Write a scene; one of that name is replaced.

        Args:
            scene: the scene.
            split: its split, such as ``train``.
            notes: anything else worth keeping in scene.json, such as the offset of its coordinates.

        Raises:
            ValueError: see :func:`write_scene`.
        """
        write_scene(self.path, scene, split, notes)

    def entries(self) -> dict[str, dict[str, Any]]:
        """The scene.json of every scene that is there, by name."""
        files = sorted((self.path / SCENES).glob("*/scene.json"))
        return {file.parent.name: read_sealed_json(file) for file in files}

    def finish(self, label_space: LabelSpace | None = None) -> None:
        """Write the manifest from the scenes that are there; from now on :meth:`Store.open` reads the store.

        Args:
            label_space: the same classes with groups, where groups follow from the counts; default unchanged.
        """
        shutil.rmtree(self.path / PARTIAL, ignore_errors=True)
        self.label_space = label_space or self.label_space
        self._write_manifest(self.entries(), complete=True)

    def _write_manifest(self, scenes: Mapping[str, Any], *, complete: bool) -> None:
        write_sealed_json(
            self.path / MANIFEST,
            {
                "format_version": FORMAT_VERSION,
                "package_version": __version__,
                "complete": complete,
                "label_space": self.label_space.to_dict(),
                "options": self.options,
                "scenes": scenes,
            },
        )


def write_scene(store: Path, scene: Scene, split: str, notes: Mapping[str, Any] | None = None) -> None:
    """Write one scene into a store: into a temporary folder, to the disk, then renamed into place.

    Args: see :meth:`StoreWriter.add`. Safe to call from several processes for different scenes.

    Raises:
        ValueError: for an empty scene, a name with path parts, or positions that are not finite.
    """
    name = check_scene_name(scene.name)
    if scene.num_vertices == 0:
        raise ValueError(f"{name}: the scene has no vertex.")
    if not bool(np.isfinite(scene.xyz_m).all()):
        broken = int((~np.isfinite(scene.xyz_m)).any(axis=1).sum())
        raise ValueError(f"{name}: {broken} vertices have positions that are NaN or infinite.")
    (store / PARTIAL).mkdir(exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=store / PARTIAL))
    try:
        _fill_folder(folder, scene, split, notes)
        final = store / SCENES / name
        if final.exists():
            # A folder cannot replace a full one in one step; moved aside first, the scene is never mixed.
            final.rename(Path(tempfile.mkdtemp(dir=store / PARTIAL)) / name)
        move(folder, final)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _fill_folder(folder: Path, scene: Scene, split: str, notes: Mapping[str, Any] | None) -> None:
    files = {
        array: _write_array(folder / f"{array}.npy", np.asarray(getattr(scene, array)), kind)
        for array, kind in ARRAYS.items()
        if getattr(scene, array) is not None
    }
    write_sealed_json(
        folder / "scene.json",
        {
            "split": split,
            "num_vertices": scene.num_vertices,
            "files": files,
            "class_points": _class_points(scene),
            "notes": dict(notes or {}),
        },
    )
    # mkdtemp makes private folders; a store is read by whoever may read its parent.
    folder.chmod(0o755)


def _write_array(file: Path, values: np.ndarray, kind: str) -> dict[str, Any]:
    if values.dtype != kind and not np.can_cast(values.dtype, kind, casting="same_kind"):
        raise ValueError(f"{file.name}: expected {kind}; got {values.dtype}.")
    stored = np.ascontiguousarray(values, dtype=kind)
    if values.dtype.kind in "iu" and not np.array_equal(stored, values):
        raise ValueError(f"{file.name}: values do not fit {kind}.")
    with writing(file) as stream:
        np.save(stream, stored, allow_pickle=False)
    return {"sha256": sha256_of(file), "shape": list(stored.shape), "dtype": kind}


def _class_points(scene: Scene) -> dict[str, int]:
    if scene.raw_label is None:
        return {}
    ids, counts = np.unique(scene.raw_label, return_counts=True)
    return {str(raw_id): int(count) for raw_id, count in zip(ids.tolist(), counts.tolist(), strict=True)}


def _is_empty(path: Path) -> bool:
    """Whether a folder holds nothing, or nothing but what a writer leaves that was killed at its start."""
    own = (SCENES, PARTIAL, LOCK)
    return path.is_dir() and all(entry.name in own or is_partial(entry, MANIFEST) for entry in path.iterdir())


def _identity(label_space: LabelSpace) -> dict[str, Any]:
    """What must not change while a store grows; groups and colours may, they touch no scene."""
    names = dict(zip(map(str, label_space.raw_ids), label_space.names, strict=True))
    return {"name": label_space.name, "unlabelled_raw_id": label_space.unlabelled_raw_id, **names}


def _only_adds(before: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether classes or ignored ids were added and nothing else: no scene that is there can have them."""
    ids = "ignored_raw_ids"
    return (
        all(now.get(key) == value for key, value in before.items() if key != ids)
        and set(now) - set(before) <= {key for key in now if key.lstrip("-").isdigit()}
        and set(before.get(ids, ())) <= set(now.get(ids, ()))
    )


def _difference(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    keys = [key for key in {**before, **now} if before.get(key) != now.get(key)]
    shown = ", ".join(f"{key}: {before.get(key)!r} then, {now.get(key)!r} now" for key in keys[:3])
    return shown + (f", and {len(keys) - 3} more" if len(keys) > 3 else "")
