"""Scenes of more points than a page holds: an overview, and parts that come where one looks closely."""

import re
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from scipy.spatial import KDTree

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.scene import Scene
from pointseg.scans.store import StoreWriter
from pointseg.view import parts
from pointseg.view.gallery.collection import open_collection
from pointseg.view.gallery.server import serve
from pointseg.view.gallery.site import Site
from pointseg.view.gallery.view import write_gallery
from pointseg.view.page import Surroundings
from pointseg.view.parts import Parts, num_parts
from pointseg.view.scene_view import SceneSummary, SceneView
from tests.view.pages import Opener, drawn, until, words
from tests.view.test_page import read_back

LABELS = LabelSpace("two", (4, 9), ("floor", "box"), ("head", "tail"), distinct_colors(2))
COUNT, OVERVIEW = 60_000, 20_000


@pytest.fixture(autouse=True, scope="module")
def small_pages() -> Iterator[None]:
    """Pages and parts that are small enough for a test."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "MAX_POINTS", OVERVIEW)
        patch.setattr(parts, "PART_POINTS", 10_000)
        yield


def field() -> Scene:
    """A floor of 40 x 30 m without colours, its far half a box, so that colours follow from the height."""
    random = np.random.default_rng(0)
    xyz = random.uniform((0, 0, 0), (40, 30, 0.02), (COUNT, 3)).astype(np.float32)
    xyz[xyz[:, 0] > 20, 2] += 1
    normal = np.tile(np.array([0, 0, 1], np.float32), (COUNT, 1))
    return Scene("field", xyz, normal=normal, raw_label=np.where(xyz[:, 0] > 20, 9, 4).astype(np.int32))


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("field") / "store"
    writer = StoreWriter(folder, LABELS)
    writer.add(field(), "val")
    writer.finish()
    return folder


@pytest.mark.parametrize(
    ("points", "number"), [(20_000, 0), (20_001, 1), (30_000, 1), (30_001, 2), (60_000, 4), (60_001, 8)]
)
def test_parts_are_as_few_as_hold_the_rest(points: int, number: int) -> None:
    assert num_parts(points) == number


def test_the_overview_and_the_parts_hold_every_point_once() -> None:
    scene = field()
    view = SceneView.of(scene, LABELS)
    summary, cut = SceneSummary.of(view), Parts.of(view)
    facts, first = read_back(cut.overview(summary, Surroundings(), "field.0"))
    assert (facts["count"], facts["numVertices"], len(facts["parts"])) == (OVERVIEW, COUNT, 4)
    assert [part["href"] for part in facts["parts"]] == [f"field.0.part{n}.html" for n in range(4)]
    # What is said of the classes counts all points.
    assert sum(entry["count"] for entry in facts["classes"]) == COUNT
    colors, seen = view.input_colors(), [first["vertex"]]
    for number, part in enumerate(facts["parts"]):
        own, arrays = read_back(cut.part(number, summary))
        rows = arrays["vertex"]
        seen.append(rows)
        assert part["count"] == own["count"] == len(rows)
        # Positions are told in the box of the overview, and colours are those of the whole scene.
        xyz = np.array(facts["origin"]) + arrays["position"] / 65_535 * facts["extent"]
        assert np.abs(xyz - scene.xyz_m[rows]).max() < facts["extent"] / 65_535
        assert (xyz >= part["low"]).all() and (xyz <= part["high"]).all()
        assert np.array_equal(arrays["color"], colors[rows])
        named = np.array([entry["rawId"] for entry in facts["classes"]])
        assert np.array_equal(named[arrays["truth"]], scene.raw_label[rows])
    assert np.array_equal(np.sort(np.concatenate(seen)), np.arange(COUNT))


@pytest.fixture(scope="module", params=["served", "exported"])
def address(
    request: pytest.FixtureRequest, store: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Any
) -> Iterator[str]:
    """Of the folder of a gallery with the field."""
    site = Site(open_collection([store]), live=request.param == "served")
    if request.param == "exported":
        folder = tmp_path_factory.mktemp("export")
        write_gallery(site, folder, Console(quiet=True))
        yield folder.as_uri() + "/"
        return
    with serve(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def test_more_points_come_where_one_looks_closely_and_can_be_picked(address: str, visit: Opener) -> None:
    scene = field()
    cut = Parts.of(SceneView.of(scene, LABELS))
    # A vertex of a part, which the overview does not hold, and which no other one's disc covers: near the
    # middle of the part, the one farthest from its neighbour.
    rows = cut.rows[0]
    apart = KDTree(scene.xyz_m).query(scene.xyz_m[rows], k=2)[0][:, 1]
    central = np.abs(scene.xyz_m[rows] - scene.xyz_m[rows].mean(axis=0)).max(axis=1) < 4
    vertex = int(rows[np.argmax(np.where(central, apart, 0))])
    target = ",".join(str(round(float(value), 3)) for value in scene.xyz_m[vertex])
    # From afar the overview is as much as can be seen.
    with visit(f"{address}scenes/field.0.html#view=-1.5,0.7,600,{target}") as page:
        drawn(page)
        assert float(words(page)["view"].split(",")[2]) > 500
        page.wait_for_timeout(1500)
        shown = page.locator("#shown").inner_text()
        assert shown == "20,000 of 60,000 shown, more where you go near"
    near = f"-1.5,0.7,3,{target}"
    with visit(f"{address}scenes/field.0.html#view={near}&size=0.3&vertex={vertex}") as page:
        until(page, "Number(document.getElementById('shown').dataset.shown) > 20000")
        page.locator("#pick").wait_for()
        text = page.locator("#pick").inner_text()
        found = re.search(r"vertex ([\d,]+)", text)
        assert found is not None and int(found[1].replace(",", "")) == vertex
        assert LABELS.names[LABELS.encode(scene.raw_label)[vertex]] in text
        # Picked by the mouse too, and there is a word for it in the address.
        place = page.locator("#pin").bounding_box()
        page.keyboard.press("Escape")
        page.mouse.click(place["x"] + place["width"] / 2, place["y"] + place["height"] / 2)
        until(page, f"location.hash.includes('vertex={vertex}')")


def test_the_wheel_goes_to_what_is_under_the_pointer_and_not_through_it(address: str, visit: Opener) -> None:
    # What the camera turns about lies ten metres under the floor, which is at 0.
    with visit(f"{address}scenes/field.0.html#view=-1.5,0.7,60,10,24,-10") as page:
        drawn(page)
        for _ in range(20):
            page.mouse.move(500, 400)
            page.mouse.wheel(0, -240)
        until(page, "location.hash.split(',')[2] < 5")
        _, elevation, distance, x, y, z = (float(word) for word in words(page)["view"].split(","))
        assert z + distance * np.sin(elevation) > 0.02
        assert 0 < x < 20 and 0 < y < 30 and abs(z) < 1
        until(page, "Number(document.getElementById('shown').dataset.shown) > 20000")
