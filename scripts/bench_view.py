"""How long a page takes to its first picture, and for each one after that, without a graphics card.

Writes the table of benchmarks/view.md: pages of a generated room of 100,000 and of 1,000,000 points in a
headless Chromium that draws with the processor (SwiftShader), 1280 x 800. Wants Chromium and the package
playwright.

    python scripts/bench_view.py --write benchmarks/view.md
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pointseg.core.cores import num_cores
from pointseg.core.durable import write_text
from pointseg.core.labels import load_label_space
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.view.page import Surroundings, write_page
from pointseg.view.page_data import MAX_POINTS
from pointseg.view.parts import Parts
from pointseg.view.scene_view import SceneSummary, SceneView

COUNTS = (100_000, 1_000_000)
#: Of a scene with parts: the first picture, of its overview, and pictures once parts are there, seen closely.
LARGE = 5_000_000
REPEATS = 5
FRAMES = 12
SIZE = {"width": 1280, "height": 800}
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update", "--enable-unsafe-swiftshader"),
)
#: Between these lines of the file lies the table.
BEGIN, END = "<!-- table -->", "<!-- end of table -->"
# Turns the camera by a key and waits until the picture is there: reading a pixel waits for what was drawn.
FRAME = """async () => {
  const canvas = document.getElementById("canvas"), gl = canvas.getContext("webgl2");
  const began = performance.now(), before = document.body.dataset.drawn;
  document.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowLeft" }));
  while (document.body.dataset.drawn === before) await new Promise((done) => setTimeout(done, 1));
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - began;
}"""
SETTLE = """() => {
  const gl = document.getElementById("canvas").getContext("webgl2");
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
}"""


def room(count: int) -> SceneView:
    """Floor, two walls and boxes of random size on a floor of 8 x 6 m, with a prediction of 80 % right."""
    rng = np.random.default_rng(0)
    labels = load_label_space("scannet200")
    where, normal, train_index = [], [], []

    def add(corner: Any, size: Any, axis: int, class_: int, points: int) -> None:
        xyz = np.asarray(corner) + np.asarray(size) * rng.random((points, 3))
        where.append(xyz)
        normal.append(np.tile(np.eye(3)[axis], (points, 1)))
        train_index.append(np.full(points, class_))

    share = count // 10
    add((0, 0, 0), (8, 6, 0), 2, 2, 3 * share)
    add((0, 0, 0), (0, 6, 2.6), 0, 0, 2 * share)
    add((0, 0, 0), (8, 0, 2.6), 1, 0, 2 * share)
    left = count - 7 * share
    for number in range(20):
        points = left // 20 if number < 19 else left - 19 * (left // 20)
        corner = (*rng.uniform((0.5, 0.5), (7, 5)), rng.uniform(0.3, 1.2))
        add(corner, (*rng.uniform(0.3, 1.2, 2), 0), 2, int(rng.integers(3, 200)), points)
    truth = np.concatenate(train_index)
    scene = Scene(
        f"room of {count:,} points",
        np.concatenate(where).astype(np.float32),
        rgb=rng.integers(60, 220, (count, 3), dtype=np.uint8),
        normal=np.concatenate(normal).astype(np.float32),
        raw_label=labels.decode(truth),
    )
    guess = np.where(rng.random(count) < 0.8, truth, rng.integers(0, 200, count))
    top = np.stack([guess, *(rng.integers(0, 200, count) for _ in range(4))], axis=1)
    probability = np.sort(rng.dirichlet(np.ones(5), count), axis=1)[:, ::-1].astype(np.float32)
    return SceneView.of(scene, labels, ScenePrediction.ranked(scene.name, top, probability))


def measure(browser: Any, page_file: Path, frames: int = FRAMES) -> tuple[float, float]:
    """Seconds to the first picture, and milliseconds of a picture after that, all points drawn."""
    page = browser.new_page(viewport=SIZE)
    began = time.perf_counter()
    page.goto(page_file.as_uri())
    while not page.evaluate("Number(document.body.dataset.drawn ?? 0)"):
        page.wait_for_timeout(5)
    page.evaluate(SETTLE)
    first = time.perf_counter() - began
    times = [page.evaluate(FRAME) for _ in range(frames)]
    page.close()
    return first, statistics.median(times)


def large_row(browser: Any, folder: Path) -> str:
    """The row of a scene that its page does not hold whole: one visit, since it takes long."""
    view = room(LARGE)
    summary, cut = SceneSummary.of(view), Parts.of(view)
    pages = {"large": cut.overview(summary, Surroundings(), "large")}
    pages |= {f"large.part{number}": cut.part(number, summary) for number in range(len(cut.rows))}
    for name, text in pages.items():
        write_text(folder / f"{name}.html", text)
    first, _ = measure(browser, folder / "large.html", frames=1)
    page = browser.new_page(viewport=SIZE)
    # From half a metre above the floor.
    page.goto((folder / "large.html").as_uri() + "#view=-1.5,0.7,0.5,4,3,0")
    began = time.perf_counter()
    while not page.evaluate(f"Number(document.getElementById('shown')?.dataset.shown ?? 0) > {MAX_POINTS}"):
        page.wait_for_timeout(20)
    came = time.perf_counter() - began
    page.wait_for_timeout(20_000)
    shown = int(page.evaluate("document.getElementById('shown').dataset.shown"))
    frame = statistics.median(page.evaluate(FRAME) for _ in range(FRAMES))
    page.close()
    whole, *pieces = [len(text) / 2**20 for text in pages.values()]
    points = f"{LARGE:,}, seen closely: {shown:,} at rest, the first part after {came:.1f} s"
    size = f"{whole:.1f} MiB and {len(pieces)} parts of {statistics.median(pieces):.1f} MiB"
    return f"| {points} | {size} | {first:.2f} s | {frame:.0f} ms |"


def table() -> str:
    from playwright.sync_api import sync_playwright

    program = os.environ.get("POINTSEG_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        raise SystemExit("Chromium is not installed: apt-get install chromium, or set POINTSEG_CHROMIUM.")
    lines = [
        "| points | size of the page | first picture | every picture after that |",
        "|---|---|---|---|",
    ]
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        for count in COUNTS:
            view, file = room(count), Path(folder) / f"{count}.html"
            write_page(view, SceneSummary.of(view), file)
            measured = [measure(browser, file) for _ in range(REPEATS)]
            first, frame = (statistics.median(column) for column in zip(*measured, strict=True))
            size = file.stat().st_size / 2**20
            lines.append(f"| {count:,} | {size:.1f} MiB | {first:.2f} s | {frame:.0f} ms |")
        lines.append(large_row(browser, Path(folder)))
        version = browser.version
        browser.close()
    cores = num_cores()
    where = f"Chromium {version}, {cores} CPU cores ({platform.machine()}), no GPU; median of {REPEATS}."
    return "\n".join([*lines, "", where])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", type=Path, help="put the table into this file")
    arguments = parser.parse_args()
    found = table()
    print(found)
    if arguments.write is not None:
        text = arguments.write.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        _, _, after = rest.partition(END)
        write_text(arguments.write, f"{before}{BEGIN}\n{found}\n{END}{after}")


if __name__ == "__main__":
    main()
