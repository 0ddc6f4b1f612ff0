"""LabelSpace: raw ids and train indices never mix."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointseg.core.labels import LabelSpace, distinct_colors, groups_by_points, load_label_space
from pointseg.core.rows import IGNORE


def small(**changes: object) -> LabelSpace:
    fields: dict[str, object] = {
        "name": "three",
        "raw_ids": (7, 2, 40),
        "names": ("a", "b", "c"),
        "groups": ("head", "", "tail"),
        "colors": ((1, 2, 3), (4, 5, 6), (7, 8, 9)),
    }
    return LabelSpace(**{**fields, **changes})  # type: ignore[arg-type]


def test_scannet200_has_the_published_classes_and_groups() -> None:
    space = load_label_space("scannet200")
    assert space.num_classes == 200
    assert (space.raw_ids[0], space.names[0]) == (1, "wall")
    assert (space.raw_ids[199], space.names[199]) == (1191, "mattress")
    assert [len(space.group_indices(g)) for g in ("head", "common", "tail")] == [66, 68, 66]


def test_scannet20_counts_in_nyu40_ids() -> None:
    space = load_label_space("scannet20")
    assert space.raw_ids == (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 14, 16, 24, 28, 33, 34, 36, 39)
    assert not space.has_groups


def test_an_unknown_label_set_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="Unknown label set 'scannet300'"):
        load_label_space("scannet300")


def test_encode_follows_the_order_of_the_list_not_of_the_ids() -> None:
    np.testing.assert_array_equal(small().encode([40, 2, 7, 0, 99, -1]), [2, 1, 0, IGNORE, IGNORE, IGNORE])


def test_decode_writes_the_unlabelled_id_for_ignored_rows() -> None:
    np.testing.assert_array_equal(small().decode([0, 1, 2, IGNORE]), [7, 2, 40, 0])


def test_decode_refuses_an_index_outside_the_set() -> None:
    with pytest.raises(ValueError, match=r"0\.\.2"):
        small().decode([3])


def test_encode_refuses_floats() -> None:
    with pytest.raises(ValueError, match="integers"):
        small().encode([1.0])


@given(st.lists(st.integers(0, 199), max_size=50))
def test_decode_then_encode_is_the_identity(indices: list[int]) -> None:
    space = load_label_space("scannet200")
    np.testing.assert_array_equal(space.encode(space.decode(np.array(indices, dtype=np.int64))), indices)


def test_zero_is_a_class_only_where_it_does_not_mean_unlabelled() -> None:
    with pytest.raises(ValueError, match="cannot be a class"):
        small(raw_ids=(0, 1, 2))
    assert small(raw_ids=(0, 1, 2), unlabelled_raw_id=-1).encode([0])[0] == 0


def test_repeated_raw_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="must differ"):
        small(raw_ids=(1, 1, 2))


def test_a_label_space_survives_json() -> None:
    space = load_label_space("scannet200")
    assert LabelSpace.from_dict(space.to_dict()) == space


def test_grouping_by_points_gives_the_published_thirds() -> None:
    groups = groups_by_points(list(range(200, 0, -1)))
    assert [groups.count(g) for g in ("head", "common", "tail")] == [66, 68, 66]
    assert groups[0] == "head"
    assert groups[199] == "tail"


def test_distinct_colors_differ() -> None:
    assert len(set(distinct_colors(60))) == 60


def test_other_colours_are_no_other_classes() -> None:
    one = LabelSpace("two", (1, 2), ("a", "b"), ("", ""), distinct_colors(2))
    assert one == LabelSpace("two", (1, 2), ("a", "b"), ("", ""), ((0, 0, 0), (9, 9, 9)))
    assert one != LabelSpace("two", (1, 2), ("a", "c"), ("", ""), distinct_colors(2))
