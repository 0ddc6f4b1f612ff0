"""The pages in a real headless Chromium: served and from disk, on a desk and on a phone."""

import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.view.gallery.collection import open_collection
from pointseg.view.gallery.server import serve
from pointseg.view.gallery.site import Site
from pointseg.view.gallery.view import write_gallery
from pointseg.watch import Watch
from tests.view.pages import SIZES, Opener, drawn, until, words


@dataclass(frozen=True)
class Gallery:
    """Where a gallery is.

    Args:
        address: of its folder, with a slash at the end.
        site: its pages.
    """

    address: str
    site: Site


@pytest.fixture(scope="module")
def galleries(
    trained_run: Path, second_run: Path, tmp_path_factory: pytest.TempPathFactory, chromium: Any
) -> Iterator[dict[str, Gallery]]:
    """The same two runs, served and exported."""
    collection = open_collection([trained_run, second_run], device="cpu")
    site = Site(collection, live=True)
    for cell in site.cells:
        site.prepare(cell)
    # Predicted once for both.
    exported = Site(collection, live=False)
    exported._views, exported._results, exported._thumbnails = site._views, site._results, site._thumbnails
    folder = tmp_path_factory.mktemp("export")
    write_gallery(exported, folder, Console(quiet=True))
    with serve(site, 0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        served = Gallery(f"http://127.0.0.1:{server.server_address[1]}/", site)
        yield {"served": served, "exported": Gallery(folder.as_uri() + "/", exported)}
        server.shutdown()


def color_at(page: Any, x: float, y: float) -> np.ndarray:
    page.wait_for_timeout(250)
    picture = page.screenshot(clip={"x": int(x), "y": int(y), "width": 2, "height": 2})
    return np.asarray(Image.open(BytesIO(picture)).convert("RGB"))[0, 0].astype(float)


def mode(page: Any, name: str) -> None:
    page.get_by_role("radio", name=name, exact=True).click()
    until(page, f"location.hash.includes('colors={name.lower()}')")


@pytest.mark.parametrize(("kind", "size"), [("served", "desk"), ("exported", "phone")])
def test_a_gallery_is_filtered_and_its_link_restores_the_choice(
    kind: str, size: str, galleries: dict[str, Gallery], visit: Opener
) -> None:
    gallery = galleries[kind]
    with visit(gallery.address + "index.html", size) as page:
        cards = page.locator(".card")
        assert cards.count() == 2
        # Fits into the window, whatever its width.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        until(page, "[...document.images].every((image) => image.naturalWidth > 0)")
        if size == "phone":
            page.get_by_text("Filters and classes").click()
        page.get_by_role("radio", name="Error").click()
        page.locator("#search").fill("BO")
        assert page.locator("#classes .name").all_inner_texts() == ["box"]
        page.locator("#classes .name").click()
        page.locator("#find").fill("val1")
        assert cards.count() == 1 and "val1" in cards.inner_text()
        until(page, "location.hash.includes('find=val1')")
        said, link = words(page), page.url
    assert said["show"] == "error" and said["classes"] == "2" and said["find"] == "val1"
    with visit(link, size) as page:
        assert page.locator(".card h3").all_inner_texts() == ["val1"]
        assert page.locator("#find").input_value() == "val1"
        assert page.get_by_role("radio", name="Error").get_attribute("aria-checked") == "true"
        assert ".error.jpg" in (page.locator(".card img").get_attribute("src") or "")
        page.get_by_role("button", name="Clear filters").click()
        assert page.locator(".card").count() == 2


def test_scenes_are_sorted_and_cut_by_their_scores(galleries: dict[str, Gallery], visit: Opener) -> None:
    gallery = galleries["exported"]
    miou = {name: gallery.site._results[scene, 1]["miou"] for scene, name in enumerate(("val0", "val1"))}
    worst, best = sorted(miou, key=lambda name: miou[name])
    assert miou[worst] < miou[best]
    between = 50 * (miou[worst] + miou[best])
    with visit(gallery.address + "index.html#run=1&sort=miou") as page:
        assert page.locator(".card h3").all_inner_texts() == [worst, best]
        page.locator("#direction").click()
        assert page.locator(".card h3").all_inner_texts() == [best, worst]
        page.get_by_label("mIoU, %, from", exact=True).fill(f"{between:.4f}")
        assert page.locator(".card h3").all_inner_texts() == [best]
        assert f"mIoU {100 * miou[best]:.1f}" in page.locator(".card").inner_text()


@pytest.mark.parametrize(("kind", "size"), [("served", "desk"), ("exported", "phone")])
def test_a_point_of_a_scene_says_its_classes_in_every_colouring(
    kind: str, size: str, galleries: dict[str, Gallery], visit: Opener, second_run: Path
) -> None:
    run = load_run(second_run, device="cpu")
    scene = run.open_data().load("val0")
    truth, prediction = run.label_space.encode(scene.raw_label), predict_scene(run, scene, top=5)
    assert prediction.top_index is not None and prediction.top_probability is not None
    # In the middle of the floor, where nothing is before it.
    on_floor = np.flatnonzero(truth == 0)
    wanted = int(on_floor[np.argmin(np.abs(scene.xyz_m[on_floor, :2] - [1.2, 0.5]).sum(axis=1))])
    address = galleries[kind].address + "scenes/val0.1.html"
    with visit(f"{address}#colors=input&size=0.3&vertex={wanted}", size) as page:
        drawn(page)
        place = page.locator("#pin").bounding_box()
        x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
        page.keyboard.press("Escape")
        page.locator("#pin").wait_for(state="hidden")
        page.mouse.click(x, y)
        box = page.locator("#pick")
        box.wait_for()
        found = re.search(r"vertex ([\d,]+)", box.inner_text())
        assert found is not None and "val0" in box.inner_text()
        vertex = int(found[1].replace(",", ""))
        names = run.label_space.names
        rows = [line.replace("\t", " ") for line in box.inner_text().splitlines() if line.strip()]
        assert names[truth[vertex]] in rows[rows.index("truth") + 1 :][0]
        assert names[prediction.train_index[vertex]] in rows[rows.index("prediction") + 1 :][0]
        guesses = box.locator(".top .who").all_inner_texts()
        assert guesses == [names[c] for c in prediction.top_index[vertex]]
        shares = [float(text.strip("<% ")) for text in box.locator(".top .number").all_inner_texts()]
        assert np.allclose(shares, 100 * prediction.top_probability[vertex], atol=1)
        until(page, f"location.hash.includes('vertex={vertex}')")
        # Its colour is that of its class, darkened by the light.
        page.keyboard.press("Escape")
        box.wait_for(state="hidden")
        for name, classes in (("Truth", truth), ("Prediction", prediction.train_index)):
            mode(page, name)
            seen = color_at(page, x, y)
            palette = run.label_space.color_table.astype(float)
            alike = (palette @ seen) / np.linalg.norm(palette, axis=1) / np.linalg.norm(seen)
            assert int(alike.argmax()) == classes[vertex], (name, seen)
        mode(page, "Error")
        red, green, _ = color_at(page, x, y)
        assert (red > 1.5 * green) == (truth[vertex] != prediction.train_index[vertex])
        for name in ("Confidence", "Frequency"):
            mode(page, name)
            assert page.locator("#key").is_visible()


def test_the_link_of_a_scene_restores_all_that_is_on_screen(
    galleries: dict[str, Gallery], visit: Opener
) -> None:
    address = galleries["exported"].address + "scenes/val1.0.html"
    with visit(address) as page:
        drawn(page)
        page.mouse.move(400, 400)
        page.mouse.down()
        page.mouse.move(520, 440, steps=4)
        page.mouse.up()
        page.keyboard.press("4")
        page.keyboard.press("x")
        page.get_by_role("switch", name="Show wall").click()
        page.get_by_role("radio", name="tail").click()
        until(page, "location.hash.includes('group=tail')")
        page.wait_for_timeout(400)
        said, link = words(page), page.url
        before = page.screenshot()
    assert said["colors"] == "error" and said["inside"] == "0" and said["hide"] == "10"
    with visit(link) as page:
        drawn(page)
        page.mouse.move(520, 440)
        page.wait_for_timeout(600)
        assert words(page) == said
        assert page.locator("#classes .name").all_inner_texts() == ["box"]
        after = page.screenshot()
    first, second = (np.asarray(Image.open(BytesIO(p)).convert("RGB")).astype(int) for p in (before, after))
    # But for the ring of focus around what was clicked.
    assert (np.abs(first - second).max(axis=2) > 24).mean() < 0.01


def test_two_runs_side_by_side_are_seen_from_the_same_place(
    galleries: dict[str, Gallery], visit: Opener
) -> None:
    # From disk, where the two frames are strangers to the page around them and to each other.
    gallery = galleries["exported"]
    with visit(gallery.address + "compare.html#scene=val1&a=0&b=1&colors=truth", "phone") as page:
        frames = [page.frame(url=re.compile(rf"scenes/val1\.{run}\.html")) for run in (0, 1)]
        for frame in frames:
            drawn(frame)
        start = words(frames[1])["view"]
        box = page.locator("#left").bounding_box()
        page.mouse.move(box["x"] + 200, box["y"] + 200)
        page.mouse.down()
        page.mouse.move(box["x"] + 240, box["y"] + 220, steps=2)
        page.mouse.up()
        frames[1].get_by_role("radio", name="Error", exact=True).click()
        until(frames[0], "location.hash.includes('colors=error')")
        until(page, "location.hash.includes('colors=error')")
        page.wait_for_timeout(400)
        mine, other, around = words(frames[0]), words(frames[1]), words(page)
        assert mine["view"] == other["view"] == around["view"] != start
        assert around["scene"] == "val1" and around["b"] == "1"


def test_a_photograph_is_zoomed_and_its_pixels_picked(
    photo_run: Path, visit: Opener, tmp_path: Path, chromium: Any
) -> None:
    site = Site(open_collection([photo_run], device="cpu"), live=False)
    write_gallery(site, tmp_path, Console(quiet=True))
    for size in SIZES:
        with visit((tmp_path / "scenes" / "3.0.html").as_uri() + "#colors=truth&vertex=105", size) as page:
            drawn(page)
            assert "pixel 105 (row 2, column 5)" in page.locator("#pick").inner_text()
            place = page.locator("#pin").bounding_box()
            x, y = place["x"] + place["width"] / 2, place["y"] + place["height"] / 2
            page.keyboard.press("Escape")
            page.mouse.move(x, y)
            page.mouse.wheel(0, -400)
            page.mouse.click(x, y)
            # What lies under the pointer stays there while it is zoomed.
            page.locator("#pick").wait_for()
            assert "pixel 105 (row 2, column 5)" in page.locator("#pick").inner_text()
            assert re.search(r"truth\s+red", page.locator("#pick").inner_text())


def test_a_fragment_of_nonsense_does_no_harm(galleries: dict[str, Gallery], visit: Opener) -> None:
    nonsense = "#view=1,2,NaN&size=x&vertex=-4&hide=q,,9&group=__proto__&colors=<b>&scene=../../etc&a=99"
    nonsense += "&run=7&sort=constructor&order=x&miou=a,b&classes=1e9,-1"
    for path in ("index.html", "scenes/val0.0.html", "compare.html"):
        with visit(galleries["served"].address + path + nonsense, "phone") as page:
            page.wait_for_timeout(500)
            assert "val0" in page.locator("body").inner_text()


def test_pages_of_a_training_come_anew_after_each_validation(
    trained_run: Path, second_run: Path, visit: Opener
) -> None:
    watch = Watch(port=0)
    run = load_run(second_run, device="cpu")
    data = run.open_data()
    watch.on_start(run.experiment, data, ["val0", "val1"])

    def validate(learned: Path, step: int) -> None:
        network = load_run(learned, device="cpu")
        for name in ("val0", "val1"):
            watch.on_scene(step, data.load(name), predict_scene(network, data.load(name)))

    with visit(watch.address) as gallery, visit(watch.address + "scenes/val0.0.html") as scene:
        until(gallery, "document.body.innerText.includes('before the first validation')")
        drawn(scene)
        mode(scene, "Truth")
        view = words(scene)
        for learned, step in ((second_run, 20), (trained_run, 1000)):
            validate(learned, step)
            until(gallery, f"document.body.innerText.includes('step {step:,}')")
            until(gallery, f"[...document.images].every((one) => one.src.endsWith('step={step}'))")
            until(scene, f"JSON.parse(document.getElementById('facts').textContent).learned.step === {step}")
            drawn(scene)
            # It is looked at from where it was, in the colours that were chosen.
            assert words(scene) == view
    watch.on_end()
