"""What a picture tells of a scene: classes, shares, IoU, right and wrong."""

import numpy as np
import pytest

from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.view.scene_view import CORRECT_COLOR, UNLABELLED_COLOR, WRONG_COLOR, SceneSummary, SceneView

LABELS = LabelSpace(
    "four",
    (5, 6, 7, 8),
    ("a", "b", "c", "d"),
    ("head", "common", "tail", "tail"),
    ((9, 9, 9),) * 3 + ((1, 2, 3),),
)


def scene(raw_label: list[int] | None, count: int = 6) -> Scene:
    label = None if raw_label is None else np.array(raw_label, np.int32)
    return Scene("s", np.arange(3 * count, dtype=np.float32).reshape(count, 3), raw_label=label)


def predicted(*train_index: int) -> ScenePrediction:
    count = len(train_index)
    return ScenePrediction("s", np.array(train_index), np.linspace(0, 1, count, dtype=np.float32))


BOTH = SceneView.of(scene([5, 5, 5, 6, 0, 8]), LABELS, predicted(0, 0, 1, 1, 2, 0))


def test_wrong_is_a_labelled_vertex_with_another_class() -> None:
    assert BOTH.is_wrong is not None
    assert BOTH.is_wrong.tolist() == [False, False, True, False, False, True]
    colors = BOTH.error_colors()
    assert [tuple(c) for c in colors[[0, 2, 4]]] == [CORRECT_COLOR, WRONG_COLOR, UNLABELLED_COLOR]


def test_the_summary_counts_by_hand() -> None:
    summary = SceneSummary.of(BOTH)
    assert (summary.num_vertices, summary.num_labelled) == (6, 5)
    assert summary.accuracy == pytest.approx(3 / 5)
    # a: 2 right, 1 missed, 1 false alarm. b: 1 right, 1 false alarm. d: missed. c: predicted at no label.
    iou = {entry.name: entry.iou for entry in summary.classes}
    assert iou == {"a": pytest.approx(2 / 4), "b": pytest.approx(1 / 2), "d": 0.0, "c": None}
    assert summary.miou == pytest.approx((1 / 2 + 1 / 2 + 0) / 3)
    assert [entry.name for entry in summary.classes] == ["a", "b", "d", "c"]
    assert [entry.share for entry in summary.classes] == pytest.approx([3 / 5, 1 / 5, 1 / 5, 0])


def test_without_labels_the_shares_are_those_of_the_prediction() -> None:
    summary = SceneSummary.of(SceneView.of(scene(None), LABELS, predicted(3, 3, 3, 1, 1, 0)))
    assert [(entry.name, entry.share) for entry in summary.classes] == [
        ("d", pytest.approx(1 / 2)),
        ("b", pytest.approx(1 / 3)),
        ("a", pytest.approx(1 / 6)),
    ]
    assert summary.accuracy is None and summary.miou is None


def test_a_scene_whose_vertices_are_all_unlabelled_has_no_rates() -> None:
    summary = SceneSummary.of(SceneView.of(scene([0] * 6), LABELS, predicted(0, 0, 0, 0, 0, 0)))
    assert summary.accuracy is None and summary.miou is None and summary.num_labelled == 0


def test_class_colours_are_grey_without_a_label() -> None:
    assert BOTH.truth is not None
    colors = BOTH.class_colors(BOTH.truth)
    assert tuple(colors[5]) == (1, 2, 3) and tuple(colors[4]) == UNLABELLED_COLOR


def test_a_scan_without_colours_is_shaded_by_height() -> None:
    brightness = BOTH.input_colors().sum(axis=1)
    assert (np.diff(brightness.astype(int)) > 0).all()


def test_thinning_keeps_rows_together_and_file_order() -> None:
    count = 1000
    room = scene([5] * count, count)
    view = SceneView.of(room, LABELS, predicted(*range(count)))
    thin = view.thinned(100)
    assert thin.num_vertices == 100 and thin.predicted is not None and thin.confidence is not None
    assert (np.diff(thin.predicted) > 0).all()
    assert np.array_equal(thin.scene.xyz_m, room.xyz_m[thin.predicted])
    assert view.thinned(count) is view
