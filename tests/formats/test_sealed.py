"""Sealed JSON: every changed byte is noticed, and files without a seal are read as they are."""

import json
from pathlib import Path

import pytest

from pointseg.formats.sealed import read_sealed_json, write_sealed_json

DATA = {"name": "Überblick", "counts": {"1": 10, "2": 0.1}, "list": [1, [2, None]], "text": "0" * 64}


@pytest.mark.parametrize("indent", [1, None])
def test_data_come_back(tmp_path: Path, indent: int | None) -> None:
    write_sealed_json(tmp_path / "a.json", DATA, indent=indent)
    assert read_sealed_json(tmp_path / "a.json") == DATA


@pytest.mark.parametrize("indent", [1, None])
def test_no_flipped_bit_changes_the_data_unnoticed(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "a.json"
    write_sealed_json(file, DATA, indent=indent)
    whole = file.read_bytes()
    noticed = 0
    for position in range(8 * len(whole)):
        changed = bytearray(whole)
        changed[position // 8] ^= 1 << position % 8
        file.write_bytes(bytes(changed))
        try:
            # A flip in the key of the digest leaves a file without one; its data are whole.
            found = read_sealed_json(file)
            assert {k: v for k, v in found.items() if k in DATA} == DATA
        except ValueError as error:
            assert "a.json" in str(error)
            noticed += 1
    assert noticed > 0.85 * 8 * len(whole)


def test_an_edit_is_refused_with_what_to_do(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_sealed_json(file, DATA)
    file.write_text(file.read_text().replace("10", "11"))
    with pytest.raises(ValueError, match=r'a\.json: its content is not .*delete the entry "digest"'):
        read_sealed_json(file)
    edited = json.loads(file.read_text())
    del edited["digest"]
    file.write_text(json.dumps(edited))
    assert read_sealed_json(file)["counts"]["1"] == 11


def test_a_cut_file_is_named(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_sealed_json(file, DATA)
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"a\.json"):
        read_sealed_json(file)
