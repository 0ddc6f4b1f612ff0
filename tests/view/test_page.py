"""The page holds what the scene has, loads nothing, and treats names as text."""

import base64
import gzip
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.view import page_data
from pointseg.view.page import page
from pointseg.view.page_data import NO_CLASS
from pointseg.view.picture import with_normals
from pointseg.view.scene_view import SceneSummary, SceneView

HOSTILE = '</script><img src=x onerror=alert(1)> & "{{points}}"'
LABELS = LabelSpace("two", (4, 9), ("wall", HOSTILE), ("head", "tail"), distinct_colors(2))
KINDS = {"u8": np.uint8, "i8": np.int8, "u16": np.uint16, "u32": np.uint32}


class Elements(HTMLParser):
    """All elements with their attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None], list[str]]] = []
        self.is_inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs), []))
        self.is_inside = True

    def handle_endtag(self, tag: str) -> None:
        self.is_inside = False

    def handle_data(self, data: str) -> None:
        if self.is_inside:
            self.found[-1][2].append(data)

    def text(self, tag: str, **wanted: str) -> str:
        (match,) = [
            "".join(text)
            for name, attributes, text in self.found
            if name == tag and all(attributes.get(key) == value for key, value in wanted.items())
        ]
        return match


def make(count: int = 500, name: str = "room & <b>") -> tuple[SceneView, str]:
    random = np.random.default_rng(0)
    scene = Scene(
        name,
        random.uniform(-3, 5, (count, 3)).astype(np.float32),
        rgb=random.integers(0, 256, (count, 3), dtype=np.uint8),
        raw_label=random.choice(np.array([0, 4, 9], np.int32), count),
    )
    prediction = ScenePrediction(name, random.integers(0, 2, count), random.random(count).astype(np.float32))
    view = with_normals(SceneView.of(scene, LABELS, prediction))
    return view, page(view, SceneSummary.of(view))


def read_back(text: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    elements = Elements(text)
    facts = json.loads(elements.text("script", id="facts"))
    block = gzip.decompress(base64.b64decode(elements.text("script", id="points"), validate=True))
    arrays = {}
    for entry in facts["blocks"]:
        kind = np.dtype(KINDS[entry["kind"]]).newbyteorder("<")
        assert entry["offset"] % kind.itemsize == 0
        values = np.frombuffer(block, kind, facts["count"] * entry["width"], entry["offset"])
        arrays[entry["name"]] = values.reshape(-1, entry["width"]).squeeze()
    return facts, arrays


def test_points_come_back_within_their_rounding() -> None:
    view, text = make()
    facts, arrays = read_back(text)
    xyz = np.array(facts["origin"]) + arrays["position"] / 65535 * facts["extent"]
    assert np.abs(xyz - view.scene.xyz_m).max() <= facts["extent"] / 65535
    assert np.array_equal(arrays["color"], view.scene.rgb)
    assert view.confidence is not None
    assert np.abs(arrays["confidence"] / 255 - view.confidence).max() <= 0.5 / 255 + 1e-6


def test_classes_of_the_points_are_places_in_the_list_of_classes() -> None:
    view, text = make()
    facts, arrays = read_back(text)
    names = np.array([*(entry["name"] for entry in facts["classes"]), "none"])
    truth = names[np.where(arrays["truth"] == NO_CLASS, 2, arrays["truth"])]
    assert view.truth is not None
    expected = np.array([*LABELS.names, "none"])[np.where(view.truth < 0, -1, view.truth)]
    assert np.array_equal(truth, expected)


def test_names_of_strangers_are_text_and_nothing_else() -> None:
    _, text = make()
    elements = Elements(text)
    assert [tag for tag, _, _ in elements.found].count("script") == 3
    assert not [tag for tag, _, _ in elements.found if tag in ("img", "b", "link", "iframe")]
    facts = json.loads(elements.text("script", id="facts"))
    assert HOSTILE in [entry["name"] for entry in facts["classes"]]
    assert elements.text("title") == "room & <b> · pointseg"


def test_the_policy_lets_the_page_load_nothing_and_run_its_own_script_only() -> None:
    _, text = make()
    elements = Elements(text)
    (policy,) = [a["content"] or "" for _, a, _ in elements.found if "http-equiv" in a]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy and "http" not in policy
    script = text.rsplit("<script>", 1)[1].split("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy
    style = elements.text("style")
    assert base64.b64encode(hashlib.sha256(style.encode()).digest()).decode() in policy


def test_the_page_names_no_other_place() -> None:
    _, text = make()
    shell = text.replace(Elements(text).text("script", id="points"), "")
    assert not re.search(r"(https?:)?//[a-z]+\.[a-z]", shell)
    assert not re.search(r"\b(src|href)\s*=", shell.replace(r"src=x onerror", ""))


def test_a_view_without_classes_has_input_only() -> None:
    view = with_normals(SceneView(Scene("bare", np.eye(3, dtype=np.float32)), LABELS))
    facts, arrays = read_back(page(view, SceneSummary.of(view)))
    assert not (facts["hasTruth"] or facts["hasPrediction"] or facts["hasConfidence"])
    assert set(arrays) == {"position", "normal", "color"}
    assert facts["classes"] == []


def test_guesses_name_classes_that_are_in_no_list() -> None:
    labels = LabelSpace("three", (4, 9, 5), ("wall", "box", "never"), ("", "", "tail"), distinct_colors(3))
    scene = Scene("s", np.eye(3, dtype=np.float32), raw_label=np.array([4, 9, 4], np.int32))
    index = np.array([[0, 2], [1, 2], [0, 1]])
    probability = np.array([[0.75, 0.25], [1.0, 0.0], [0.6, 0.4]], np.float32)
    view = with_normals(SceneView.of(scene, labels, ScenePrediction.ranked("s", index, probability)))
    facts, arrays = read_back(page(view, SceneSummary.of(view)))
    names = [entry["name"] for entry in (*facts["classes"], *facts["further"])]
    assert [[names[c] for c in row] for row in arrays["topClass"]] == [
        ["wall", "never"],
        ["box", "never"],
        ["wall", "box"],
    ]
    assert np.abs(arrays["topProbability"] / 255 - probability).max() <= 0.5 / 255 + 1e-6
    assert [entry["name"] for entry in facts["further"]] == ["never"]


def test_a_choice_of_points_knows_the_vertices_they_are() -> None:
    view, _ = make(count=500)
    few = view.thinned(60)
    facts, arrays = read_back(page(few, SceneSummary.of(view)))
    assert facts["count"] == 60 and facts["numVertices"] == 500
    assert view.scene.rgb is not None
    assert np.array_equal(arrays["color"], view.scene.rgb[arrays["vertex"]])


def test_a_class_says_how_often_it_is_in_the_training_data() -> None:
    view, _ = make()
    facts, _ = read_back(page(replace(view, frequency=np.array([0.9, 0.1])), SceneSummary.of(view)))
    assert {entry["name"]: entry["frequency"] for entry in facts["classes"]} == {"wall": 0.9, HOSTILE: 0.1}
    assert facts["hasFrequency"] and not read_back(make()[1])[0]["hasFrequency"]


def test_of_a_large_photograph_every_nth_row_and_column_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_data, "MAX_POINTS", 100)
    height, width = 21, 40
    rgb = np.random.default_rng(0).integers(0, 256, (height * width, 3), dtype=np.uint8)
    raw = np.random.default_rng(1).choice(np.array([4, 9], np.int32), height * width)
    view = SceneView.of(ImageScene("photo", height, width, rgb, raw), LABELS)
    facts, arrays = read_back(page(view, SceneSummary.of(view)))
    step = facts["step"]
    assert step == 3 and facts["picture"] == [7, 14] and facts["fullWidth"] == width
    assert np.array_equal(arrays["color"].reshape(7, 14, 3), rgb.reshape(height, width, 3)[::3, ::3])
    names = [entry["name"] for entry in facts["classes"]]
    shown = np.array(names)[arrays["truth"].reshape(7, 14)]
    assert np.array_equal(shown == "wall", (raw == 4).reshape(height, width)[::3, ::3])
