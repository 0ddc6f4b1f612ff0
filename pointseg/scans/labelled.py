"""Clouds with their predicted classes, in the format that they came in or in another that holds them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy.typing as npt

from pointseg.core.extras import Column, columns_of
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.formats.las_labelled import write_labelled_las
from pointseg.formats.npz_labelled import write_labelled_npz
from pointseg.formats.ply import write_ply
from pointseg.formats.ply_labelled import write_labelled_ply

if TYPE_CHECKING:
    from pointseg.scans.file import CloudFile

_LAS = (".las", ".laz")


def labelled_suffixes(source: Path) -> tuple[str, ...]:
    """What a file with the classes of this one may end with, its own format first if it can be written."""
    suffix = source.suffix.lower()
    if suffix in _LAS:
        return (suffix, *(other for other in _LAS if other != suffix), ".ply", ".npz")
    return (".npz", ".ply") if suffix == ".npz" else (".ply", ".npz")


def write_labelled(
    file: CloudFile,
    path: Path,
    prediction: ScenePrediction,
    label_space: LabelSpace,
    *,
    keep_colors: bool,
    save: Sequence[str] = (),
) -> None:
    """The points of a file in their order, with the raw ids of their classes.

    - LAS and LAZ have all that their source has; the ids are ``classification``, or an extra dimension
      ``label`` where an id of the label space does not fit.
    - NPZ has the arrays of an NPZ source, or else xyz, rgb, normal and faces as far as there are any;
      and ``label``.
    - PLY has the properties and faces of a PLY source, or else x y z, colours and faces; ``label`` and
      ``confidence``; and the colours of the classes, unless the file's own are kept.

    Args:
        file: what was read.
        path: the file to write.
        prediction: for its points.
        label_space: the classes.
        keep_colors: whether a PLY keeps the colours of the file, where it has some.
        save: further numbers, see :func:`pointseg.core.extras.columns_of`.
    """
    label = label_space.decode(prediction.train_index)
    suffix, source = path.suffix.lower(), file.source.suffix.lower() if file.source is not None else ""
    if suffix == ".ply":
        # A PLY has always had its confidence.
        save = ("confidence", *(name for name in save if name != "confidence"))
    columns = columns_of(prediction, label_space, save)
    if suffix in _LAS:
        assert file.source is not None
        ids = (*label_space.raw_ids, label_space.unlabelled_raw_id)
        write_labelled_las(file.source, path, label, ids, columns)
    elif suffix == ".npz":
        own = source == ".npz"
        arrays = None if own else _arrays(file)
        write_labelled_npz(file.source if own else None, path, label, columns, arrays=arrays)
    else:
        _write_ply(file, path, prediction, label_space, columns, keep_colors=keep_colors)


def _write_ply(
    file: CloudFile,
    path: Path,
    prediction: ScenePrediction,
    label_space: LabelSpace,
    columns: Sequence[Column],
    *,
    keep_colors: bool,
) -> None:
    label = label_space.decode(prediction.train_index)
    own_colors = keep_colors and file.scene.rgb is not None
    rgb = label_space.paint(prediction.train_index)
    comment = f"labels: raw ids of {label_space.name}".encode("ascii", "replace").decode("ascii")
    if file.source is not None and file.source.suffix.lower() == ".ply":
        write_labelled_ply(
            file.source, path, label, columns, rgb=None if own_colors else rgb, comment=comment
        )
        return
    write_ply(
        path,
        file.written_xyz,
        rgb=file.scene.rgb if own_colors else rgb,
        label=label,
        further={name: values for column in columns for name, values, _ in column.singles()},
        faces=file.faces,
        comment=comment,
    )


def _arrays(file: CloudFile) -> dict[str, npt.NDArray[Any]]:
    scene = file.scene
    normal = None if file.has_made_normals else scene.normal
    given = {"xyz": file.xyz, "rgb": scene.rgb, "normal": normal, "faces": file.faces}
    return {name: values for name, values in given.items() if values is not None}
