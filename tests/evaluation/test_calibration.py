"""Calibration errors known by hand."""

import numpy as np
import pytest

from pointseg.evaluation.calibration import NUM_BINS, Calibration


def test_a_network_that_is_right_as_often_as_it_says_has_no_error() -> None:
    calibration = Calibration(1)
    calibration.update(np.array([0.75] * 4), np.array([True, True, True, False]), np.zeros(4, np.int64))
    assert calibration.expected_error() == pytest.approx(0.0)


def test_the_error_is_the_mean_distance_of_the_bins_weighed_by_their_predictions() -> None:
    calibration = Calibration(2)
    # Three of 0.9, one right: |1/3 - 0.9|. One of 0.1, right: |1 - 0.1|.
    confidence = np.array([0.9, 0.9, 0.9, 0.1])
    calibration.update(confidence, np.array([True, False, False, True]), np.array([0, 0, 0, 1]))
    assert calibration.expected_error(0) == pytest.approx(0.9 - 1 / 3)
    assert calibration.expected_error(1) == pytest.approx(0.9)
    assert calibration.expected_error() == pytest.approx((3 * (0.9 - 1 / 3) + 0.9) / 4)


def test_a_group_without_predictions_has_none() -> None:
    assert Calibration(3).expected_error(2) is None


def test_the_ends_of_the_range_are_in_the_first_and_last_bin() -> None:
    calibration = Calibration(1)
    calibration.update(np.array([0.0, 1.0, 1 / NUM_BINS]), np.ones(3, bool), np.zeros(3, np.int64))
    _, _, number = calibration.curve()
    assert number[0] == 2 and number[-1] == 1


def test_confidences_are_sorted_into_fifteen_bins_as_in_the_paper() -> None:
    """0.061 and 0.065 lie in the first of fifteen, and on both sides of the border between two of sixteen."""
    calibration = Calibration(1)
    calibration.update(np.array([0.061, 0.065]), np.array([True, False]), np.zeros(2, np.int64))
    assert calibration.expected_error() == pytest.approx((1 - 0.061 - 0.065) / 2)
    calibration.update(np.array([0.068]), np.array([False]), np.zeros(1, np.int64))
    assert calibration.expected_error() == pytest.approx((1 - 0.061 - 0.065 + 0.068) / 3)


def test_the_curve_has_mean_confidence_and_share_of_right_ones() -> None:
    calibration = Calibration(1)
    calibration.update(np.array([0.50, 0.52]), np.array([True, False]), np.zeros(2, np.int64))
    confidence, right, number = calibration.curve(0)
    (filled,) = np.flatnonzero(number)
    assert confidence[filled] == pytest.approx(0.51) and right[filled] == 0.5
    assert np.isnan(confidence).sum() == NUM_BINS - 1


def test_counts_of_another_shape_are_refused() -> None:
    with pytest.raises(ValueError, match="must be"):
        Calibration(2, np.zeros((1, NUM_BINS, 3)))
