"""JSON files that carry their own hash, so that a changed bit or digit is noticed when they are read.

    {"digest": "<sha256>", ...}

The digest comes first and is that of the file's bytes with zeros in its place, so that to check it costs a
pass of SHA-256 over the file and no second encoding. A file without one, of an older version or written by
hand, is read as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pointseg.core.durable import write_bytes
from pointseg.formats.text import parse_json

_KEY = "digest"
_ZEROS = "0" * 64
_START = re.compile(rb'\s*\{\s*"digest": "([0-9a-f]{64})"')


def write_sealed_json(path: Path | str, data: Mapping[str, Any], *, indent: int | None = 1) -> None:
    """The file with these data and their digest, whole or not at all.

    Args:
        path: the file.
        data: without a key ``digest``.
        indent: as in json.dumps.

    Raises:
        ValueError: for NaN and infinity, which JSON has not.
    """
    text = json.dumps({_KEY: _ZEROS, **data}, indent=indent, ensure_ascii=False, allow_nan=False) + "\n"
    content = text.encode("utf-8")
    digest = hashlib.sha256(content).hexdigest()
    write_bytes(path, content.replace(_ZEROS.encode(), digest.encode(), 1))


def read_sealed_json(path: Path) -> Any:
    """The data of a file, checked where it carries a digest, without it.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is no JSON, or has changed since it was written; the message names the file.
    """
    content = path.read_bytes()
    check_seal(path, content)
    data = parse_json(path, content)
    if isinstance(data, dict):
        data.pop(_KEY, None)
    return data


def check_seal(path: Path, content: bytes) -> bool:
    """Compare the bytes of a file with the digest in them; whether there is one.

    Raises:
        ValueError: if they have changed since they were written.
    """
    found = _START.match(content)
    if found is None:
        return False
    zeroed = content[: found.start(1)] + _ZEROS.encode() + content[found.end(1) :]
    if hashlib.sha256(zeroed).hexdigest().encode() != found[1]:
        raise ValueError(
            f"{path}: its content is not what was written: a damaged disk or copy, or an edit. Restore it "
            f'from a copy; if the edit was on purpose, delete the entry "{_KEY}" from the file.'
        )
    return True
