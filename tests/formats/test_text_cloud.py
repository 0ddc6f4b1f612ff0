"""Clouds as text: separators, names and their absence, and files beside clouds that are none."""

from pathlib import Path

import numpy as np
import pytest

from pointseg.formats.clouds import read_cloud
from pointseg.formats.text_cloud import is_text_cloud

ROWS = [(1.5, -2.25, 300000.125, 255, 0, 10, 3), (2.5, 0.0, 300001.0, 1, 2, 3, 0)]


def write(path: Path, separator: str, head: str = "", rows: list[tuple[float, ...]] = ROWS) -> Path:
    path.write_text(head + "".join(separator.join(map(repr, row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("name", "separator", "head"),
    [
        ("a.txt", " ", "x y z red green blue label\n"),
        ("a.csv", ",", "x,y,z,R,G,B,Classification\n"),
        ("a.csv", ";", '"X";"Y";"Z";"r";"g";"b";"class"\n'),
        ("a.asc", "\t", "//X Y Z R G B scalar_label\n"),
        ("a.xyz", "  ", "# made by somebody\n# x y z red green blue label\n"),
        ("a.pts", " ", "2\n"),
        ("a.txt", ", ", ""),
    ],
)
def test_a_table_is_read_whatever_its_separators_and_names(
    tmp_path: Path, name: str, separator: str, head: str
) -> None:
    cloud = read_cloud(write(tmp_path / name, separator, head))
    assert cloud.xyz.tolist() == [list(row[:3]) for row in ROWS]
    assert cloud.rgb is not None and cloud.rgb.tolist() == [[255, 0, 10], [1, 2, 3]]
    assert cloud.label is not None and cloud.label.tolist() == [3, 0]
    # Without names it is said how the columns were taken.
    assert bool(cloud.remarks) == (head in ("", "2\n"))


def test_columns_without_names_that_could_be_anything_are_refused(tmp_path: Path) -> None:
    file = write(tmp_path / "a.xyz", " ", rows=[(1, 2, 3, 4, 5)])
    with pytest.raises(ValueError, match=r"a\.xyz: its 5 columns have no names. Write a first line of names"):
        read_cloud(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("# nothing\n", "no row of numbers"),
        ("hello there, this is a readme\n", "line 1: expected numbers"),
        ("x y z\n1 2 3\n1 2\n", "columns"),
        ("x y z label\n1 2 3\n", "names 4 columns, its rows have 3"),
        ("1 2 three\n", "line 1: expected numbers"),
        ("x y z\n1 2 3\n1 2 b\n", "could not convert"),
    ],
)
def test_what_is_no_table_is_named(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.txt").write_text(text)
    with pytest.raises(ValueError, match=rf"a\.txt: cannot be read as a table of points: .*{said}"):
        read_cloud(tmp_path / "a.txt")


def test_tables_beside_clouds_are_no_clouds(tmp_path: Path) -> None:
    assert is_text_cloud(write(tmp_path / "a.txt", " "))
    (tmp_path / "bare.txt").write_text("0.5 1 2\n1 2 3\n")
    assert is_text_cloud(tmp_path / "bare.txt")
    assert is_text_cloud(write(tmp_path / "b.csv", ",", "x,y,z,r,g,b,label\n"))
    for name, text in {
        "classes.csv": "raw_id,name\n1,wall\n2,floor\n",
        "scenes.csv": "scene,split\na,train\n",
        "README.txt": "Three rooms.\n",
        "empty.txt": "",
        "ids.txt": "1\n2\n3\n",
        "binary.txt": "\x00\x01",
    }.items():
        (tmp_path / name).write_text(text)
        assert not is_text_cloud(tmp_path / name), name


def test_large_coordinates_keep_their_digits(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x y z\n652341.1234567 6861234.7654321 35.5\n")
    assert read_cloud(tmp_path / "a.txt").xyz.tolist() == [[652341.1234567, 6861234.7654321, 35.5]]
    assert np.asarray(read_cloud(tmp_path / "a.txt").xyz).dtype == np.float64
