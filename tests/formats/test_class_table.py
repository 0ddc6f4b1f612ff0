"""classes.csv and scenes.csv."""

from pathlib import Path

import numpy as np
import pytest

from pointseg.formats.class_table import ClassTable, merge_ids, read_class_table, read_scene_table


def table(tmp_path: Path, text: str, unlabelled_raw_id: int | None = None) -> ClassTable:
    (tmp_path / "classes.csv").write_text(text, encoding="utf-8")
    return read_class_table(tmp_path / "classes.csv", "toy", unlabelled_raw_id=unlabelled_raw_id)


def test_the_order_of_the_rows_is_the_train_order(tmp_path: Path) -> None:
    space = table(tmp_path, "raw_id,name\n6,building\n2,ground\n").label_space
    assert space.raw_ids == (6, 2) and space.names == ("building", "ground") and space.name == "toy"
    assert space.groups == ("", "") and space.unlabelled_raw_id == 0 and len(set(space.colors)) == 2


def test_a_column_id_stands_for_raw_id(tmp_path: Path) -> None:
    assert table(tmp_path, "id,name\n6,building\n2,ground\n").label_space.raw_ids == (6, 2)


def test_ignored_rows_are_known_but_no_classes(tmp_path: Path) -> None:
    classes = table(tmp_path, "raw_id,name,ignore,points\n0,never,1,5\n2,ground,0,5\n9,water,yes,5\n")
    assert classes.label_space.raw_ids == (2,) and classes.ignored_raw_ids == (0, 9)
    assert classes.known_raw_ids() == {0, 2, 9}


def test_groups_and_colours_of_the_table_are_used(tmp_path: Path) -> None:
    text = "raw_id,name,group,r,g,b\n1,a,Head,1,2,3\n2,b,tail,4,5,6\n"
    space = table(tmp_path, text).label_space
    assert space.groups == ("head", "tail") and space.colors == ((1, 2, 3), (4, 5, 6))


def test_colours_of_later_rows_are_their_own_when_earlier_rows_are_ignored(tmp_path: Path) -> None:
    text = "raw_id,name,ignore,r,g,b\n1,a,1,,,\n2,b,0,4,5,6\n"
    assert table(tmp_path, text).label_space.colors == ((4, 5, 6),)


@pytest.mark.parametrize("flag", ["1", "true", "Yes"])
def test_a_row_is_ignored_by_any_word_for_it(tmp_path: Path, flag: str) -> None:
    classes = table(tmp_path, f"raw_id,name,ignore\n1,a,{flag}\n2,b,No\n3,c,false\n4,d,\n")
    assert classes.ignored_raw_ids == (1,) and classes.label_space.raw_ids == (2, 3, 4)


def test_a_class_that_is_left_out_does_not_need_the_id_zero(tmp_path: Path) -> None:
    assert table(tmp_path, "raw_id,name,ignore\n0,a,1\n1,b,0\n").label_space.unlabelled_raw_id == 0
    assert table(tmp_path, "raw_id,name\n0,a\n", unlabelled_raw_id=-5).label_space.unlabelled_raw_id == -5


def test_five_classes_without_a_group_are_named(tmp_path: Path) -> None:
    rows = "".join(f"{number},c{number},\n" for number in range(2, 9))
    with pytest.raises(ValueError, match=r"without a group: c2, c3, c4, c5, c6\. Give"):
        table(tmp_path, f"raw_id,name,group\n1,a,head\n{rows}")


@pytest.mark.parametrize("color", ["0,255,0", "255,0,255"])
def test_colours_have_the_range_of_a_byte(tmp_path: Path, color: str) -> None:
    space = table(tmp_path, f"raw_id,name,r,g,b\n1,a,{color}\n").label_space
    assert space.colors == (tuple(map(int, color.split(","))),)
    for wrong in ("-1,0,0", "0,256,0"):
        with pytest.raises(ValueError, match=r"row 2: r, g, b must be 0\.\.255"):
            table(tmp_path, f"raw_id,name,r,g,b\n1,a,{wrong}\n")


def test_unlabelled_is_minus_one_where_zero_is_a_class(tmp_path: Path) -> None:
    assert table(tmp_path, "raw_id,name\n0,a\n1,b\n").label_space.unlabelled_raw_id == -1


def test_excel_files_with_a_byte_order_mark_and_blanks_are_read(tmp_path: Path) -> None:
    space = table(tmp_path, "\ufeffraw_id , name\r\n 3 , green wall \r\n").label_space
    assert space.raw_ids == (3,) and space.names == ("green wall",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("number,name\n1,a\n", "no column raw_id; it has number, name"),
        ("raw_id,name\n1,a\n2,b\n1,c\n", r"raw ids must differ; \[1\] occur more than once"),
        ("raw_id,name\n1,a\nx,b\n", "row 3: raw_id must be a whole number; got 'x'"),
        ("raw_id,name,ignore\n1,a,maybe\n", "row 2: ignore must be 0 or 1; got 'maybe'"),
        ("raw_id,name,ignore\n1,a,1\n", "no class is left"),
        ("raw_id,name,group\n1,a,head\n2,b,\n", "classes without a group: b"),
        ("raw_id,name,group\n1,a,big\n", "unknown groups .'big'."),
        ("raw_id,name,r,g,b\n1,a,1,2,300\n", r"row 2: r, g, b must be 0\.\.255; got 1, 2, 300"),
        ("raw_id,name\n", "a header and no row"),
        ("", "no column raw_id, name; it has none"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=rf"classes\.csv: .*{message}"):
        table(tmp_path, text)


def test_an_unlabelled_id_that_is_a_class_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="cannot be a class and also mean 'unlabelled'"):
        table(tmp_path, "raw_id,name\n1,a\n", unlabelled_raw_id=1)


def test_scenes_have_one_split_each(tmp_path: Path) -> None:
    (tmp_path / "scenes.csv").write_text("scene,points,split\na,5,train\nb,6,val\n")
    assert read_scene_table(tmp_path / "scenes.csv") == {"a": "train", "b": "val"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("scene\na\n", "no column split"),
        ("scene,split\na,train\na,val\n", "row 3: scene 'a' occurs twice"),
        ("scene,split\na,\n", "row 2: scene and split must both be given"),
    ],
)
def test_mistakes_in_the_scene_table_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "scenes.csv").write_text(text)
    with pytest.raises(ValueError, match=rf"scenes\.csv: .*{message}"):
        read_scene_table(tmp_path / "scenes.csv")


def test_a_missing_table_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.csv"):
        read_scene_table(tmp_path / "none.csv")


def test_a_background_without_a_colour_is_grey(tmp_path: Path) -> None:
    space = table(tmp_path, "raw_id,name\n0,Background\n2,ground\n").label_space
    assert len(set(space.colors[0])) == 3 and max(space.colors[0]) - min(space.colors[0]) < 10
    assert max(space.colors[1]) - min(space.colors[1]) > 50


@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_spreadsheets_of_other_languages_are_read(tmp_path: Path, separator: str, encoding: str) -> None:
    rows = [("Raw_ID", "Name"), ("1.0", "caf\u00e9"), ("2", "b"), ("", "")]
    text = "\r\n".join(separator.join(row) for row in rows)
    (tmp_path / "classes.csv").write_bytes(text.encode(encoding))
    space = read_class_table(tmp_path / "classes.csv", "x").label_space
    assert space.raw_ids == (1, 2) and space.names == ("caf\u00e9", "b")


def test_rows_of_one_name_are_one_class(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_text("raw_id,name\n3,ground\n5,tree\n4,tree\n9,tree\n")
    table = read_class_table(tmp_path / "classes.csv", "x")
    assert table.label_space.raw_ids == (3, 5) and table.merged == {4: 5, 9: 5}
    assert table.known_raw_ids() == {0, 3, 4, 5, 9}
    assert merge_ids(np.array([0, 3, 4, 9, 5], np.int32), table.merged).tolist() == [0, 3, 5, 5, 5]


def test_utf_16_is_named(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_bytes("raw_id,name\n1,a\n".encode("utf-16"))
    with pytest.raises(ValueError, match=r"classes\.csv: expected text in UTF-8; this is UTF-16"):
        read_class_table(tmp_path / "classes.csv", "x")


def test_another_encoding_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "classes.csv").write_bytes(b"raw_id,name\n1,a\n2,caf\xe9\n")
    with pytest.raises(ValueError, match=r"classes\.csv: line 3: .* 0xe9"):
        read_class_table(tmp_path / "classes.csv", "x")
