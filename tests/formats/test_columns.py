"""Labels and colours as tools store them."""

from typing import Any

import numpy as np
import pytest

from pointseg.formats.columns import colors_to_uint8, to_int32

LEAST, LARGEST = -(2**31), 2**31 - 1


@pytest.mark.parametrize("kind", [np.int64, np.float64])
def test_the_ends_of_32_bits_fit(kind: type[Any]) -> None:
    found = to_int32(np.array([LEAST, 0, LARGEST], dtype=kind), "label")
    assert found.tolist() == [LEAST, 0, LARGEST] and found.dtype == np.int32


@pytest.mark.parametrize("value", [LEAST - 1, LARGEST + 1])
def test_what_does_not_fit_32_bits_is_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"its label must fit 32 bits; got .*{value}"):
        to_int32(np.array([value]), "label")


@pytest.mark.parametrize("values", [[0.5], [np.nan], [np.inf], ["1"], [True]])
def test_what_is_no_whole_number_is_refused(values: list[Any]) -> None:
    with pytest.raises(ValueError, match="its label must be whole numbers"):
        to_int32(np.array(values), "label")


def test_no_label_at_all_is_fine() -> None:
    assert to_int32(np.array([], dtype=np.int64), "label").tolist() == []


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (np.array([0, 128, 255], np.uint8), [0, 128, 255]),
        (np.array([0.0, 0.5, 1.0]), [0, 128, 255]),
        (np.array([0.0, 0.1], np.float32), [0, 26]),
        # A whole 1 is one of 255; of floats the largest colour decides.
        (np.array([0, 1]), [0, 1]),
        (np.array([0.0, 1.5, 255.0]), [0, 2, 255]),
        (np.array([0, 255], np.uint16), [0, 255]),
        (np.array([0, 256, 257, 65535], np.uint16), [0, 1, 1, 255]),
        (np.array([0.0, 65535.0]), [0, 255]),
    ],
)
def test_colours_become_bytes(stored: np.ndarray, expected: list[int]) -> None:
    found, _ = colors_to_uint8(stored)
    assert found.tolist() == expected and found.dtype == np.uint8


@pytest.mark.parametrize("values", [[-0.1], [1e6], [np.nan], [np.inf]])
def test_colours_beyond_all_ranges_are_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match=r"its colours must (lie in|be finite)"):
        colors_to_uint8(np.array(values))


def test_no_colour_at_all_is_fine() -> None:
    assert colors_to_uint8(np.zeros((0, 3)))[0].shape == (0, 3)
