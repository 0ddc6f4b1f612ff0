"""A second run on the tiny rooms, a run on photographs, and a browser to look at pages with."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rich.console import Console

from pointseg.experiment import Experiment, load_experiment
from pointseg.training.train import train
from tests.view.pages import PATIENCE_MS, SIZES, Opener

#: What the browser is started with: no traffic of its own, no display, its profile new and empty.
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--enable-unsafe-swiftshader",
)


@pytest.fixture(scope="session")
def second_run(tiny_experiment: Callable[..., Experiment], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A RUN folder of a network that has learned less than ``trained_run``, of the same folder name."""
    run = tmp_path_factory.mktemp("second") / "run"
    experiment = tiny_experiment("train.steps=2", "train.val_every=0")
    train(experiment, run, device="cpu", console=Console(quiet=True))
    return run


@pytest.fixture(scope="session")
def photo_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A RUN folder on four photographs of 40 x 50: grey (0), and a red bar on the left (3)."""
    root = tmp_path_factory.mktemp("photos")
    folder = root / "photos"
    for name in ("images", "labels"):
        (folder / name).mkdir(parents=True)
    splits = []
    for number in range(4):
        label = np.zeros((40, 50), np.uint8)
        label[:, : 12 + 2 * number] = 3
        colors = np.zeros((256, 3), np.uint8)
        colors[[0, 3]] = (120, 120, 120), (220, 30, 30)
        Image.fromarray(colors[label]).save(folder / "images" / f"{number}.jpg", quality=95)
        Image.fromarray(label).save(folder / "labels" / f"{number}.png")
        splits.append((number, "val" if number > 2 else "train"))
    for name, rows in (
        ("split.csv", [("image", "split"), *splits]),
        ("classes.csv", [("raw_id", "name"), (0, "grey"), (3, "red")]),
    ):
        with (folder / name).open("w", newline="") as handle:
            csv.writer(handle).writerows(rows)
    small = ["data.size=[32, 32]", "train.batch_size=2", "train.num_threads=1", "model.widths=[8, 16]"]
    experiment = load_experiment(
        "ccp59/unet",
        overrides=[*small, f"data.path={folder}", "train.steps=3", "train.val_every=0"],
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(root / "cache"))
        train(experiment, root / "run", device="cpu", console=Console(quiet=True))
        yield root / "run"


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A headless Chromium, or a skip that says what is missing."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("the package playwright is not installed: pip install playwright")
    names = ("chromium", "chromium-browser", "google-chrome")
    program = os.environ.get("POINTSEG_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if program is None:
        pytest.skip("Chromium is not installed: apt-get install chromium, or set POINTSEG_CHROMIUM")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, headless=True, args=list(FLAGS))
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def visit(chromium: Any) -> Opener:
    @contextmanager
    def open_page(address: str, size: str = "desk") -> Iterator[Any]:
        width, height = SIZES[size]
        # Half the pixels in both directions: without a graphics card they are what takes the time.
        context = chromium.new_context(viewport={"width": width, "height": height}, device_scale_factor=0.5)
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        wrong: list[str] = []
        asked: list[str] = []
        page.on("console", lambda said: wrong.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(address)
        yield page
        context.close()
        assert wrong == []
        home = address.partition("#")[0].rpartition("/")[0].removesuffix("/scenes")
        strangers = [url for url in asked if not url.startswith((home, "blob:", "data:"))]
        assert [url for url in strangers if not url.endswith("/favicon.ico")] == []

    return open_page
