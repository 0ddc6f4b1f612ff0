"""A room as ScanNet would have scanned and annotated it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from pointseg.synthetic.appearance import colored
from pointseg.synthetic.mesh import IntArray, ScanMesh
from pointseg.synthetic.model import TEXTURES, ObjectModel, RoomModel
from pointseg.synthetic.segments import oversegment
from pointseg.synthetic.surface_noise import reconstructed
from pointseg.synthetic.tessellate import tessellate
from pointseg.synthetic.visibility import holes, scanned, without_crumbs

#: Share of the segments inside annotated objects that annotators forgot.
FORGOTTEN = 0.07


@dataclass(frozen=True)
class Scan:
    """A scanned, segmented and annotated room, vertices in file order.

    Args:
        kind: ScanNet's ``sceneType``.
        xyz_m: (V, 3) float32 raw coordinates, not axis aligned.
        rgb: (V, 3) uint8.
        faces: (F, 3) int64.
        segment: (V,) int64 segment ids.
        object: (V,) int64 position in ``objects`` of the thing each vertex lies on.
        objects: the objects of the room.
        annotated: (V,) bool; whether the vertex's segment was given to its object.
        axis_alignment: (4, 4) float64 with six decimals; raw to aligned coordinates.
    """

    kind: str
    xyz_m: npt.NDArray[np.float32]
    rgb: npt.NDArray[np.uint8]
    faces: IntArray
    segment: IntArray
    object: IntArray
    objects: tuple[ObjectModel, ...]
    annotated: npt.NDArray[np.bool_]
    axis_alignment: npt.NDArray[np.float64]

    @property
    def num_vertices(self) -> int:
        return self.xyz_m.shape[0]

    def raw_label(self) -> npt.NDArray[np.int32]:
        """(V,) true ScanNet200 id of each annotated vertex, 0 elsewhere."""
        raw_id = np.array([thing.raw_id for thing in self.objects], dtype=np.int32)
        return np.where(self.annotated, raw_id[self.object], 0).astype(np.int32)


def scan_room(room: RoomModel, rng: np.random.Generator) -> Scan:
    """Walk through a room with an imaginary depth camera; the mesh, its colours and its annotation."""
    mesh = _surface(room, rng)
    mesh = mesh.with_vertices(scanned(mesh, _camera_track(room, rng)))
    if mesh.num_vertices == 0:
        raise ValueError(f"No camera sees anything of this room ({room.kind}, {len(room.objects)} objects).")
    mesh = mesh.with_vertices(~holes(mesh, rng.uniform(0.0, 0.02), rng))
    mesh = without_crumbs(mesh, 20)
    color = np.concatenate([thing.color for thing in room.objects])
    texture = np.array([TEXTURES.index(thing.texture) for thing in room.objects])
    rgb = colored(mesh, color[mesh.quad], texture[mesh.object], rng)
    segment = oversegment(mesh, rng)
    annotated = _annotated(room, mesh, segment, rng)
    mesh = reconstructed(mesh, rng)

    alignment = _random_alignment(rng)
    order = _file_order(mesh, rng)
    place = np.empty_like(order)
    place[order] = np.arange(len(order))
    turned = (mesh.xyz_m - alignment[:3, 3]) @ alignment[:3, :3]
    faces = place[mesh.faces]
    return Scan(
        kind=room.kind,
        xyz_m=turned[order].astype(np.float32),
        rgb=rgb[order],
        faces=faces[np.argsort(faces.min(axis=1), kind="stable")],
        segment=place[segment][order],
        object=mesh.object[order],
        objects=room.objects,
        annotated=annotated[order],
        axis_alignment=alignment,
    )


def _surface(room: RoomModel, rng: np.random.Generator) -> ScanMesh:
    """The whole surface of the room, sampled more finely on small things than on walls and floor."""
    quads = np.concatenate([thing.quads for thing in room.objects])
    count = np.array([len(thing.quads) for thing in room.objects])
    sides = quads - np.roll(quads, 1, axis=1)
    longest = np.sqrt((sides**2).sum(axis=2)).max(axis=1)
    owner = np.repeat(np.arange(len(count)), count)
    extent = np.zeros(len(count))
    np.maximum.at(extent, owner, longest)
    spacing = np.interp(extent, (0.2, 0.6, 3.0), (0.032, 0.042, 0.048)) * rng.uniform(0.9, 1.1, len(count))
    return tessellate(quads, owner, rng, spacing_m=spacing[owner], jitter=0.38, merge_m=0.021)


def _camera_track(room: RoomModel, rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """The places where the person stood, the camera held a little differently at each."""
    cameras = np.asarray(room.camera_positions_m, dtype=np.float64)
    return cameras + rng.normal(0, 0.05, cameras.shape)


def _annotated(
    room: RoomModel, mesh: ScanMesh, segment: IntArray, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """(V,) whether the vertex's object was annotated and its segment was not forgotten."""
    names, group, size = np.unique(segment, return_inverse=True, return_counts=True)
    forgotten = rng.random(len(names)) < FORGOTTEN
    # The largest segment of an object is what the annotator clicked on first.
    owner = mesh.object[names]
    largest = np.zeros(len(room.objects), dtype=np.int64)
    np.maximum.at(largest, owner, size)
    forgotten &= size < largest[owner]
    wanted = np.array([thing.annotated for thing in room.objects])
    return wanted[mesh.object] & ~forgotten[group]


def _random_alignment(rng: np.random.Generator) -> npt.NDArray[np.float64]:
    """(4, 4) turn about z and shift; rounded as the text file rounds it, so that both agree."""
    angle = rng.uniform(-np.pi, np.pi)
    matrix = np.eye(4)
    matrix[:2, :2] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    matrix[:3, 3] = rng.uniform([-6, -6, -0.3], [-1, -1, 0.1])
    return np.round(matrix, 6)


def _file_order(mesh: ScanMesh, rng: np.random.Generator) -> IntArray:
    """(V,) vertices sorted by block of space, as marching over a voxel grid leaves them.

    Vertices of one object must not stand together: the order would give the annotation away.
    """
    block = np.floor((mesh.xyz_m - mesh.xyz_m.min(axis=0)) / 0.3).astype(np.int64)
    return np.lexsort((rng.random(mesh.num_vertices), block[:, 2], block[:, 1], block[:, 0]))
