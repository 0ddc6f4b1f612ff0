"""Open3D: a lit picture without a display, and a window with one. Always in a process of its own.

A graphics driver that fails takes its process down, and no Python code can stop that; so the caller hands the
geometry over in a file to ``python -m pointseg.view.open3d_view`` and reads its exit code.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import writing
from pointseg.view.camera import Camera

PICTURE_PX = (1000, 750)
TIMEOUT_S = 180
#: Without a graphics card the processor draws, and what takes it longer is given up. Time of the processor
#: and not of the clock, since others may keep it busy.
CPU_LIMIT_S = 30
#: Discs larger than this share of the scene would hide it, and each covers the whole picture in every pass.
MAX_RADIUS_SHARE = 0.02
#: Open3D 0.20 now and then hangs for ever while it starts its engine: about once in ten times here.
START_TIMEOUT_S = 25
ATTEMPTS = 4
DISC_CORNERS = 6


#: 0 where there are no alarms (Windows).
ALARM = int(getattr(signal, "SIGALRM", 0))


#: The same for what ends a process whose time is up.
CPU_ALARM = int(getattr(signal, "SIGXCPU", 0))
#: What the messages say where a library of Open3D, or Open3D itself, is missing.
_MISSING = re.compile(r"No module named|ImportError|cannot open shared object|missing|libGL|libEGL|libusb")


class Open3DError(RuntimeError):
    """Open3D is not there or cannot draw on this machine; the message says why."""

    @property
    def is_missing(self) -> bool:
        """Whether installing something mends it."""
        return bool(_MISSING.search(str(self)))


def has_display() -> bool:
    """Whether a window can be opened."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def write_open3d_picture(
    path: Path,
    xyz_m: npt.NDArray[np.float32],
    normal: npt.NDArray[np.float32],
    radius_m: npt.NDArray[np.float32],
    color: npt.NDArray[np.uint8],
    camera: Camera,
    *,
    size_px: tuple[int, int] = PICTURE_PX,
) -> None:
    """Write one picture with sun and shadows: every point is a small disc in its surface.

    Args:
        path: the PNG file.
        xyz_m, normal, radius_m, color: (P, 3), (P, 3), (P,) and (P, 3) uint8 of the points.
        camera: where to look from.
        size_px: width and height of the picture.

    Raises:
        Open3DError: if it cannot be drawn here.
    """
    arrays: dict[str, npt.NDArray[Any]] = {"xyz": xyz_m, "normal": normal, "radius": radius_m, "color": color}
    view = {"eye": camera.eye, "target": camera.target, "fov": np.array(camera.fov_deg)}
    view["size"] = np.array(size_px)
    path.parent.mkdir(parents=True, exist_ok=True)
    _run("picture", {**arrays, **view}, str(path), timeout_s=TIMEOUT_S)
    if not path.is_file():
        raise Open3DError("it ended without writing the picture")


def show_window(
    title: str,
    xyz_m: npt.NDArray[np.float32],
    colorings: Mapping[str, npt.NDArray[np.uint8]],
    camera: Camera,
) -> None:
    """Open a window on the points until it is closed; the keys 1, 2, ... switch between the colourings.

    Raises:
        Open3DError: if no window can be opened here.
    """
    arrays = {f"color_{name}": color for name, color in colorings.items()}
    view = {"eye": camera.eye, "target": camera.target}
    _run("window", {"xyz": xyz_m, **view, **arrays}, title, timeout_s=None)


def _run(job: str, arrays: Mapping[str, npt.NDArray[Any]], *arguments: str, timeout_s: float | None) -> None:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "view.npz"
        np.savez(file, **arrays)  # type: ignore[arg-type]
        command = [sys.executable, "-m", "pointseg.view.open3d_view", job, str(file), *arguments]
        for _ in range(ATTEMPTS):
            try:
                done = subprocess.run(command, capture_output=True, text=True, timeout=timeout_s, check=False)
            except subprocess.TimeoutExpired:
                raise Open3DError(
                    f"it did not end within {timeout_s:.0f} s without a graphics card"
                ) from None
            if done.returncode != -ALARM:
                break
        else:
            raise Open3DError(f"its engine did not start within {START_TIMEOUT_S} s, {ATTEMPTS} times")
    if done.returncode == -CPU_ALARM:
        raise Open3DError(f"it did not end within {CPU_LIMIT_S} s of the processor without a graphics card")
    if done.returncode:
        # A Python error ends its own traceback; a signal leaves whatever the driver said long before.
        lines = [line for line in done.stderr.splitlines() if line.strip()] if done.returncode > 0 else []
        raise Open3DError(lines[-1] if lines else f"it ended with exit code {done.returncode}")


def _picture(arrays: Mapping[str, npt.NDArray[Any]], path: str) -> None:
    import open3d
    from open3d.visualization import rendering
    from PIL import Image

    # Drawn twice as fine and averaged, which smooths the edges.
    width, height = (2 * int(side) for side in arrays["size"])
    _limit_cpu()
    # An alarm ends the process from outside Python, which does not get to run while the engine hangs.
    if ALARM:
        signal.alarm(START_TIMEOUT_S)
    renderer = rendering.OffscreenRenderer(width, height)
    if ALARM:
        signal.alarm(0)
    material = rendering.MaterialRecord()
    material.shader, material.base_roughness, material.base_reflectance = "defaultLit", 1.0, 0.0
    renderer.scene.add_geometry("scene", disc_mesh(open3d, arrays), material)
    renderer.scene.set_lighting(rendering.Open3DScene.LightingProfile.SOFT_SHADOWS, (0.4, 0.3, -1.0))
    renderer.setup_camera(float(arrays["fov"]), arrays["target"], arrays["eye"], (0.0, 0.0, 1.0))
    color = np.asarray(renderer.render_to_image()).astype(np.float32)
    is_background = np.asarray(renderer.render_to_depth_image()) >= 1.0
    # Tone mapping greys the background too; white paper is put back by depth.
    color[is_background] = 255
    small = color.reshape(height // 2, 2, width // 2, 2, 3).mean(axis=(1, 3))
    with writing(path) as stream:
        Image.fromarray(small.astype(np.uint8)).save(stream, "PNG")


def _limit_cpu() -> None:
    """End this process when its time is up, also while it is deep in a driver; Windows has no such limit."""
    if CPU_ALARM:
        import resource

        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, resource.getrlimit(resource.RLIMIT_CPU)[1]))


def disc_mesh(open3d: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """A triangle mesh with one six-cornered disc for each point."""
    xyz, normal = arrays["xyz"].astype(np.float64), arrays["normal"].astype(np.float64)
    length = np.linalg.norm(normal, axis=1, keepdims=True)
    normal = np.where(length > 1e-6, normal / np.maximum(length, 1e-6), (0.0, 0.0, 1.0))
    helper = np.where(np.abs(normal[:, 2:]) < 0.9, (0.0, 0.0, 1.0), (1.0, 0.0, 0.0))
    across = np.cross(normal, helper)
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    along = np.cross(normal, across)
    angle = np.arange(DISC_CORNERS) * (2 * np.pi / DISC_CORNERS)
    rim = np.cos(angle)[:, None] * across[:, None] + np.sin(angle)[:, None] * along[:, None]
    corners = xyz[:, None] + arrays["radius"].astype(np.float64)[:, None, None] * rim
    fan = np.array([(0, i, i + 1) for i in range(1, DISC_CORNERS - 1)])
    triangles = fan + DISC_CORNERS * np.arange(len(xyz))[:, None, None]
    mesh = open3d.geometry.TriangleMesh(
        open3d.utility.Vector3dVector(corners.reshape(-1, 3)),
        open3d.utility.Vector3iVector(triangles.reshape(-1, 3).astype(np.int32)),
    )
    # Vertex colours are taken as light, not as screen values, and the sun is bright.
    light = 0.7 * (arrays["color"] / 255.0) ** 2.2
    mesh.vertex_colors = open3d.utility.Vector3dVector(np.repeat(light, DISC_CORNERS, axis=0))
    mesh.vertex_normals = open3d.utility.Vector3dVector(np.repeat(normal, DISC_CORNERS, axis=0))
    return mesh


def _window(arrays: Mapping[str, npt.NDArray[Any]], title: str) -> None:
    import open3d

    names = [key.removeprefix("color_") for key in arrays if key.startswith("color_")]
    cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(arrays["xyz"].astype(np.float64)))
    keys = ", ".join(f"{number} {name}" for number, name in enumerate(names, 1))
    window = open3d.visualization.VisualizerWithKeyCallback()
    if not window.create_window(f"{title}  -  keys: {keys}", 1280, 900):
        raise SystemExit("no window could be opened on this display")

    def switch_to(name: str) -> Any:
        def switch(visualizer: Any) -> bool:
            cloud.colors = open3d.utility.Vector3dVector(arrays[f"color_{name}"] / 255.0)
            visualizer.update_geometry(cloud)
            return True

        return switch

    switch_to(names[0])(window)
    window.add_geometry(cloud)
    for number, name in enumerate(names, 1):
        window.register_key_callback(ord(str(number)), switch_to(name))
    window.get_render_option().point_size = 4.0
    control = window.get_view_control()
    control.set_lookat(arrays["target"])
    control.set_front(arrays["eye"] - arrays["target"])
    control.set_up((0.0, 0.0, 1.0))
    control.set_zoom(0.55)
    window.run()
    window.destroy_window()


def main(job: str, file: str, argument: str) -> None:
    """What the process of its own does."""
    with np.load(file, allow_pickle=False) as arrays:
        {"picture": _picture, "window": _window}[job](dict(arrays), argument)


if __name__ == "__main__":
    main(*sys.argv[1:])
