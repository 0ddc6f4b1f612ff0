"""PLY: clouds and meshes of the field, labelled or not -> PlyCloud, and byte-exact ScanNet meshes back.

Vertex order is the contract for labels and submissions, so nothing here merges, drops or reorders vertices.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from plyfile import PlyData, PlyElement, PlyElementParseError, PlyListProperty, PlyParseError

from pointseg.core.durable import writing
from pointseg.formats.columns import (
    INSTANCE_NAMES,
    LABEL_NAMES,
    Remarks,
    colors_to_uint8,
    find_column,
    find_triple,
    to_int32,
    unpack_rgb,
)
from pointseg.formats.ply_header import PlainHeaderFile, PlyHeader
from pointseg.formats.text import unreadable

#: Columns with colours packed into one number.
PACKED_NAMES = ("rgb", "rgba")
FACE_LIST_NAMES = ("vertex_indices", "vertex_index")

_PLY_TYPES = {"f4": "float", "f8": "double", "u1": "uchar", "u2": "ushort", "i4": "int", "u4": "uint"}


@dataclass(frozen=True)
class PlyCloud:
    """What a PLY file holds, in file order.

    Args:
        xyz: (P, 3) float32 positions; float64 when read with ``double=True``.
        rgb: (P, 3) uint8, or None.
        normal: (P, 3) float32 as written in the file, or None.
        label: (P,) int32 raw ids, or None.
        instance: (P,) int32 object numbers, or None.
        faces: (F, 3) int32 vertex indices, polygons cut into fans of triangles, or None.
        unused: names of what else each point has, for messages about what is missing.
        remarks: what was doubtful and how it was taken, for people.
        metres_per_unit: by which positions become metres, for each axis, where the file says its unit.
    """

    xyz: npt.NDArray[Any]
    rgb: npt.NDArray[np.uint8] | None = None
    normal: npt.NDArray[np.float32] | None = None
    label: npt.NDArray[np.int32] | None = None
    instance: npt.NDArray[np.int32] | None = None
    faces: npt.NDArray[np.int32] | None = None
    unused: tuple[str, ...] = ()
    remarks: Remarks = ()
    metres_per_unit: tuple[float, float, float] | None = None

    @property
    def num_vertices(self) -> int:
        return self.xyz.shape[0]


def read_ply(
    path: Path | str, *, double: bool = False, label_name: str | None = None, want_labels: bool = True
) -> PlyCloud:
    """Read an ASCII or binary PLY file.

    Args:
        path: the file.
        double: keep positions in float64; map coordinates (UTM and the like) lose decimetres in float32.
        label_name: the property that holds the labels; default the first of LABEL_NAMES that is there.
        want_labels: False leaves labels and instances unread, whatever is wrong with them.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is truncated, no PLY file, or has no positions; the message names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file.")
    try:
        data, rest = parse_ply(path)
        if "vertex" not in data:
            raise ValueError("it has no element 'vertex'; expected a cloud or mesh with x, y, z")
        return _cloud_of(data, rest, double=double, label_name=label_name, want_labels=want_labels)
    except (PlyParseError, ValueError, OverflowError, MemoryError, struct.error) as error:
        raise unreadable(path, "PLY", str(error) or type(error).__name__) from None


def parse_ply(path: Path) -> tuple[PlyData, Remarks]:
    """The rows of a file, and remarks on what lies behind them; what plyfile raises where it is broken."""
    header = PlyHeader.read(path)
    # Telling plyfile that faces are triangles lets it map the block instead of looping over it: 200x quicker.
    triangles = {"face": dict.fromkeys(FACE_LIST_NAMES, 3)}
    try:
        data, end = _rows(path, header, triangles)
    except PlyElementParseError as error:
        if "unexpected list length" not in str(error):
            raise
        data, end = _rows(path, header, {})
    rest = header.rest(path, end)
    return data, () if rest is None else (rest,)


def _rows(path: Path, header: PlyHeader, known: dict[str, dict[str, int]]) -> tuple[PlyData, int | None]:
    """The rows, and where reading them ended; of a text that is not known."""
    if header.is_text:
        with path.open(encoding="ascii", errors="backslashreplace") as text:
            return PlyData.read(text), None
    with PlainHeaderFile(path, header) as stream:
        return PlyData.read(stream, known_list_len=known), stream.tell()


def _cloud_of(
    data: PlyData, remarks: Remarks, *, double: bool, label_name: str | None, want_labels: bool
) -> PlyCloud:
    vertex = data["vertex"]
    names = {p.name for p in vertex.properties if not isinstance(p, PlyListProperty)}
    axes = find_triple(names, "xyz")
    if axes is None:
        missing = [axis for axis in "xyz" if find_column(names, (axis,)) is None]
        raise ValueError(f"its vertices have no property {', '.join(missing)}; they have {sorted(names)}")
    rgb, normals = _colors(vertex, names), find_triple(names, "normal")
    color_remarks: Remarks = ()
    if rgb is not None:
        rgb, color_remarks = colors_to_uint8(rgb)
    label = label_name if label_name in names else None
    if label_name is None:
        label = find_column(names, LABEL_NAMES)
    instance = find_column(names, INSTANCE_NAMES)
    if not want_labels:
        label = instance = None
    used = {*axes, *(normals or ()), *(find_triple(names, "rgb") or ()), label, instance}
    return PlyCloud(
        xyz=_stack(vertex, axes).astype(np.float64 if double else np.float32),
        rgb=rgb,
        normal=None if normals is None else _stack(vertex, normals).astype(np.float32),
        label=None if label is None else to_int32(np.array(vertex[label]), "label"),
        instance=None if instance is None else to_int32(np.array(vertex[instance]), "instance"),
        faces=_faces(data["face"], vertex.count) if "face" in data else None,
        unused=tuple(sorted(names - used)),
        remarks=remarks + color_remarks,
    )


def _colors(vertex: PlyElement, names: set[str]) -> npt.NDArray[Any] | None:
    triple = find_triple(names, "rgb")
    if triple is not None:
        return _stack(vertex, triple)
    packed = find_column(names, PACKED_NAMES)
    return None if packed is None else unpack_rgb(np.array(vertex[packed]))


def _stack(vertex: PlyElement, names: tuple[str, ...]) -> npt.NDArray[Any]:
    return np.stack([vertex[name] for name in names], axis=1)


def _faces(face: PlyElement, num_vertices: int) -> npt.NDArray[np.int32] | None:
    names = {p.name for p in face.properties}
    name = next((n for n in FACE_LIST_NAMES if n in names), None)
    if name is None or face.count == 0:
        return None
    polygons = face[name]
    if polygons.dtype == object:
        triangles = [(p[0], p[i], p[i + 1]) for p in polygons for i in range(1, len(p) - 1)]
        faces = np.array(triangles, dtype=np.int64).reshape(-1, 3)
    else:
        faces = np.array(polygons, dtype=np.int64)
    if not len(faces):
        return None
    if not (faces.min() >= 0 and faces.max() < num_vertices):
        raise ValueError(
            f"its faces use vertices {faces.min()}..{faces.max()}, but there are {num_vertices} vertices"
        )
    return faces.astype(np.int32)


def vertex_normals(xyz: npt.NDArray[Any], faces: npt.NDArray[np.integer]) -> npt.NDArray[np.float32]:
    """Area-weighted unit normals of a triangle mesh.

    Args:
        xyz: (V, 3) positions.
        faces: (F, 3) vertex indices, counter-clockwise seen from outside.

    Returns:
        (V, 3) float32; zero for vertices without a face of positive area.
    """
    points = np.asarray(xyz, dtype=np.float64)
    a, b, c = (points[faces[:, corner]] for corner in range(3))
    # The cross product's length is twice the area, which is the weight.
    face_normal = np.cross(b - a, c - a)
    corner_vertex = faces.T.ravel()
    normal: npt.NDArray[np.float64] = np.stack(
        [
            np.bincount(corner_vertex, np.tile(face_normal[:, axis], 3), minlength=len(points))
            for axis in range(3)
        ],
        axis=1,
    )
    return unit_rows(normal).astype(np.float32)


def unit_rows(vectors: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """(N, 3) rows scaled to length 1; rows of length 0 stay 0."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)


def write_ply(
    path: Path | str,
    xyz: npt.NDArray[Any],
    *,
    rgb: npt.NDArray[np.uint8] | None = None,
    normal: npt.NDArray[Any] | None = None,
    label: npt.NDArray[np.integer] | None = None,
    instance: npt.NDArray[np.integer] | None = None,
    confidence: npt.NDArray[np.floating] | None = None,
    further: Mapping[str, npt.NDArray[Any]] | None = None,
    faces: npt.NDArray[np.integer] | None = None,
    comment: str = "pointseg",
) -> None:
    """Write a binary little-endian PLY file that :func:`read_ply`, MeshLab and CloudCompare open.

    Args:
        path: the file; its folder must exist.
        xyz: (P, 3) positions; float64 stays double, everything else is written as float.
        rgb, normal, label, instance: (P, 3), (P, 3), (P,), (P,) or None; labels are written as int.
        confidence: (P,) probability of the label, written as float, or None.
        further: name -> (P,) of any type that PLY has.
        faces: (F, 3) vertex indices or None.
        comment: one header comment.

    Raises:
        ValueError: if the arrays do not have one row for each point.
    """
    xyz = np.asarray(xyz)
    position = "f8" if xyz.dtype == np.float64 else "f4"
    columns: list[tuple[tuple[str, ...], str, npt.NDArray[Any] | None]] = [
        (("x", "y", "z"), position, xyz),
        (("nx", "ny", "nz"), "f4", normal),
        (("red", "green", "blue"), "u1", rgb),
        (("label",), "i4", label),
        (("instance_id",), "i4", instance),
        (("confidence",), "f4", confidence),
        *(((name,), values.dtype.str[1:], values) for name, values in (further or {}).items()),
    ]
    _write_blocks(Path(path), columns, faces, comment)


def write_scannet_mesh(
    path: Path | str,
    xyz: npt.NDArray[np.float32],
    rgba: npt.NDArray[np.uint8],
    faces: npt.NDArray[np.integer],
    label: npt.NDArray[np.integer] | None = None,
) -> None:
    """Write a mesh with the bytes of ``*_vh_clean_2.ply``, or of ``*_vh_clean_2.labels.ply`` when labelled.

    Args:
        path: the file.
        xyz: (V, 3) float32 metres.
        rgba: (V, 4) uint8.
        faces: (F, 3) vertex indices.
        label: (V,) nyu40 ids for the labels file, or None. 16 bytes a vertex without, 18 with; 13 a face.
    """
    columns: list[tuple[tuple[str, ...], str, npt.NDArray[Any] | None]] = [
        (("x", "y", "z"), "f4", np.asarray(xyz)),
        (("red", "green", "blue", "alpha"), "u1", rgba),
        (("label",), "u2", label),
    ]
    _write_blocks(Path(path), columns, faces, "VCGLIB generated" if label is None else "MLIB generated")


def _write_blocks(
    path: Path,
    columns: Sequence[tuple[tuple[str, ...], str, npt.NDArray[Any] | None]],
    faces: npt.NDArray[np.integer] | None,
    comment: str,
) -> None:
    """The header, then one structured block for the vertices and one for the faces."""
    present = [(names, kind, np.asarray(values)) for names, kind, values in columns if values is not None]
    count = len(present[0][2])
    for names, _, values in present:
        shape = (count, len(names)) if len(names) > 1 else (count,)
        if values.shape != shape:
            raise ValueError(f"{path}: {'/'.join(names)} must have shape {shape}; got {values.shape}.")
    block = np.empty(count, dtype=[(name, f"<{kind}") for names, kind, _ in present for name in names])
    for names, _, values in present:
        for i, name in enumerate(names):
            block[name] = values[:, i] if len(names) > 1 else values
    header = ["ply", "format binary_little_endian 1.0", f"comment {comment}", f"element vertex {count}"]
    header += [f"property {_PLY_TYPES[kind]} {name}" for names, kind, _ in present for name in names]
    face_block = np.empty(0 if faces is None else len(faces), dtype=[("n", "u1"), ("v", "<i4", (3,))])
    if faces is not None:
        header += [f"element face {len(faces)}", "property list uchar int vertex_indices"]
        face_block["n"] = 3
        face_block["v"] = faces
    with writing(path) as handle:
        handle.write(("\n".join([*header, "end_header"]) + "\n").encode("ascii"))
        handle.write(block.tobytes())
        handle.write(face_block.tobytes())


#: More than any header takes.
_MAX_HEADER_BYTES = 65_536


def ply_vertex_count(path: Path) -> int:
    """Number of vertices that the header of a PLY file announces; the data is not read.

    Raises:
        ValueError: if the file has no PLY header with a vertex element.
    """
    with Path(path).open("rb") as handle:
        header = handle.read(_MAX_HEADER_BYTES).partition(b"end_header")[0].splitlines()
    if header[:1] == [b"ply"]:
        for line in header:
            words = line.split()
            if words[:2] == [b"element", b"vertex"] and len(words) == 3 and words[2].isdigit():
                return int(words[2])
    raise ValueError(f"{path}: expected the header of a PLY file with 'element vertex COUNT'.")
