"""Label text: what the official reader accepts, and nothing else."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointseg.formats.label_text import (
    LabelTextError,
    format_labels,
    format_ranked,
    parse_labels,
    parse_ranked,
    read_labels,
    write_labels,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
#: Made of what lines consist of, so that many examples are nearly right.
NEARLY_LABELS = st.text(alphabet="0123456789-+ \t\r\n.e_\x0b\x0c\x1cL\u0663\u00a0", max_size=20)


def read_in_a_loop(data: bytes) -> list[int] | None:
    """The official reader, line by line: int() of every line of splitlines(), under its older rules."""
    values = []
    # latin-1 keeps bytes; \x0b, \x0c, \x1c and others end a line for Python 3, and did not for Python 2.
    lines = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").decode("latin-1").split("\n")
    if not lines[-1]:
        lines.pop()
    for line in lines:
        line = line.strip(" \t\x0b\x0c")
        if "_" in line or not line.isascii() or line != line.strip():
            return None
        try:
            values.append(int(line))
        except ValueError:
            return None
        if not -(2**63) <= values[-1] < 2**63:
            return None
    return values


def parse_or_none(data: bytes) -> list[int] | None:
    try:
        return parse_labels(data, "f").tolist()
    except LabelTextError:
        return None


@given(st.lists(INT64), st.sampled_from([b"\n", b"\r\n", b"\r"]), st.booleans())
def test_integers_return_whatever_ends_their_lines(values: list[int], newline: bytes, final: bool) -> None:
    data = newline.join(str(v).encode() for v in values) + (newline if final and values else b"")
    assert parse_labels(data, "f").tolist() == values


@given(NEARLY_LABELS)
def test_text_is_accepted_exactly_when_the_loop_accepts_it(text: str) -> None:
    data = text.encode("utf-8")
    assert parse_or_none(data) == read_in_a_loop(data)


@given(st.lists(st.integers(-1, 1191)))
def test_written_labels_read_back(values: list[int]) -> None:
    assert parse_labels(format_labels(np.array(values, dtype=np.int32)), "f").tolist() == values


def test_the_written_form_is_one_plain_integer_per_line() -> None:
    assert format_labels(np.array([1, 1191, 0], dtype=np.int16)) == b"1\n1191\n0\n"


@pytest.mark.parametrize(
    ("data", "kind", "line"),
    [
        (b"1\n\n2\n", "blank", 2),
        (b"1\n2\n\n", "blank", 3),
        (b"1\n \n", "blank", 2),
        (b"\n", "blank", 1),
        (b"1.000000000000000000e+00\n", "float", 1),
        (b"1\n2.0\n", "float", 2),
        (b"nan\n", "float", 1),
        (b"1\n1 1\n", "several", 2),
        (b"1,2\n", "several", 1),
        (b"label\n1\n", "text", 1),
        (b"1\n1_000\n", "text", 2),
        (b"\xef\xbb\xbf1\n", "text", 1),
        (b"1-\n", "text", 1),
        (b"--1\n", "text", 1),
        (b"-\n", "text", 1),
        (b"9223372036854775808\n", "range", 1),
        (b"predicted_masks/scene0707_00_000.txt 5 0.93\n", "instance", 1),
    ],
)
def test_a_malformed_line_is_named_with_its_file_and_kind(data: bytes, kind: str, line: int) -> None:
    with pytest.raises(LabelTextError, match=f"pred/s.txt: line {line}: ") as caught:
        parse_labels(data, "pred/s.txt")
    assert (caught.value.kind, caught.value.line) == (kind, line)


@pytest.mark.parametrize(
    "data", [b"1\n2", b"1\r\n2\r\n", b" 1\n2 \n", b"+1\n002\n", b"\t1\x0b\n2\n", b"1\r2"]
)
def test_unusual_text_that_the_official_reader_takes_is_taken(data: bytes) -> None:
    assert parse_labels(data, "f").tolist() == [1, 2]


def test_an_empty_file_has_no_vertex() -> None:
    assert parse_labels(b"", "f").tolist() == []


@pytest.mark.parametrize(("length", "shown"), [(40, "x" * 40), (41, "x" * 40 + "...")])
def test_forty_letters_of_a_bad_line_are_shown(length: int, shown: str) -> None:
    with pytest.raises(LabelTextError) as caught:
        parse_labels(b"x" * length, "f")
    assert caught.value.text == shown


@pytest.mark.parametrize("number", [10**17, 10**18 - 1, 10**18, 2**63 - 1, -(2**63)])
def test_long_numbers_are_read_to_the_last_digit(number: int) -> None:
    assert parse_labels(b"1\n%d\n" % number, "f").tolist() == [1, number]


def test_a_long_bad_line_is_shortened_in_the_message() -> None:
    with pytest.raises(LabelTextError) as caught:
        parse_labels(b"x" * 10_000, "f")
    assert len(str(caught.value)) < 200


def test_a_file_is_written_whole_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_labels(tmp_path / "s.txt", np.array([3, 1]))
    assert [p.name for p in tmp_path.iterdir()] == ["s.txt"]
    assert read_labels(tmp_path / "s.txt").tolist() == [3, 1]


def test_floats_are_not_written() -> None:
    with pytest.raises(ValueError, match="float64"):
        format_labels(np.array([1.0]))


@given(st.lists(st.tuples(*[st.integers(-(10**9), 10**9)] * 3), min_size=1, max_size=30), st.booleans())
def test_several_numbers_a_line_are_read_as_they_were_written(rows: list[tuple[int, ...]], end: bool) -> None:
    data = format_ranked(np.array(rows))
    assert data.splitlines() == [",".join(map(str, row)).encode() for row in rows]
    assert parse_ranked(data if end else data.rstrip(b"\n"), "x", 3).tolist() == [list(row) for row in rows]
    assert parse_ranked(format_labels(np.array(rows)[:, 0]), "x", 3).tolist() == [[row[0]] for row in rows]


@pytest.mark.parametrize(
    ("data", "line", "kind"),
    [
        (b"1,2,3\n1,2\n", 2, "ranks"),
        (b"1,2\n", 1, "ranks"),
        (b"1,2,3\n4\n5,6,7\n", 2, "ranks"),
        (b"1,2,3,4\n", 1, "ranks"),
        (b"1,2,3\n\n1,2,3\n", 2, "blank"),
        (b"1,2,3\n1,2,x\n", 2, "text"),
        (b"1,2,3\n1.0,2.0,3.0\n", 2, "float"),
        (b"1,2,3\n1,,3\n", 2, "text"),
        (b"1\n1,2,3\n", 2, "several"),
    ],
)
def test_the_first_line_of_another_number_of_numbers_is_named(data: bytes, line: int, kind: str) -> None:
    with pytest.raises(LabelTextError) as error:
        parse_ranked(data, "x.txt", 3)
    assert (error.value.line, error.value.kind) == (line, kind)
