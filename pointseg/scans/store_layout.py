"""How a store lies on disk: names, types and the manifest.

    STORE/manifest.json             versions, label set, options; each scene's split, hashes and counts
    STORE/scenes/<name>/*.npy       the ARRAYS of a scene; what it lacks has no file
    STORE/scenes/<name>/scene.json  the scene's entry of the manifest
    STORE/.partial/                 scenes being written; renamed into place when whole

The manifest is rebuilt from the scene.json files, so a stopped preparation loses nothing.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pointseg.core.labels import LabelSpace
from pointseg.formats.sealed import check_seal
from pointseg.formats.text import parse_json

#: Raised when files of an older store cannot be read any more.
FORMAT_VERSION = 1

#: Arrays of a scene with their type on disk; rows are vertices, in file order.
ARRAYS: dict[str, str] = {
    "xyz_m": "float32",
    "rgb": "uint8",
    "normal": "float32",
    "raw_label": "int32",
    "instance": "int32",
    "further_label": "int32",
}

MANIFEST = "manifest.json"
SCENES = "scenes"
PARTIAL = ".partial"


def read_manifest(path: Path) -> dict[str, Any]:
    """The manifest of a store, whether its preparation has ended or not.

    Raises:
        FileNotFoundError: if there is no store at ``path``.
        ValueError: if the manifest is broken or of another format version.
    """
    file = path / MANIFEST
    if not file.is_file():
        raise FileNotFoundError(
            f"{path}: no store here ({MANIFEST} is missing). `pointseg prepare` makes stores."
        )
    content = file.read_bytes()
    try:
        manifest: dict[str, Any] = parse_json(file, content)
        version = manifest["format_version"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(
            f"{file}: not a store's manifest ({type(error).__name__}: {error}). Delete {path} and prepare it "
            "again, or restore the file from a copy."
        ) from None
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise ValueError(
            f"{file}: store format {version} is newer than this pointseg, which reads format "
            f"{FORMAT_VERSION}. Update pointseg to {manifest.get('package_version', 'a later version')}."
        )
    if version != FORMAT_VERSION:
        raise ValueError(
            f"{file}: store format {version}, but this pointseg reads format {FORMAT_VERSION}. "
            "Prepare the store again, or use the pointseg that wrote it "
            f"({manifest.get('package_version', 'version unknown')})."
        )
    # After the version: another one may be sealed otherwise.
    is_sealed = check_seal(file, content)
    missing = {"label_space", "options", "scenes", "complete"} - set(manifest)
    if missing:
        raise ValueError(
            f"{file}: incomplete manifest, {sorted(missing)} missing; run `pointseg prepare` again."
        )
    if not is_sealed:
        _check_manifest(file, manifest)
    return manifest


def _check_manifest(file: Path, manifest: dict[str, Any]) -> None:
    """What carries no digest was edited, or is of an older version: whether everything in it is of its kind.

    Raises:
        ValueError: naming the scene.
    """
    try:
        LabelSpace.from_dict(manifest["label_space"])
    except (KeyError, TypeError, IndexError, AttributeError, ValueError, OverflowError) as error:
        raise ValueError(f"{file}: its label_space is none ({error!r}). Restore it from a copy.") from None
    if not isinstance(manifest["scenes"], dict) or not isinstance(manifest["options"], dict):
        raise ValueError(f"{file}: scenes and options must be objects. Restore it from a copy.")
    for name, entry in manifest["scenes"].items():
        if not is_entry(entry):
            raise ValueError(f"{file}: the entry of scene {name!r} is none. Restore it from a copy.")


def is_entry(entry: Any) -> bool:
    """Whether something is what a store keeps of a scene, in its manifest and in scene.json."""

    def of(value: Any, kind: type) -> bool:
        # True is a number to Python, and to nobody else.
        return isinstance(value, dict) and all(type(item) is kind for item in value.values())

    try:
        return (
            isinstance(entry["split"], str)
            and type(entry["num_vertices"]) is int
            and entry["num_vertices"] >= 0
            and all(isinstance(file["sha256"], str) for file in entry["files"].values())
            and of(entry["class_points"], int)
            and all(raw_id.lstrip("-").isdecimal() for raw_id in entry["class_points"])
            and isinstance(entry.get("notes", {}), dict)
        )
    except (KeyError, TypeError, AttributeError):
        return False


def check_scene_name(name: str) -> str:
    """The name itself, if it can be a folder's name and nothing more.

    Raises:
        ValueError: for names with path parts, control characters, a leading dot, or of no or great length.
    """
    # Names of files may hold bytes that are no UTF-8; they come as characters that are not printable.
    hidden_or_empty = not name or name.startswith(".") or len(name.encode("utf-8", "surrogateescape")) > 200
    if hidden_or_empty or any(c in "/\\:" or not c.isprintable() for c in name):
        raise ValueError(
            f"{name!r} cannot be a scene's name: no path separators, colons, control characters, "
            "leading dot, bytes that are no UTF-8, and 1 to 200 bytes. Rename it."
        )
    return name


def sha256_of(file: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with file.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
