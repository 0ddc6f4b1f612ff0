"""Any file of points -> a Scene that a network can look at, and what is needed to write it back."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.formats.cloud_doubts import class_color_doubt, doubts, upright_doubt, voxel_doubts
from pointseg.formats.clouds import estimate_normals, finite_positions, in_metres, read_cloud, to_local
from pointseg.formats.ply import PlyCloud, unit_rows, vertex_normals
from pointseg.scans.features import COLOR_SCALES
from pointseg.scans.labelled import write_labelled

#: Single points without a face have no normal, in meshes of every tool; more than this share is a fault.
_MAX_VOID = 0.05
_MADE_NORMALS = (
    "the network was trained with normals and the file has neither these nor faces: they are made from "
    "neighbouring points and point upwards, so their orientation is a guess that fails for ceilings and half "
    "of the walls; normals nx, ny, nz in the file, or faces, give better classes"
)


@dataclass(frozen=True)
class CloudFile:
    """A scene from a file.

    Args:
        scene: its points, in file order; positions are local where the file has map coordinates.
        xyz: (P, 3) float64 positions as they stand in the file, in its own unit.
        faces: (F, 3) int32 triangles of a mesh, or None.
        remarks: what is doubtful about the file, for people.
        unused: names of what else its points have.
        has_made_normals: whether the normals were made from neighbouring points.
        source: the file, or None.
    """

    unit: ClassVar[str] = "points"

    scene: Scene
    xyz: npt.NDArray[np.float64]
    faces: npt.NDArray[np.int32] | None = None
    remarks: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    has_made_normals: bool = False
    source: Path | None = None

    @property
    def guesses(self) -> Mapping[str, str]:
        """Normals, where they were made from neighbouring points."""
        return {"normals": _MADE_NORMALS} if self.has_made_normals else {}

    @property
    def written_xyz(self) -> npt.NDArray[np.float32] | npt.NDArray[np.float64]:
        """Positions to write: in float32 where that loses nothing, as most files have them."""
        single = self.xyz.astype(np.float32)
        return single if np.array_equal(single, self.xyz) else self.xyz

    def write_labelled(
        self,
        path: Path,
        prediction: ScenePrediction,
        label_space: LabelSpace,
        *,
        keep_colors: bool,
        save: Sequence[str] = (),
    ) -> None:
        """See :func:`pointseg.scans.labelled.write_labelled`."""
        write_labelled(self, path, prediction, label_space, keep_colors=keep_colors, save=save)


def read_cloud_file(
    path: Path,
    *,
    want_normals: bool = False,
    want_labels: bool = True,
    unit: str | None = None,
    label_name: str | None = None,
) -> CloudFile:
    """Read a PLY, NPZ, LAS or LAZ file.

    Args:
        path: the file.
        want_normals: give the scene normals if the file has none: of the faces, or of the planes through
            neighbouring points where there are no faces.
        want_labels: False leaves labels unread, whatever is wrong with them.
        unit: unit of the positions, see ``pointseg.formats.clouds.UNITS_M``; what the file says, or metres,
            if None.
        label_name: what holds the labels; the usual names if None.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read as points, or a position is not a finite number.
    """
    cloud = read_cloud(path, want_labels=want_labels, label_name=label_name)
    xyz = finite_positions(path, cloud)
    xyz_m, unit_remark = in_metres(xyz, cloud, unit)
    remarks = [*cloud.remarks, *([unit_remark] if unit_remark else []), *doubts(xyz_m)]
    if cloud.faces is not None and (doubt := upright_doubt(vertex_normals(xyz_m, cloud.faces))):
        remarks.append(doubt)
    local, offset = to_local(xyz_m) if len(xyz) else (xyz.astype(np.float32), (0.0, 0.0, 0.0))
    normal = _given_normals(cloud)
    if normal is not None and (void := int((normal == 0).all(axis=1).sum())) > _MAX_VOID * len(normal):
        remarks.append(f"{void:,} of {len(normal):,} normals are zero or NaN")
        if void == len(normal):
            normal = None
    is_made = normal is None and want_normals
    if is_made:
        normal = estimate_normals(local) if cloud.faces is None else vertex_normals(local, cloud.faces)
    scene = Scene(path.stem, local, cloud.rgb, normal, cloud.label, cloud.instance, offset)
    is_made = is_made and cloud.faces is None
    return CloudFile(scene, xyz, cloud.faces, tuple(remarks), cloud.unused, is_made, path)


def _given_normals(cloud: PlyCloud) -> npt.NDArray[np.float32] | None:
    if cloud.normal is None:
        return None
    return unit_rows(np.nan_to_num(cloud.normal.astype(np.float64))).astype(np.float32)


def read_for_network(
    path: Path,
    features: Sequence[str],
    voxel_size_m: float,
    *,
    want_labels: bool = False,
    unit: str | None = None,
) -> CloudFile:
    """A file for a network, with a remark for each thing that the network was trained to see and will not.

    Args:
        path: the file.
        features: what the network sees of a voxel.
        voxel_size_m: edge of its voxels.
        want_labels: whether to read labels too, to compare with; what is wrong with them is a remark, since
            points can be predicted without them.
        unit: see :func:`read_cloud_file`.

    Raises: see :func:`read_cloud_file`.
    """
    read = functools.partial(read_cloud_file, path, want_normals="normal" in features, unit=unit)
    remarks = []
    try:
        file = read(want_labels=want_labels)
    except ValueError as error:
        if not want_labels:
            raise
        file = read(want_labels=False)
        remarks.append(f"its labels are left out ({str(error).rstrip('.')})")
    remarks += file.remarks
    if not file.scene.num_vertices:
        return replace(file, remarks=(*remarks, "it has no point; was it written to its end?"))
    if COLOR_SCALES.keys() & set(features):
        remarks += _color_remarks(file)
    remarks += voxel_doubts(file.scene.xyz_m, voxel_size_m)
    return replace(file, remarks=tuple(remarks))


def _color_remarks(file: CloudFile) -> list[str]:
    if file.scene.rgb is None:
        has = f" (beside positions it has {', '.join(file.unused)})" if file.unused else ""
        return [
            f"the network was trained with colours and the file has none{has}: it sees grey, and its classes "
            "are worth less"
        ]
    if file.scene.num_vertices > 1 and bool((file.scene.rgb == file.scene.rgb[0]).all()):
        return ["all points have one colour, so that the network sees none; were the colours left out?"]
    doubt = class_color_doubt(file.scene.rgb)
    return [doubt] if doubt else []
