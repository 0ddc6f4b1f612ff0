"""The submission zip: what is written passes, and every known mistake is recognised and explained."""

import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointseg.core.labels import load_label_space
from pointseg.formats.id_diagnosis import diagnose_ids
from pointseg.formats.submission import SubmissionCheck, class_shares
from pointseg.scans.submission import check_submission, write_submission
from pointseg.scans.submission_kinds import KINDS

SCANNET200 = load_label_space("scannet200")
SCANNET20 = load_label_space("scannet20")
COUNTS = {"scene0707_00": 40, "scene0708_00": 30, "scene0709_00": 50}
OTHERS = {"scene0568_00": "val", "scene0000_00": "train"}
SCENE = r"scene\d{4}_\d{2}"
Files = dict[str, bytes]


def ids(scene: str, choose: Callable[[int], int] = lambda i: SCANNET200.raw_ids[7 * i % 200]) -> list[int]:
    return [choose(i) for i in range(COUNTS[scene])]


def text(values: list[int]) -> bytes:
    return b"".join(b"%d\n" % v for v in values)


def good(choose: Callable[[int], int] = lambda i: SCANNET200.raw_ids[7 * i % 200]) -> Files:
    return {f"{scene}.txt": text(ids(scene, choose)) for scene in COUNTS}


def archive(tmp_path: Path, files: Files) -> Path:
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as handle:
        for name, data in files.items():
            handle.writestr(name, data)
    return path


def checked(tmp_path: Path, files: Files, label_space=SCANNET200) -> SubmissionCheck:
    return check_submission(
        archive(tmp_path, files), label_space, COUNTS, other_scenes=OTHERS, scene_name=SCENE
    )


def message(check: SubmissionCheck, kind: str) -> str:
    return next(problem.message for problem in check.problems if problem.kind == kind)


def test_a_good_archive_has_no_problem(tmp_path: Path) -> None:
    check = checked(tmp_path, good())
    assert check.is_valid
    assert (check.num_scenes, check.num_vertices) == (3, 120)


def test_what_is_written_passes_the_check_and_reads_back(tmp_path: Path) -> None:
    path = tmp_path / "out.zip"
    write_submission(path, ((scene, np.array(ids(scene), dtype=np.int32)) for scene in COUNTS))
    assert check_submission(path, SCANNET200, COUNTS).is_valid
    with zipfile.ZipFile(path) as handle:
        assert handle.namelist() == [f"{scene}.txt" for scene in COUNTS]
        assert handle.read("scene0707_00.txt") == text(ids("scene0707_00"))


def test_the_same_predictions_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        write_submission(tmp_path / name, [("scene0707_00", np.array([1, 2]))])
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_a_stopped_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def stopping():
        yield "scene0707_00", np.array([1])
        raise KeyboardInterrupt

    (tmp_path / "out.zip").write_bytes(b"earlier")
    with pytest.raises(KeyboardInterrupt):
        write_submission(tmp_path / "out.zip", stopping())
    assert [p.name for p in tmp_path.iterdir()] == ["out.zip"]
    assert (tmp_path / "out.zip").read_bytes() == b"earlier"


@pytest.mark.parametrize("name", ["../evil", "a/b", "", ".hidden"])
def test_scene_names_that_are_no_plain_names_are_not_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="file names that differ and hold no"):
        write_submission(tmp_path / "out.zip", [(name, np.array([1]))])


def test_a_scene_is_not_written_twice(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="differ"):
        write_submission(tmp_path / "out.zip", [("a", np.array([1])), ("a", np.array([1]))])


def rename(files: Files, change: Callable[[str], str]) -> Files:
    return {change(name): data for name, data in files.items()}


FIRST = "scene0707_00.txt"
LINES = good()[FIRST].splitlines()

#: mistake -> (files, words that the message must hold: the place and the fix)
MISTAKES: dict[str, tuple[Files, str, tuple[str, ...]]] = {
    "enclosing folder": (
        rename(good(), lambda n: f"results/{n}"),
        "enclosing_folder",
        ("results/", "zip -j"),
    ),
    "directory entry": ({"results/": b"", **good()}, "directory_entry", ("results/", "zip -D")),
    "missing scene": ({k: v for k, v in good().items() if k != FIRST}, "missing_scene", (FIRST,)),
    "extra scene": ({**good(), "scene0710_00.txt": b"1\n"}, "extra_scene", ("scene0710_00.txt",)),
    "val scene": ({**good(), "scene0568_00.txt": b"1\n"}, "wrong_split", ("(val)", "--split test")),
    "short file": (
        {**good(), FIRST: b"1\n" * 39},
        "line_count",
        ("39 lines for 40 vertices", "_vh_clean_2.ply"),
    ),
    "long file": ({**good(), FIRST: b"1\n" * 41}, "line_count", ("41 lines for 40 vertices",)),
    "empty file": ({**good(), FIRST: b""}, "line_count", ("0 lines for 40",)),
    "file of another scene": ({**good(), FIRST: b"1\n" * 30}, "line_count", ("as many as scene0708_00 has",)),
    "float text": (
        {**good(), FIRST: b"1.000000000000000000e+00\n" * 40},
        "float_text",
        ("line 1", "fmt='%d'"),
    ),
    "blank line": ({**good(), FIRST: b"1\n\n" + b"1\n" * 38}, "blank_line", (f"{FIRST}: line 2",)),
    "newline too many": ({**good(), FIRST: b"1\n" * 40 + b"\n"}, "blank_line", ("line 41",)),
    "header": (
        {**good(), FIRST: b"label\n" + b"1\n" * 40},
        "not_integers",
        ("line 1", "'label'", "No header"),
    ),
    "two columns": ({**good(), FIRST: b"0 1\n" * 40}, "not_integers", ("line 1", "second column")),
    "other text file": ({**good(), "readme.txt": b"hello"}, "other_text", ("readme.txt",)),
    "name with a suffix": (
        {**good(), "scene0707_00_vh_clean_2.txt": b"1\n"},
        "other_text",
        ("scene0707_00_vh_clean_2.txt",),
    ),
    "other file": ({**good(), "log.json": b"{}"}, "other_file", ("log.json",)),
    "finder files": ({**good(), f"__MACOSX/._{FIRST}": b"\0"}, "other_file", ("__MACOSX", "Finder")),
    "instance lists": (
        {**good(), FIRST: b"predicted_masks/scene0707_00_000.txt 5 0.93\n"},
        "instance_format",
        ("line 1", "no masks"),
    ),
    "instance masks": (
        {**good(), "predicted_masks/scene0707_00_000.txt": b"0\n1\n"},
        "instance_format",
        ("predicted_masks/",),
    ),
    "too many files": (
        {**good(), **{f"predicted_masks/scene0707_00_{i:03d}.txt": b"0\n" for i in range(200)}},
        "too_many_files",
        ("203 files", "200 named like instance masks"),
    ),
    "path traversal": ({**good(), "../scene0710_00.txt": b"1\n"}, "unsafe_name", ("../scene0710_00.txt",)),
    "absolute path": ({**good(), "/etc/scene.txt": b"1\n"}, "unsafe_name", ("/etc/scene.txt",)),
    "backslashes": ({**good(), f"results\\{FIRST}": b"1\n"}, "unsafe_name", ("backslash",)),
    "one byte too many": (
        {**good(), FIRST: b"1\n" * 40 + b" " * (40 * 40 + 4096 - 79)},
        "too_large",
        ("5,697 bytes for 40 vertices",),
    ),
    "zip bomb": ({**good(), FIRST: b"1\n" * 1_000_000}, "too_large", ("2,000,000 bytes for 40 vertices",)),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_recognised_and_named_with_its_fix(tmp_path: Path, mistake: str) -> None:
    files, kind, words = MISTAKES[mistake]
    check = checked(tmp_path, files)
    assert kind in check.kinds
    for word in words:
        assert word in message(check, kind)


def test_as_many_bytes_as_an_honest_file_may_have_are_read(tmp_path: Path) -> None:
    longest = b"1\n" * 39 + b" " * (40 * 40 + 4096 - 80) + b"1\n"
    assert checked(tmp_path, {**good(), FIRST: longest}).kinds == set()


#: mistake -> (label set, raw id of vertex i of 120 different ones, kind, words)
WRONG_IDS = {
    "train indices": (SCANNET200, lambda i: i % 200, "train_indices", ("0..199", "decode")),
    "train indices of 20": (SCANNET20, lambda i: i % 20, "train_indices", ("0..19",)),
    "positions from one": (SCANNET200, lambda i: i + 1, "train_indices", ("1..200",)),
    "all zero, some wall": (SCANNET200, lambda i: i % 2, "train_indices", ("no label",)),
    "20-class ids": (SCANNET200, lambda i: SCANNET20.raw_ids[i % 20], "wrong_label_set", ("scannet20",)),
    "200-class ids": (SCANNET20, lambda i: SCANNET200.raw_ids[i % 200], "wrong_label_set", ("scannet200",)),
    "20-class ids that all are 200-class ids": (
        SCANNET200,
        lambda i: [r for r in SCANNET20.raw_ids if r in SCANNET200.raw_ids][i % 18],
        "wrong_label_set",
        ("all 18 ids",),
    ),
    "zeros for no label": (SCANNET200, lambda i: 0 if i % 3 else 1191, "unlabelled", ("id 0", "best class")),
    "ignore index": (SCANNET200, lambda i: -100 if i % 3 else 1191, "unlabelled", ("-100",)),
    "no class": (SCANNET200, lambda i: 99999 if i else 1191, "invalid_ids", ("99999",)),
    "wrapped to 8 bit": (
        SCANNET200,
        lambda i: [1, 2, 1191 % 256, 1190 % 256, 250][i % 5],
        "invalid_ids",
        ("8-bit",),
    ),
}


@pytest.mark.parametrize("mistake", WRONG_IDS)
def test_wrong_ids_are_explained(tmp_path: Path, mistake: str) -> None:
    label_space, choose, kind, words = WRONG_IDS[mistake]
    check = checked(tmp_path, good(choose), label_space)
    assert check.kinds == {kind}
    for word in words:
        assert word in message(check, kind)


def test_few_classes_of_both_sets_are_no_mistake(tmp_path: Path) -> None:
    assert checked(tmp_path, good(lambda i: (1, 2, 3, 39)[i % 4])).is_valid


def test_predictions_for_voxels_are_told_from_a_truncated_file(tmp_path: Path) -> None:
    at_voxels = {f"{s}.txt": text(ids(s)[: int(0.7 * n)]) for s, n in COUNTS.items()}
    assert checked(tmp_path, at_voxels).kinds == {"voxel_resolution"}
    assert checked(tmp_path, {**good(), FIRST: text([1] * 35)}).kinds == {"line_count"}


def test_several_mistakes_are_reported_at_once(tmp_path: Path) -> None:
    files = rename({**good(), FIRST: b"1.0\n"}, lambda n: f"results/{n}")
    assert checked(tmp_path, files).kinds == {"enclosing_folder", "float_text"}


def test_a_name_that_occurs_twice_is_a_mistake(tmp_path: Path) -> None:
    path = archive(tmp_path, good())
    with zipfile.ZipFile(path, "a") as handle, pytest.warns(UserWarning, match="Duplicate"):
        handle.writestr(FIRST, b"1\n" * 40)
    assert "duplicate_name" in check_submission(path, SCANNET200, COUNTS).kinds


def test_a_symbolic_link_is_unsafe(tmp_path: Path) -> None:
    path = archive(tmp_path, {k: v for k, v in good().items() if k != FIRST})
    with zipfile.ZipFile(path, "a") as handle:
        link = zipfile.ZipInfo(FIRST)
        link.create_system, link.external_attr = 3, 0o120777 << 16
        handle.writestr(link, "/etc/passwd")
    assert "unsafe_name" in check_submission(path, SCANNET200, COUNTS).kinds


def test_an_encrypted_file_is_a_mistake(tmp_path: Path) -> None:
    path = archive(tmp_path, good())
    data = bytearray(path.read_bytes())
    # Bit 0 of the flags: two bytes, 8 after the signature of the first entry of the central directory.
    data[data.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(data)
    assert check_submission(path, SCANNET200, COUNTS).kinds == {"encrypted"}


def test_a_damaged_file_is_a_mistake(tmp_path: Path) -> None:
    path = archive(tmp_path, good())
    data = bytearray(path.read_bytes())
    start = data.index(FIRST.encode()) + len(FIRST)
    data[start : start + 8] = b"\xff" * 8
    path.write_bytes(data)
    assert check_submission(path, SCANNET200, COUNTS).kinds == {"corrupt"}


def test_a_file_whose_header_understates_its_size_is_not_unpacked_whole(tmp_path: Path) -> None:
    path = archive(tmp_path, {**good(), FIRST: b"1\n" * 1_000_000})
    data = path.read_bytes()
    path.write_bytes(data.replace((2_000_000).to_bytes(4, "little"), (80).to_bytes(4, "little")))
    assert check_submission(path, SCANNET200, COUNTS).kinds == {"corrupt"}


@pytest.mark.parametrize(
    ("data", "word"),
    [(b"1\n2\n", "zip"), (b"", "zip"), (b"7z\xbc\xaf\x27\x1c\0\0", "7z archive"), (b"\x1f\x8b\x08", "gzip")],
)
def test_a_file_that_is_no_zip_is_a_mistake(tmp_path: Path, data: bytes, word: str) -> None:
    path = tmp_path / "submission.zip"
    path.write_bytes(data)
    check = check_submission(path, SCANNET200, COUNTS)
    assert check.kinds == {"not_a_zip"}
    assert word in message(check, "not_a_zip")


def test_a_truncated_zip_is_a_mistake(tmp_path: Path) -> None:
    path = archive(tmp_path, good())
    path.write_bytes(path.read_bytes()[:-30])
    assert check_submission(path, SCANNET200, COUNTS).kinds == {"not_a_zip"}


@given(st.binary(max_size=200), st.integers(0, 600))
def test_no_damage_to_an_archive_escapes_as_an_exception(tmp_path_factory, junk: bytes, where: int) -> None:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as handle:
        for name, data in good().items():
            handle.writestr(name, data)
    whole = buffer.getvalue()
    path = tmp_path_factory.getbasetemp() / "damaged.zip"
    path.write_bytes(whole[:where] + junk + whole[where + len(junk) :])
    assert isinstance(check_submission(path, SCANNET200, COUNTS), SubmissionCheck)


def test_a_file_that_does_not_exist_is_named() -> None:
    with pytest.raises(FileNotFoundError, match=r"nowhere\.zip"):
        check_submission(Path("nowhere.zip"), SCANNET200, COUNTS)


@pytest.mark.parametrize(("method", "name"), [(zipfile.ZIP_BZIP2, "bzip2"), (zipfile.ZIP_LZMA, "LZMA")])
def test_a_compression_that_a_server_need_not_read_is_named(tmp_path: Path, method: int, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w", method) as handle:
        for file, data in good().items():
            handle.writestr(file, data)
    check = check_submission(tmp_path / "s.zip", SCANNET200, COUNTS)
    assert check.kinds == {"compression"} and name in message(check, "compression")


def test_every_kind_of_mistake_has_a_fix_and_a_test() -> None:
    tested = {kind for _, kind, _ in MISTAKES.values()} | {kind for _, _, kind, _ in WRONG_IDS.values()}
    tested |= {"not_a_zip", "encrypted", "compression", "corrupt", "duplicate_name", "voxel_resolution"}
    assert tested == set(KINDS)
    assert all(fix for _, fix in KINDS.values())


def test_a_mistake_in_many_files_is_one_problem_with_a_few_places(tmp_path: Path) -> None:
    files = rename(good(), lambda n: f"results/{n}")
    files |= {f"results/note{i}.txt": b"" for i in range(9)}
    assert "and 5 more" in message(checked(tmp_path, files), "other_text")


def test_class_shares_are_sorted_and_name_what_is_no_class() -> None:
    shares = class_shares({0: 1, 1: 3, 1191: 4}, SCANNET200)
    assert [(raw_id, name, share) for raw_id, name, _, share in shares] == [
        (1191, "mattress", 0.5),
        (1, "wall", 0.375),
        (0, "NO CLASS", 0.125),
    ]


@pytest.mark.parametrize(("used", "kind"), [((0, 4, 199), "train_indices"), ((0, 4, 200), "invalid_ids")])
def test_train_indices_end_at_the_number_of_classes_less_one(used: tuple[int, ...], kind: str) -> None:
    found = diagnose_ids(dict.fromkeys(used, 1), SCANNET200)
    assert found is not None and found[0] == kind
