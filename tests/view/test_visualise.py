"""pointseg visualise: files of a scene from a run or a store, with and without Open3D."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pointseg.cli import app
from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.formats.ply import write_ply
from pointseg.scans.store import Store
from pointseg.view import open3d_view
from pointseg.view.camera import Camera
from pointseg.view.open3d_view import Open3DError, write_open3d_picture
from pointseg.view.picture import MAX_LEGEND_CLASSES, PANEL_PX, panels_of, write_picture
from pointseg.view.scene_view import SceneSummary, SceneView
from pointseg.view.visualise import Outputs, visualise

QUICK = ("--no-window", "--no-open3d")
FILES_ONLY = Outputs(window=False, open3d=False)


def command(source: Path, scene: str, *options: str) -> Any:
    return CliRunner().invoke(app, ["visualise", str(source), "--scene", scene, *QUICK, *options])


def view_of(store: Path, name: str) -> SceneView:
    opened = Store.open(store)
    return SceneView.of(opened.load(name), opened.label_space)


def test_a_run_gives_a_picture_and_a_page_in_its_own_folder(trained_run: Path) -> None:
    result = command(trained_run, "val0")
    assert result.exit_code == 0, result.output
    folder = trained_run / "pictures"
    assert result.output.split() == [str(folder / "val0.png"), str(folder / "val0.html")]
    with Image.open(folder / "val0.png") as picture:
        # Four panels, two by two.
        assert picture.width > 2 * PANEL_PX[0] and picture.height > 2 * PANEL_PX[1]
    assert '"hasPrediction": true' in (folder / "val0.html").read_text()


def test_a_store_gives_input_and_truth(tiny_store: Path, tmp_path: Path) -> None:
    assert command(tiny_store, "val0", "-o", str(tmp_path)).exit_code == 0
    with Image.open(tmp_path / "val0.png") as picture:
        assert picture.width > 2 * PANEL_PX[0] and picture.height < 2 * PANEL_PX[1]
    text = (tmp_path / "val0.html").read_text()
    assert '"hasTruth": true' in text and '"hasPrediction": false' in text


def test_panels_are_those_that_the_scene_can_fill(tiny_store: Path) -> None:
    view = view_of(tiny_store, "val0")
    unlabelled = view_of(tiny_store, "test0")
    assert [panel.title for panel in panels_of(view, SceneSummary.of(view))] == ["Input", "Truth"]
    assert [panel.title for panel in panels_of(unlabelled, SceneSummary.of(unlabelled))] == ["Input"]


def test_one_form_alone_can_be_asked_for(tiny_store: Path, tmp_path: Path) -> None:
    assert command(tiny_store, "val0", "-o", str(tmp_path), "--no-png").exit_code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["val0.html"]


def test_a_run_shows_files_of_points_too(trained_run: Path, tiny_store: Path, tmp_path: Path) -> None:
    scene = Store.open(tiny_store).load("test0")
    write_ply(tmp_path / "anything.ply", scene.xyz_m, rgb=scene.rgb)
    written = visualise(
        trained_run, str(tmp_path / "anything.ply"), out=tmp_path / "out", outputs=FILES_ONLY, device="cpu"
    )
    assert [path.name for path in written] == ["anything.png", "anything.html"]


@pytest.mark.parametrize("kind", ["trained_run", "tiny_store"])
def test_an_unknown_scene_is_named_with_some_that_exist(kind: str, request: pytest.FixtureRequest) -> None:
    result = command(request.getfixturevalue(kind), "val7")
    assert result.exit_code == 2
    assert "no scene 'val7'" in result.output and "train0" in result.output


def test_a_folder_that_is_neither_run_nor_store_is_refused(tmp_path: Path) -> None:
    result = command(tmp_path, "val0")
    assert result.exit_code == 2 and "neither a training run" in result.output


def test_the_same_scene_gives_the_same_picture(tiny_store: Path, tmp_path: Path) -> None:
    view = view_of(tiny_store, "val0")
    for name in ("a.png", "b.png"):
        write_picture(view, SceneSummary.of(view), tmp_path / name)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()


def test_a_scene_with_every_class_and_one_with_a_single_vertex_can_be_drawn(tmp_path: Path) -> None:
    labels = load_label_space("scannet200")
    assert labels.num_classes > MAX_LEGEND_CLASSES
    xyz = np.random.default_rng(0).uniform(0, 3, (200, 3)).astype(np.float32)
    for scene in (
        Scene("all", xyz, raw_label=np.array(labels.raw_ids, np.int32)),
        Scene("single", xyz[:1], raw_label=np.array([1], np.int32)),
    ):
        view = SceneView.of(scene, labels)
        write_picture(view, SceneSummary.of(view), tmp_path / f"{scene.name}.png")
        assert (tmp_path / f"{scene.name}.png").stat().st_size > 1000


def picture_of_a_point(path: Path) -> None:
    point = np.zeros((1, 3), np.float32)
    camera = Camera(np.array([2.0, 0, 2]), np.zeros(3))
    color = np.array([[200, 30, 30]], np.uint8)
    up = np.array([[0, 0, 1]], np.float32)
    write_open3d_picture(path, point, up, np.array([0.3], np.float32), color, camera, size_px=(80, 60))


def test_a_crash_of_the_graphics_driver_is_an_error_of_ours_and_not_our_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    crashing = tmp_path / "python"
    crashing.write_text("#!/bin/sh\nkill -SEGV $$\n")
    crashing.chmod(0o755)
    monkeypatch.setattr(open3d_view.sys, "executable", str(crashing))
    with pytest.raises(Open3DError, match="exit code -11"):
        picture_of_a_point(tmp_path / "point.png")


def test_an_engine_that_hangs_while_it_starts_is_ended_and_started_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hanging = tmp_path / "python"
    hanging.write_text(f"#!/bin/sh\necho started >> {tmp_path}/log\nkill -ALRM $$\n")
    hanging.chmod(0o755)
    monkeypatch.setattr(open3d_view.sys, "executable", str(hanging))
    with pytest.raises(Open3DError, match="did not start"):
        picture_of_a_point(tmp_path / "point.png")
    assert (tmp_path / "log").read_text().count("started") == open3d_view.ATTEMPTS


def test_without_open3d_the_other_files_are_written_and_the_reason_is_told(
    tiny_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "open3d.py").write_text("raise ImportError('libusb is missing')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    options = ["--no-window", "--no-html", "-o", str(tmp_path / "out")]
    result = CliRunner().invoke(app, ["visualise", str(tiny_store), "--scene", "val0", *options])
    assert result.exit_code == 0
    assert "libusb is missing" in result.output and "install_system_libs.sh" in result.output
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["val0.png"]


def test_open3d_draws_a_coloured_disc_on_white(tmp_path: Path) -> None:
    try:
        picture_of_a_point(tmp_path / "point.png")
    except Open3DError as error:
        pytest.skip(f"Open3D cannot draw on this machine: {error}")
    with Image.open(tmp_path / "point.png") as picture:
        pixels = np.asarray(picture.convert("RGB")).astype(int)
    middle = pixels[pixels.shape[0] // 2, pixels.shape[1] // 2]
    assert middle[0] > middle[1] + 60
    assert pixels[0, 0].tolist() == [255, 255, 255]


def test_the_scripts_that_make_open3d_ready_never_fail_the_set_up(tmp_path: Path) -> None:
    script = Path(__file__).parents[2] / "scripts" / "install_system_libs.sh"
    # A PATH with no package manager: a distribution that the script does not know.
    for tool in ("bash", "uname"):
        (tmp_path / tool).symlink_to(Path("/usr/bin") / tool)
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run(["/bin/bash", str(script)], env=environment, capture_output=True, text=True)
    assert done.returncode == 0
    assert sys.platform != "linux" or "libusb" in done.stdout
