"""Report: the three means on matrices known by hand."""

import io
import json
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from pointseg.core.labels import LabelSpace, distinct_colors, load_label_space
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import CONVENTIONS, Report, print_report


def label_space(groups: tuple[str, ...] = ("head", "head", "common", "tail")) -> LabelSpace:
    count = len(groups)
    names = ("wall", "chair", "towel", "candle")[:count]
    return LabelSpace("toy", tuple(range(1, count + 1)), names, groups, distinct_colors(count))


#: wall 2/3, chair 1/2 (one miss to towel), towel only a false alarm, candle absent.
COUNTS = [[2, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]


def report(groups: tuple[str, ...] = ("head", "head", "common", "tail")) -> Report:
    return Report.from_confusion(Confusion(4, COUNTS), label_space(groups))


def printed(report: Report, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=120)
    print_report(report, console, **options)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_a_class_without_truth_but_with_a_false_alarm_has_iou_zero_and_an_absent_one_none() -> None:
    np.testing.assert_array_equal(report().iou, [2 / 3, 1 / 2, 0, np.nan])


def test_the_three_means_differ_by_the_classes_they_count() -> None:
    miou, total = report().miou, 2 / 3 + 1 / 2
    assert miou["present"] == pytest.approx(total / 2)
    assert miou["defined"] == pytest.approx(total / 3)
    assert miou["all"] == pytest.approx(total / 4)
    assert [miou.count(c) for c in CONVENTIONS] == [2, 3, 4]


def test_group_means_are_over_the_classes_of_the_group() -> None:
    result = report()
    assert result.head.present == pytest.approx((2 / 3 + 1 / 2) / 2)
    assert (result.common.present, result.common.defined, result.common.all) == (None, 0.0, 0.0)
    assert (result.tail.present, result.tail.defined, result.tail.all) == (None, None, 0.0)


def test_json_has_the_agreed_keys_and_null_for_what_is_undefined() -> None:
    data = json.loads(json.dumps(report().to_dict(), allow_nan=False))
    assert set(data["miou"]) == {"present", "defined", "all"}
    assert set(data["head"]) >= {"present", "defined", "all", "num_classes"}
    assert data["classes"][0] == {
        "raw_id": 1,
        "name": "wall",
        "group": "head",
        "iou": 2 / 3,
        "tp": 2,
        "fp": 0,
        "fn": 1,
    }
    assert data["classes"][3]["iou"] is None
    assert [data[g]["num_classes"] for g in ("head", "common", "tail")] == [2, 0, 0]
    assert (data["num_vertices"], data["num_unknown_predictions"]) == (5, 1)


def test_accuracies_are_shares_of_labelled_vertices() -> None:
    assert report().overall_accuracy == 3 / 5
    assert report().mean_accuracy == pytest.approx((2 / 3 + 1 / 2) / 2)


def test_a_report_of_nothing_is_null_and_not_nan() -> None:
    data = Report.from_confusion(Confusion(4), label_space()).to_dict()
    assert data["miou"] == {"present": None, "defined": None, "all": 0.0}
    assert (data["overall_accuracy"], data["mean_accuracy"]) == (None, None)


def test_a_label_set_without_groups_has_no_group_means() -> None:
    data = report(("", "", "", "")).to_dict()
    assert data["classes"][0]["group"] is None
    assert (data["tail"]["present"], data["tail"]["all"], data["tail"]["num_classes"]) == (None, None, 0)
    assert "tail" not in printed(report(("", "", "", "")))


def test_all_200_classes_found_without_error_give_100_percent_under_every_convention() -> None:
    everything = np.arange(200)
    result = Report.from_confusion(
        Confusion(200).update(everything, everything), load_label_space("scannet200")
    )
    assert {result.miou[c] for c in CONVENTIONS} == {1.0}
    assert [g.num_present for g in (result.head, result.common, result.tail)] == [66, 68, 66]


def test_a_confusion_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match="20 classes"):
        Report.from_confusion(Confusion(200), load_label_space("scannet20"))


def test_an_unknown_convention_is_a_key_error() -> None:
    with pytest.raises(KeyError, match="present, defined, all"):
        report().miou["mean"]


def test_the_table_names_each_convention_and_the_number_of_classes() -> None:
    text = printed(report())
    for meaning in CONVENTIONS.values():
        assert meaning in text
    assert "58.33 (2)" in text
    assert "29.17 (4)" in text


def test_the_class_list_is_printed_when_asked_for() -> None:
    assert "candle" not in printed(report())
    assert "candle" in printed(report(), classes=True)


def test_the_class_list_has_percent_and_counts() -> None:
    cells = {
        words[1]: words
        for line in printed(report(), classes=True).splitlines()
        if (words := line.replace("│", " ").split()) and words[0] in ("1", "2", "3", "4")
    }
    assert cells["wall"] == ["1", "wall", "head", "66.67", "2", "0", "1"]
    assert cells["towel"] == ["3", "towel", "common", "0.00", "0", "1", "0"]
    assert cells["candle"] == ["4", "candle", "tail", "-", "0", "0", "0"]


def test_the_groups_of_the_file_count_their_classes_under_each_convention() -> None:
    data = report().to_dict()
    counts = {
        group: [data[group][key] for key in ("num_classes", "num_classes_defined", "num_classes_all")]
        for group in ("head", "common", "tail")
    }
    assert counts == {"head": [2, 2, 2], "common": [0, 1, 1], "tail": [0, 0, 1]}
    assert data["num_classes"] == {"present": 2, "defined": 3, "all": 4}


def test_title_unit_and_accuracies_are_printed() -> None:
    assert printed(report()).startswith("Mean IoU (%), mean over ...")
    text = printed(report(), title="Two photographs", unit="pixels")
    assert text.startswith("Two photographs (%), mean over ...")
    assert "overall accuracy 60.00 %, mean class accuracy 58.33 %, 5 labelled pixels" in text
    assert "5 labelled vertices" in printed(report())


def test_a_notebook_shows_the_three_means() -> None:
    assert repr(report()) == "Report(mIoU 58.33 / 38.89 / 29.17 %, present / defined / all)"
    nothing = Report.from_confusion(Confusion(4), label_space())
    assert repr(nothing).startswith("Report(mIoU - / - / 0.00 %")
