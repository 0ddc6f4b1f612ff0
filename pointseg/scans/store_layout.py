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
        raise FileNotFoundError(f"{path}: no store here ({MANIFEST} is missing). data_prep/*.py make stores.")
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
    check_seal(file, content)
    missing = {"label_space", "options", "scenes", "complete"} - set(manifest)
    if missing:
        raise ValueError(f"{file}: incomplete manifest, {sorted(missing)} missing; run data_prep again.")
    return manifest


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
