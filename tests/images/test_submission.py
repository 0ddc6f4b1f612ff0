"""The zip of label images: what is written passes, and every known mistake is recognised and explained."""

import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.formats.submission import SubmissionCheck
from pointseg.images.submission import (
    IMAGE_KINDS,
    ImageRules,
    check_image_submission,
    write_image_submission,
)

SPACE = LabelSpace("three", (7, 8, 33), ("road", "walk", "bicycle"), ("",) * 3, distinct_colors(3))
SIZES = {"a": (2, 3), "b": (4, 2)}
PLAIN = ImageRules()
SERVER = ImageRules(r"([a-z]+_\d{6}_\d{6}).*", size=(2, 3), num_images=2)
Files = dict[str, bytes]


def png(height: int, width: int, *values: int, mode: str | None = None) -> bytes:
    raw = np.resize(np.array(values or SPACE.raw_ids, np.uint8), (height, width))
    with io.BytesIO() as buffer:
        picture = Image.fromarray(raw)
        (picture.convert(mode) if mode else picture).save(buffer, "PNG")
        return buffer.getvalue()


def good() -> Files:
    return {f"{name}.png": png(*size) for name, size in SIZES.items()}


def archive(tmp_path: Path, files: Files) -> Path:
    path = tmp_path / "submission.zip"
    with zipfile.ZipFile(path, "w") as handle:
        for name, content in files.items():
            handle.writestr(name, content)
    return path


def checked(tmp_path: Path, files: Files) -> SubmissionCheck:
    return check_image_submission(archive(tmp_path, files), SPACE, SIZES, PLAIN)


def test_what_is_written_passes_and_holds_the_ids_in_one_channel(tmp_path: Path) -> None:
    raw = {name: np.resize(np.array([33, 7]), size) for name, size in SIZES.items()}
    write_image_submission(tmp_path / "s.zip", raw.items())
    check = check_image_submission(tmp_path / "s.zip", SPACE, SIZES, PLAIN)
    assert check.is_valid and check.num_scenes == 2 and check.id_counts == {7: 7, 33: 7}
    with zipfile.ZipFile(tmp_path / "s.zip") as handle:
        assert handle.namelist() == ["a.png", "b.png"]
        with Image.open(io.BytesIO(handle.read("b.png"))) as opened:
            assert opened.mode == "L" and np.array_equal(np.array(opened), raw["b"])


def test_ids_above_255_keep_their_value(tmp_path: Path) -> None:
    space = LabelSpace("wide", (1, 1191), ("wall", "mattress"), ("", ""), distinct_colors(2))
    write_image_submission(tmp_path / "s.zip", [("a", np.array([[1, 1191, 1]] * 2))])
    check = check_image_submission(tmp_path / "s.zip", space, {"a": (2, 3)}, PLAIN)
    assert check.is_valid and check.id_counts == {1: 4, 1191: 2}


@pytest.mark.parametrize("raw_id", [-1, 65_536])
def test_ids_that_no_png_can_hold_are_refused(tmp_path: Path, raw_id: int) -> None:
    with pytest.raises(ValueError, match=r"a: a PNG holds ids 0\.\.65535"):
        write_image_submission(tmp_path / "s.zip", [("a", np.array([[raw_id]]))])
    assert not list(tmp_path.iterdir())


def changed(name: str, content: bytes | None) -> Callable[[], Files]:
    def files() -> Files:
        made = good()
        made.pop(name, None)
        return made if content is None else made | {name: content}

    return files


def claims(height: int, width: int) -> bytes:
    """The PNG a.png with another size in its header."""
    whole = bytearray(png(2, 3))
    whole[16:24] = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    whole[29:33] = zlib.crc32(whole[12:29]).to_bytes(4, "big")
    return bytes(whole)


MISTAKES: list[tuple[str, Callable[[], Files], str]] = [
    ("too_many_files", lambda: good() | {f"n{i}.png": b"" for i in range(200)}, "202 files for 2 images"),
    ("unsafe_name", changed("../c.png", png(1, 1)), "../c.png"),
    ("corrupt", changed("a.png", b"no png"), "a.png"),
    ("corrupt", changed("a.png", claims(2, 3)[:50]), "a.png"),
    ("too_large", changed("a.png", png(2, 3) + bytes(70_000)), "a.png: more than"),
    ("enclosing_folder", lambda: {f"results/{n}": content for n, content in good().items()}, "results/a.png"),
    ("other_file", changed("notes.md", b""), "notes.md"),
    ("other_file", changed("__MACOSX/._a.png", b""), "__MACOSX"),
    ("extra_image", changed("c.png", png(1, 1)), "c.png"),
    ("several_files", changed("more/a.png", png(2, 3)), "a.png and more/a.png"),
    ("missing_image", changed("b.png", None), "b.png"),
    ("not_one_channel", changed("a.png", png(2, 3, mode="RGB")), "R+G+B"),
    ("image_size", changed("a.png", png(1, 3)), "a.png is 3 x 1, not 3 x 2"),
    ("image_size", changed("a.png", claims(5000, 5000)), "a.png is 5000 x 5000"),
    ("train_indices", lambda: {"a.png": png(2, 3, 0, 1, 2), "b.png": png(4, 2, 0)}, "every id lies in 0..2"),
    ("unlabelled", changed("a.png", png(2, 3, 7, 255)), "21.4% of the pixels carry 255"),
    ("invalid_ids", changed("a.png", png(2, 3, 7, 99)), "99"),
]


@pytest.mark.parametrize(("kind", "files", "words"), MISTAKES)
def test_a_known_mistake_is_recognised(
    tmp_path: Path, kind: str, files: Callable[[], Files], words: str
) -> None:
    check = checked(tmp_path, files())
    assert kind in check.kinds and not check.is_valid
    assert words in next(problem.message for problem in check.problems if problem.kind == kind)


def test_every_kind_of_mistake_is_tested() -> None:
    assert {kind for kind, *_ in MISTAKES} | {"not_a_zip", "compression"} == set(IMAGE_KINDS)


def test_a_file_that_is_no_zip_is_told(tmp_path: Path) -> None:
    (tmp_path / "s.zip").write_bytes(b"Rar!\x1a\x07")
    check = check_image_submission(tmp_path / "s.zip", SPACE, SIZES, PLAIN)
    assert check.kinds == {"not_a_zip"} and "RAR" in check.problems[0].message
    with pytest.raises(FileNotFoundError):
        check_image_submission(tmp_path / "absent.zip", SPACE, SIZES, PLAIN)


def test_a_compression_that_a_server_need_not_read_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "s.zip", "w", zipfile.ZIP_BZIP2) as handle:
        for name, content in good().items():
            handle.writestr(name, content)
    check = check_image_submission(tmp_path / "s.zip", SPACE, SIZES, PLAIN)
    assert check.kinds == {"compression"} and "bzip2" in check.problems[0].message


def test_a_palette_image_of_ids_passes(tmp_path: Path) -> None:
    picture = Image.fromarray(np.resize(np.array([7, 33], np.uint8), (2, 3)))
    picture.putpalette(list(range(255, -1, -1)) * 3)
    with io.BytesIO() as buffer:
        picture.save(buffer, "PNG")
        check = checked(tmp_path, good() | {"a.png": buffer.getvalue()})
    assert check.is_valid


def test_a_server_that_goes_by_the_beginning_of_names_takes_folders_and_endings(tmp_path: Path) -> None:
    files = {
        "ulm/ulm_000000_000019_leftImg8bit.png": png(2, 3),
        "bonn/bonn_000001_000019.png": png(2, 3),
    }
    check = check_image_submission(archive(tmp_path, files), SPACE, None, SERVER)
    assert check.is_valid and check.num_scenes == 2
    check = check_image_submission(
        archive(tmp_path, files | {"ulm_000000_000019.png": png(2, 3), "road.png": png(2, 3)}),
        SPACE,
        None,
        SERVER,
    )
    assert check.kinds == {"several_files", "extra_image"}


def test_without_the_data_the_number_and_size_of_the_images_is_the_servers(tmp_path: Path) -> None:
    check = check_image_submission(
        archive(tmp_path, {"ulm_000000_000019.png": png(1, 3)}), SPACE, None, SERVER
    )
    assert check.kinds == {"missing_image", "image_size"}


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def test_a_few_bytes_that_claim_to_be_a_picture_of_gigabytes_are_not_decoded(tmp_path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 0, 0, 0, 0)
    bomb = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    path = archive(tmp_path, {"a.png": bomb})
    for expected in (SIZES, None):
        assert "too_large" in check_image_submission(path, SPACE, expected, PLAIN).kinds
