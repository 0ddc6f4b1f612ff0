"""Archives: the same bytes for the same files, and names that stay where they are unpacked."""

import stat
import zipfile
from pathlib import Path

import pytest

from pointseg.formats.archive import is_unsafe, write_archive
from pointseg.formats.submission import foreign_archive, member_names
from pointseg.formats.submission_problems import Findings

TEXT = b"1\n" * 1000


@pytest.mark.parametrize(("compress", "method"), [(True, zipfile.ZIP_DEFLATED), (False, zipfile.ZIP_STORED)])
def test_members_are_plain_files_that_everybody_may_read(tmp_path: Path, compress: bool, method: int) -> None:
    write_archive(tmp_path / "a.zip", [("a.txt", TEXT), ("b.txt", b"")], compress=compress)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        first, second = archive.infolist()
        assert archive.read("a.txt") == TEXT
    assert (first.filename, second.filename) == ("a.txt", "b.txt")
    assert first.compress_type == method and (first.compress_size < len(TEXT)) == compress
    assert first.create_system == 3 and stat.filemode(first.external_attr >> 16) == "?rw-r--r--"


def test_it_compresses_unless_told_otherwise_and_knows_no_time(tmp_path: Path) -> None:
    write_archive(tmp_path / "a.zip", [("a.txt", TEXT)])
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        (member,) = archive.infolist()
    assert member.compress_size < len(TEXT) and member.date_time == (1980, 1, 1, 0, 0, 0)


def test_folders_have_entries_of_their_own_where_they_are_asked_for(tmp_path: Path) -> None:
    files = [("a/", b""), ("a/b/", b""), ("a/b/c.txt", TEXT)]
    write_archive(tmp_path / "a.zip", files, folders=True)
    with zipfile.ZipFile(tmp_path / "a.zip") as archive:
        outer, inner, file = archive.infolist()
        archive.extractall(tmp_path / "out")
    assert outer.is_dir() and inner.is_dir() and not file.is_dir()
    assert stat.filemode(inner.external_attr >> 16) == "drwxr-xr-x" and inner.external_attr & 0x10
    assert (tmp_path / "out" / "a" / "b" / "c.txt").read_bytes() == TEXT
    for name in ("../up", "a//b", "/a", "a/./b", "a/b/c.txt"):
        with pytest.raises(ValueError, match="differ and are plain"):
            write_archive(tmp_path / "b.zip", [("a/b/c.txt", b""), (name, b"")], folders=True)
    assert not (tmp_path / "b.zip").exists()


@pytest.mark.parametrize("name", ["/etc/passwd", "../up", "a/../../b", "a\\b", "c:x", "nul\0", ".", ""])
def test_names_that_lead_out_of_the_folder_are_unsafe(name: str) -> None:
    member = zipfile.ZipInfo("x")
    member.filename = member.orig_filename = name
    assert is_unsafe(member)


@pytest.mark.parametrize("name", ["a.txt", "folder/a.txt", "..a", "a..b/c"])
def test_other_names_are_safe_and_links_are_not(name: str) -> None:
    member = zipfile.ZipInfo(name)
    assert is_unsafe(member) is False
    member.external_attr = 0o120777 << 16
    assert is_unsafe(member)


@pytest.mark.parametrize(
    ("start", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c..", "7z"),
        (b"Rar!....", "RAR"),
        (b"\x1f\x8b......", "gzip"),
        (b"7z......", None),
        (b"PK\x03\x04....", None),
    ],
)
def test_archives_of_other_kinds_are_known_by_their_first_bytes(
    tmp_path: Path, start: bytes, kind: str | None
) -> None:
    (tmp_path / "a.zip").write_bytes(start)
    expected = None if kind is None else f"a.zip is a {kind} archive"
    assert foreign_archive(tmp_path / "a.zip") == expected
    assert member_names(tmp_path / "a.zip") == []


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1, "p0"),
        (4, "p0; p1; p2; p3"),
        (5, "p0; p1; p2; p3; and 1 more"),
        (7, "p0; p1; p2; p3; and 3 more"),
    ],
)
def test_a_mistake_is_shown_at_four_places(number: int, shown: str) -> None:
    findings = Findings({"first": ("One", "Do."), "second": ("Two is wrong", "Mend it.")})
    for place in range(number):
        findings.add("second", f"p{place}")
    (problem,) = findings.problems()
    assert problem.message == f"Two is wrong: {shown}. Mend it."


def test_mistakes_come_in_the_order_of_the_report() -> None:
    findings = Findings({"first": ("One", "Do."), "second": ("Two", "Do.")})
    findings.add("second", "a")
    findings.add("first", "b")
    assert [problem.kind for problem in findings.problems()] == ["first", "second"]
