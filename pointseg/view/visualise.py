"""`pointseg visualise`: a scene as a window, a picture and a page, with what a network makes of it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from rich.console import Console

from pointseg.config.shipped import did_you_mean
from pointseg.core.destination import check_destination_folder
from pointseg.core.member import Member
from pointseg.data.source import Source
from pointseg.prediction.file import warn
from pointseg.prediction.predict import check_views, predict_scene
from pointseg.runs.checkpoint import load_run
from pointseg.runs.door import find_run, no_run
from pointseg.scans.store import Store
from pointseg.view.camera import Camera
from pointseg.view.open3d_view import (
    MAX_RADIUS_SHARE,
    Open3DError,
    has_display,
    show_window,
    write_open3d_picture,
)
from pointseg.view.page import write_page
from pointseg.view.picture import aim_camera, panels_of, with_normals, write_picture
from pointseg.view.scene_view import SceneSummary, SceneView
from pointseg.view.splat import disc_radius_m
from pointseg.view.surface import front_of

#: Each point becomes six vertices there, and a software driver draws them all.
OPEN3D_POINTS = 150_000
WINDOW_POINTS = 3_000_000


@dataclass(frozen=True)
class Outputs:
    """Which of the forms are wanted."""

    window: bool = True
    png: bool = True
    html: bool = True
    open3d: bool = True


def visualise(
    source: Path,
    scene: str,
    *,
    out: Path | None = None,
    outputs: Outputs | None = None,
    store: Path | None = None,
    views: int = 1,
    checkpoint: str = "best",
    device: str = "auto",
    engine: str | None = None,
    console: Console | None = None,
) -> list[Path]:
    """Show one scene of a run or of a store.

    Args:
        source: RUN folder or model (the scene is predicted) or STORE folder (truth only).
        scene: name of a scene in the store, or with a run, a file of points.
        out: folder for ``<scene>.png``, ``<scene>.html`` and ``<scene>_open3d.png``; ``pictures`` in the run,
            or in the working folder for a store or a model.
        outputs: which forms.
        store: for a run: another store than the one it was trained on.
        views: test-time views.
        checkpoint: ``best`` or ``last``.
        device: see :func:`pointseg.runs.checkpoint.load_run`.
        engine: what convolves; as configured if None.
        console: for remarks.

    Returns:
        The files that were written.

    Raises:
        FileNotFoundError: if ``source`` is neither a run nor a store.
        ValueError: if there is no such scene.
    """
    wanted, console = outputs or Outputs(), console or Console(quiet=True)
    check_views(views)
    run = find_run(source)
    folder = out or (Path("pictures") if run is None else run.pictures)
    check_destination_folder(folder)
    if run is not None:
        view = _view_of_run(source, scene, store, views, checkpoint, device, engine, console)
    else:
        view = _view_of_store(source, scene)
    if not view.num_vertices:
        raise ValueError(f"{view.scene.name}: the scene has no vertex; there is nothing to show.")
    summary = SceneSummary.of(view)
    stem = folder / view.scene.name
    written: list[Path] = []
    if view.scene.picture_size is not None:
        # A picture is seen whole in its picture; there is nothing to turn.
        write_picture(view, summary, stem.with_name(f"{stem.name}.png"))
        return [stem.with_name(f"{stem.name}.png")]
    if wanted.png:
        write_picture(view, summary, stem.with_name(f"{stem.name}.png"))
        written.append(stem.with_name(f"{stem.name}.png"))
    if wanted.html:
        write_page(view, summary, stem.with_name(f"{stem.name}.html"))
        written.append(stem.with_name(f"{stem.name}.html"))
    if wanted.png and wanted.open3d:
        path = stem.with_name(f"{stem.name}_open3d.png")
        try:
            _open3d_picture(view, path)
            written.append(path)
        except Open3DError as error:
            console.print(f"No Open3D picture: {error}.{help_for(error)}", style="yellow", highlight=False)
    if wanted.window and has_display():
        try:
            show_window(view.scene.name, *_window_content(view, summary))
        except Open3DError as error:
            console.print(f"No Open3D window: {error}.{help_for(error)}", style="yellow", highlight=False)
    return written


def help_for(error: Open3DError) -> str:
    """What to install, where that is what is wrong."""
    return " bash scripts/install_system_libs.sh installs what Open3D needs." if error.is_missing else ""


def _view_of_run(
    path: Path,
    scene: str,
    store: Path | None,
    views: int,
    checkpoint: str,
    device: str,
    engine: str | None,
    console: Console,
) -> SceneView:
    if checkpoint not in ("best", "last"):
        raise ValueError(f"checkpoint must be 'best' or 'last'; got {checkpoint!r}.")
    run = load_run(path, checkpoint="last" if checkpoint == "last" else "best", device=device, engine=engine)
    loaded: Member
    if Path(scene).suffix and Path(scene).is_file():
        file = run.experiment.data.read_file(Path(scene), want_labels=True)
        warn(console, Path(scene), (*file.remarks, *run.doubts_about_file(file)))
        loaded = file.scene
    else:
        loaded = _load(run.open_data(store), scene)
    return SceneView.of(loaded, run.label_space, predict_scene(run, loaded, views=views))


def _view_of_store(path: Path, scene: str) -> SceneView:
    try:
        opened = Store.open(path)
    except FileNotFoundError:
        raise no_run(path, or_a="a store (manifest.json)") from None
    return SceneView.of(_load(opened, scene), opened.label_space)


def _load(store: Source, name: str) -> Member:
    """The scene, or an error that names a few that exist."""
    names = [known for scenes in store.splits().values() for known in scenes]
    if name not in names:
        raise ValueError(
            f"{store.path}: no scene {name!r}{did_you_mean(name, names)} It holds {len(names)}, such as "
            f"{names[:5]}."
        )
    return store.load(name)


def _open3d_picture(view: SceneView, path: Path) -> None:
    """The prediction, or the truth where nothing was predicted, drawn by Open3D."""
    view = with_normals(view.thinned(OPEN3D_POINTS))
    camera = aim_camera(view)
    view = view.select(front_of(view.scan.xyz_m, view.scan.normal, camera.eye))
    classes = view.predicted if view.predicted is not None else view.truth
    color = view.input_colors() if classes is None else view.class_colors(classes)
    xyz = np.asarray(view.scan.xyz_m)
    assert view.scan.normal is not None
    largest = MAX_RADIUS_SHARE * float(np.linalg.norm(np.ptp(xyz, axis=0))) if len(xyz) > 1 else np.inf
    radius = np.minimum(disc_radius_m(xyz), largest).astype(np.float32)
    write_open3d_picture(path, xyz, view.scan.normal, radius, color, camera)


def _window_content(
    view: SceneView, summary: SceneSummary
) -> tuple[npt.NDArray[np.float32], dict[str, npt.NDArray[np.uint8]], Camera]:
    """Points without the surfaces that hide the inside, their colourings, and where to look from."""
    view = with_normals(view.thinned(WINDOW_POINTS))
    camera = aim_camera(view)
    view = view.select(front_of(view.scan.xyz_m, view.scan.normal, camera.eye))
    colorings = {panel.title: panel.colors for panel in panels_of(view, summary)}
    return np.asarray(view.scan.xyz_m), colorings, camera
