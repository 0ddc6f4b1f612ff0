"""PLY files with new labels: properties, faces, further elements, comments and encoding come along."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from plyfile import PlyData, PlyElement, PlyProperty

from pointseg.core.durable import writing
from pointseg.core.extras import Column
from pointseg.formats.columns import find_column, find_triple
from pointseg.formats.ply import PACKED_NAMES, parse_ply


def write_labelled_ply(
    source: Path,
    target: Path,
    label: npt.NDArray[np.int32],
    columns: Sequence[Column] = (),
    *,
    rgb: npt.NDArray[np.uint8] | None = None,
    comment: str,
) -> None:
    """The vertices of a PLY file in their order with property ``label`` (int), and all else of the file.

    Args:
        source: the file; text stays text and binary binary.
        target: the file to write.
        label: (P,) raw ids.
        columns: further properties; one of the same name is replaced.
        rgb: (P, 3) colours in the place of the file's own, or None to keep these.
        comment: a header comment, added where it is not there yet.

    Raises:
        OSError: if it cannot be written.
    """
    data, _ = parse_ply(source)
    new: dict[str, npt.NDArray[Any]] = {}
    vertex = data["vertex"]
    own = {p.name for p in vertex.properties}
    dropped: set[str] = set()
    if rgb is not None:
        dropped = set(find_triple(own, "rgb") or ())
        if not dropped and (packed := find_column(own, PACKED_NAMES)):
            dropped = {packed}
        new |= {name: rgb[:, i] for i, name in enumerate(("red", "green", "blue"))}
    new["label"] = label
    new |= {name: values for column in columns for name, values, _ in column.singles()}
    properties = [
        PlyProperty(p.name, new[p.name].dtype.str[1:]) if p.name in new else p
        for p in vertex.properties
        if p.name in new or p.name not in dropped
    ]
    properties += [PlyProperty(name, v.dtype.str[1:]) for name, v in new.items() if name not in own]
    labelled = PlyElement("vertex", properties, len(label), vertex.comments)
    rows = np.empty(len(label), dtype=labelled.dtype())
    for p in properties:
        rows[p.name] = new[p.name] if p.name in new else vertex[p.name]
    labelled.data = rows
    comments = [*data.comments, *([] if comment in data.comments else [comment])]
    written = PlyData(
        [labelled if element.name == "vertex" else element for element in data],
        text=data.text,
        byte_order=data.byte_order,
        comments=comments,
        obj_info=data.obj_info,
    )
    with writing(target) as stream:
        written.write(stream)
