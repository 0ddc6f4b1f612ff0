"""Files are there whole or not at all, and on the disk before they have their name."""

import ast
import os
import stat
from pathlib import Path

import pytest

from pointseg.core import durable

ROOT = Path(__file__).parents[2]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is asked of the disk, in order."""
    seen: list[str] = []
    real_sync, real_replace = os.fsync, Path.replace

    def sync(handle: int) -> None:
        seen.append("sync folder" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        real_sync(handle)

    def replace(self: Path, target: Path) -> Path:
        seen.append(f"rename to {Path(target).name}")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", replace)
    return seen


def test_content_reaches_the_disk_before_its_name_and_the_name_after(
    tmp_path: Path, calls: list[str]
) -> None:
    durable.write_text(tmp_path / "a.txt", "né")
    assert calls == ["sync file", "rename to a.txt", "sync folder"]
    assert (tmp_path / "a.txt").read_bytes() == "né".encode()


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with pytest.raises(KeyboardInterrupt), durable.writing(file) as stream:
        stream.write(b"ne")
        raise KeyboardInterrupt
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")
    with durable.writing(file) as stream:
        stream.write(b"new")
        stream.flush()
        assert file.read_text() == "old"
    assert file.read_text() == "new"


def test_two_writers_of_one_file_do_not_mix(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    with durable.writing(file) as first, durable.writing(file) as second:
        first.write(b"1" * 10)
        second.write(b"2")
        first.write(b"1" * 10)
    assert file.read_bytes() == b"1" * 20
    assert list(tmp_path.iterdir()) == [file]


def test_a_file_may_be_read_by_whom_the_user_lets(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        durable.write_bytes(tmp_path / "a", b"")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_a_link_stays_and_its_target_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "real" / "a")
    durable.write_text(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "a").read_text() == "new"


def test_what_is_no_file_is_written_straight(tmp_path: Path) -> None:
    durable.write_text("/dev/null", "gone")
    assert stat.S_ISCHR(Path("/dev/null").stat().st_mode)


def test_json_without_nan(tmp_path: Path) -> None:
    durable.write_json(tmp_path / "a.json", {"name": "né", "values": [1, 2]}, indent=None)
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{"name": "né", "values": [1, 2]}\n'
    with pytest.raises(ValueError, match="JSON"):
        durable.write_json(tmp_path / "b.json", {"value": float("nan")})
    assert not (tmp_path / "b.json").exists()


def test_what_killed_writers_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("last.pt", ".last.pt.0f3a.partial", ".hidden", "notes.partial"):
        (tmp_path / name).touch()
    durable.remove_partials(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"last.pt", ".hidden", "notes.partial"}


def test_a_folder_is_moved_and_its_new_name_is_on_the_disk(tmp_path: Path, calls: list[str]) -> None:
    (tmp_path / "growing").mkdir()
    durable.move(tmp_path / "growing", tmp_path / "whole")
    assert calls == ["rename to whole", "sync folder"]
    assert (tmp_path / "whole").is_dir()


#: Written line by line while it grows, and kept by those who read it: the rows of metrics.jsonl; what the
#: kernel reads at once; and a copy that is made anew where it is missing.
IN_PLACE = {
    ("training/log.py", "open"),
    ("bench/measure.py", "write_text"),
    ("view/open3d_view.py", "savez"),
    # Members of an archive that the one writer writes.
    ("formats/npz_labelled.py", "open"),
    # Locks, the output of a child, and arrays in memory.
    ("study/work.py", "open"),
    ("study/study.py", "open"),
    ("study/children.py", "open"),
    ("study/record.py", "savez_compressed"),
}


#: Calls that write a whole file.
WRITES = ("write_text", "write_bytes", "savez", "savez_compressed", "fsync")


def test_every_file_is_written_by_the_one_writer() -> None:
    """No other module opens a file for writing, or renames one into place."""
    found = set()
    for path in sorted((ROOT / "pointseg").rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if not any(word in text for word in (".open(", *WRITES)):
            continue
        for node in ast.walk(ast.parse(text)):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
                continue
            name = node.func.attr
            texts = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
            opens = name == "open" and any(text in ("w", "wb", "a", "ab", "x", "xb") for text in texts)
            if opens or name in WRITES:
                found.add((str(path.relative_to(ROOT / "pointseg")), name))
    assert {place for place in found if place[0] != "core/durable.py"} == IN_PLACE
