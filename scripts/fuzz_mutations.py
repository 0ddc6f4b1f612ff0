"""Damage to files: bytes that change, files that are cut, structures that stay whole and say other things."""

from __future__ import annotations

import io
import json
import random
import re
import zipfile
from collections.abc import Callable
from typing import Any

Mutation = Callable[[bytes, random.Random], bytes]

#: Numbers at which parsers err, as little-endian words of 1, 2, 4 and 8 bytes.
_EDGES = [0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF, 2**53, 2**63 - 1, 2**64 - 1]
_WORDS = ["nan", "inf", "-inf", "1e999", "-1", "0", "99999999999999999999", "1.5", "", "\u00e9", "null", "[]"]
_WORDS += ["2147483648", "-2147483649", "true", '"', "{", "a" * 300, "\x00", "1_0", "0x10", "\u0661"]
_VALUES: list[Any] = [None, True, -1, 0, 1.5, 2**31, 2**70, 1e308, "", "a", [], {}, [[]], [None], {"a": 1}]
_NUMBER = re.compile(rb"-?\d+(\.\d+)?")


def flip_bits(data: bytes, rng: random.Random) -> bytes:
    """One to eight bits."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 2, 8))):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flip_early(data: bytes, rng: random.Random) -> bytes:
    """A byte among the first 400, where headers are."""
    changed = bytearray(data)
    changed[rng.randrange(min(400, len(changed)))] = rng.randrange(256)
    return bytes(changed)


def put_edge(data: bytes, rng: random.Random) -> bytes:
    """A number at which parsers err."""
    width = rng.choice((1, 2, 4, 8))
    word = (rng.choice(_EDGES) & (1 << 8 * width) - 1).to_bytes(width, rng.choice(("little", "big")))
    at = rng.randrange(min(len(data), rng.choice((400, len(data)))))
    return data[:at] + word + data[at + width :]


def cut(data: bytes, rng: random.Random) -> bytes:
    """Only its beginning, or nothing."""
    return data[: rng.choice((0, 1, rng.randrange(len(data)), rng.randrange(len(data)), len(data) - 1))]


def lose(data: bytes, rng: random.Random) -> bytes:
    """A part is missing."""
    at = rng.randrange(len(data))
    return data[:at] + data[at + rng.choice((1, 2, 16, 500)) :]


def repeat(data: bytes, rng: random.Random) -> bytes:
    """A part stands twice, or a hundred times."""
    at = rng.randrange(len(data))
    part = data[at : at + rng.choice((1, 8, 100))]
    return data[:at] + part * rng.choice((2, 2, 100)) + data[at + len(part) :]


def blank(data: bytes, rng: random.Random) -> bytes:
    """A page of zeros, as after a power cut; often the whole of it."""
    at = rng.choice((0, rng.randrange(len(data))))
    size = min(rng.choice((64, 4096)), len(data) - at)
    return data[:at] + bytes(size) + data[at + size :]


def other_file(data: bytes, rng: random.Random) -> bytes:
    """What lies in the place of files: a page of a login, pointers, archives, rubbish."""
    starts = [
        b"<!DOCTYPE html><html>",
        b"version https://git-lfs.github.com/spec/v1\n",
        b"PK\x03\x04",
        b"ply\n",
        b"\xff\xfe",
        b"\x89PNG\r\n\x1a\n",
        b"{}",
        b"[]",
        b"\n",
    ]
    return rng.choice(
        [*starts, b"ply\n", b"\xff\xfe", b"\x89PNG\r\n\x1a\n", b"{}", b"[]", b"\n"]
    ) + rng.randbytes(40)


def change_word(data: bytes, rng: random.Random) -> bytes:
    """Another word in the place of a number."""
    found = list(_NUMBER.finditer(data[:20_000]))
    if not found:
        return flip_bits(data, rng)
    match = rng.choice(found)
    return data[: match.start()] + rng.choice(_WORDS).encode() + data[match.end() :]


def change_line(data: bytes, rng: random.Random) -> bytes:
    """A line is missing, stands twice, or is another."""
    lines = data.split(b"\n")
    at = rng.randrange(len(lines))
    lines[at : at + 1] = rng.choice(([], [lines[at]] * 2, [rng.choice(_WORDS).encode()], [rng.choice(lines)]))
    return b"\n".join(lines)


def change_json(data: bytes, rng: random.Random) -> bytes:
    """Another value, or none, somewhere in a JSON document; a digest in it is left out, as by an editor."""
    try:
        document = json.loads(data)
    except ValueError:
        return change_word(data, rng)
    if isinstance(document, dict):
        document.pop("digest", None)
    nodes: list[tuple[Any, Any]] = []
    _collect(document, nodes)
    if not nodes:
        return json.dumps(rng.choice(_VALUES)).encode()
    parent, key = rng.choice(nodes)
    if rng.random() < 0.2:
        del parent[key]
    else:
        parent[key] = rng.choice(_VALUES)
    return json.dumps(document).encode()


def _collect(node: Any, nodes: list[tuple[Any, Any]]) -> None:
    pairs = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    # A thousand labels are one kind of place.
    for key, value in list(pairs)[:50]:
        nodes.append((node, key))
        _collect(value, nodes)


def change_member(data: bytes, rng: random.Random) -> bytes:
    """A file within an archive, whose sums are those of the changed one."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(info, archive.read(info)) for info in archive.infolist()]
    except Exception:
        # It is damaged already.
        return flip_bits(data, rng)
    if not members:
        return flip_bits(data, rng)
    chosen = rng.randrange(len(members))
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        for number, (info, content) in enumerate(members):
            name = info.filename
            if number == chosen and content:
                how = rng.choice((flip_bits, flip_early, put_edge, cut, change_word, lose))
                content = how(content, rng)
                name = rng.choice((name, name, name, f"../{name}", f"x/{name}", name.upper()))
            archive.writestr(zipfile.ZipInfo(name), content, info.compress_type)
    return made.getvalue()


BYTES: tuple[Mutation, ...] = (flip_bits, flip_early, put_edge, cut, lose, repeat, blank, other_file)
TEXT: tuple[Mutation, ...] = (*BYTES, change_word, change_word, change_line, change_line)
JSON: tuple[Mutation, ...] = (*BYTES, change_json, change_json, change_json, change_json)
ARCHIVE: tuple[Mutation, ...] = (*BYTES, change_member, change_member, change_member, change_member)
