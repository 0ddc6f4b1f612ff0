"""Any file of points -> a Scene that a network can look at, and what is needed to write it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.formats.clouds import estimate_normals, read_cloud, to_local
from pointseg.formats.ply import unit_rows, vertex_normals, write_ply


@dataclass(frozen=True)
class CloudFile:
    """A scene from a file.

    Args:
        scene: its points, in file order; positions are local where the file has map coordinates.
        xyz: (P, 3) float64 positions as they stand in the file.
        faces: (F, 3) int32 triangles of a mesh, or None.
    """

    unit: ClassVar[str] = "points"

    scene: Scene
    xyz: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32] | None = None

    @property
    def written_xyz(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
        """Positions to write: in float32 where that loses nothing, as most files have them."""
        single = self.xyz.astype(np.float32)
        return single if np.array_equal(single, self.xyz) else self.xyz

    def write_labelled(
        self, path: Path, prediction: ScenePrediction, label_space: LabelSpace, *, keep_colors: bool
    ) -> None:
        """A PLY of the points in their order and, of a mesh, its faces.

        Properties are x y z, red green blue (of the classes, or the file's own with ``keep_colors`` where it
        has them), label (raw id) and confidence (0..1).
        """
        own_colors = keep_colors and self.scene.rgb is not None
        write_ply(
            path,
            self.written_xyz,
            rgb=self.scene.rgb if own_colors else label_space.color_table[prediction.train_index],
            label=label_space.decode(prediction.train_index),
            confidence=prediction.confidence,
            faces=self.faces,
            comment=f"labels: raw ids of {label_space.name}".encode("ascii", "replace").decode("ascii"),
        )


def read_cloud_file(path: Path, *, want_normals: bool = False) -> CloudFile:
    """Read a PLY, NPZ, LAS or LAZ file.

    Args:
        path: the file.
        want_normals: give the scene normals if the file has none: of the faces, or of the planes through
            neighbouring points where there are no faces.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as points, or a position is not a finite number.
    """
    cloud = read_cloud(path)
    xyz = np.asarray(cloud.xyz, dtype=np.float64)
    finite = np.isfinite(xyz).all(axis=1)
    if not finite.all():
        raise ValueError(
            f"{path}: {int((~finite).sum())} of {len(xyz)} points have a position that is not a finite "
            f"number (first: point {int(np.argmin(finite))}). Remove them from the file."
        )
    local = to_local(xyz)[0] if len(xyz) else xyz.astype(np.float32)
    normal = cloud.normal
    if normal is not None:
        normal = unit_rows(np.nan_to_num(normal.astype(np.float64))).astype(np.float32)
    elif want_normals:
        normal = estimate_normals(local) if cloud.faces is None else vertex_normals(local, cloud.faces)
    scene = Scene(
        path.stem, local, rgb=cloud.rgb, normal=normal, raw_label=cloud.label, instance=cloud.instance
    )
    return CloudFile(scene, xyz, cloud.faces)
