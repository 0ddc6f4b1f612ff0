"""Mistakes that raise no error by themselves and make every number wrong: each is said."""

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from pointseg.core.labels import resource_path
from pointseg.formats.cloud_doubts import class_color_doubt, upright_doubt
from pointseg.formats.ply import vertex_normals, write_ply, write_scannet_mesh
from pointseg.prepare import custom, scannet
from pointseg.scans.file import read_for_network
from pointseg.scans.store import Store

RNG = np.random.default_rng(0)


def room(scale: float = 1.0) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Vertices and faces of a floor of 5 m, two walls and a table top; nobody has scanned the ceiling."""

    def sheet(origin: Any, right: Any, up: Any, count: int = 12) -> tuple[Any, Any]:
        across = np.linspace(0, 1, count)
        place = (np.asarray(origin) + across[:, None, None] * right + across[None, :, None] * up).reshape(
            -1, 3
        )
        corner = (np.arange(count - 1)[:, None] * count + np.arange(count - 1)).ravel()
        one = np.stack([corner, corner + count, corner + 1], 1)
        other = np.stack([corner + 1, corner + count, corner + count + 1], 1)
        return place, np.concatenate([one, other])

    a, b = np.array([5.0, 0, 0]), np.array([0, 5.0, 0])
    c = np.array([0, 0, 2.5])
    sheets = [
        sheet((0, 0, 0), a, b),
        sheet((0, 0, 0), c, a),
        sheet((0, 5, 0), a, c),
        sheet((0, 0, 0), b, c),
        sheet((5, 0, 0), c, b),
        sheet((1, 1, 0.8), a / 4, b / 4),
    ]
    xyz, faces, start = [], [], 0
    for place, corners in sheets:
        xyz.append(place)
        faces.append(corners + start)
        start += len(place)
    return (scale * np.concatenate(xyz)).astype(np.float32), np.concatenate(faces)


# Colours of classes.


def painted(count: int, points: int = 4000) -> npt.NDArray[np.uint8]:
    """Colours of ``count`` classes; not grey."""
    table = RNG.permutation(255)[:count].astype(np.uint8)
    return np.stack([table, 255 - table, table // 2], 1)[RNG.integers(0, count, points)]


@pytest.mark.parametrize(
    ("rgb", "is_doubtful"),
    [
        (painted(20), True),
        (painted(200), True),
        (painted(20, points=900), False),
        (RNG.integers(0, 256, (4000, 3)).astype(np.uint8), False),
        (np.repeat(RNG.integers(0, 256, (4000, 1)), 3, axis=1).astype(np.uint8), False),
        (np.full((4000, 3), 7, np.uint8), False),
    ],
)
def test_few_colours_are_those_of_classes(rgb: npt.NDArray[np.uint8], is_doubtful: bool) -> None:
    assert bool(class_color_doubt(rgb)) == is_doubtful


def test_a_network_that_sees_colours_is_not_shown_those_of_classes_unsaid(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", RNG.random((4000, 3)), rgb=painted(20))
    said = " ".join(read_for_network(tmp_path / "a.ply", ["color"], 0.05).remarks)
    assert "no more than 20 colours" in said and "*.labels.ply" in said
    assert "colours, as" not in " ".join(read_for_network(tmp_path / "a.ply", ["height"], 0.05).remarks)


def test_own_clouds_with_colours_of_classes_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for split in ("train", "val"):
        (tmp_path / "raw" / split).mkdir(parents=True)
        label = RNG.integers(1, 3, 4000)
        cloud = tmp_path / "raw" / split / f"{split}.ply"
        write_ply(cloud, RNG.random((4000, 3)), rgb=painted(3), label=label)
    (tmp_path / "classes.csv").write_text("raw_id,name\n1,a\n2,b\n")
    words = [str(tmp_path / "raw"), str(tmp_path / "store"), "--classes", str(tmp_path / "classes.csv")]
    assert custom.main([*words, "--workers", "1", "--no-normals"]) == 0
    said = capsys.readouterr().err
    assert said.count("points have no more than 3 colours") == 1
    assert "WARNING: 2 of 2 scenes, such as train: its 4,000 points have no more" in said


# Raw ScanNet.


def raw_scene(raw: Path, name: str, count: int, *, rgb: Any = None, segment: Any = None, **more: Any) -> None:
    folder = raw / "scans" / name
    folder.mkdir(parents=True)
    xyz, faces = RNG.random((count, 3)).astype(np.float32), np.arange(count // 3 * 3).reshape(-1, 3)
    rgb = RNG.integers(0, 256, (count, 3)) if rgb is None else rgb
    write_scannet_mesh(
        folder / f"{name}_vh_clean_2.ply", xyz, np.insert(rgb.astype(np.uint8), 3, 255, axis=1), faces
    )
    segment = np.arange(count) // 10 if segment is None else segment
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(
        json.dumps({"segIndices": segment.tolist()})
    )
    groups = [{"objectId": 0, "label": "wall", "segments": more.get("segments", [0, 1])}]
    groups += [{**groups[0], "objectId": 1}] * more.get("twice", 0)
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"segGroups": groups}))
    if "text" in more:
        (folder / f"{name}.txt").write_text(more["text"])


def prepare_scannet(tmp_path: Path, capsys: pytest.CaptureFixture[str], *options: str) -> tuple[int, str]:
    code = scannet.main([str(tmp_path / "raw"), str(tmp_path / "store"), "--workers", "1", *options])
    return code, capsys.readouterr().err


def test_a_mesh_in_the_colours_of_its_classes_is_refused(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00", 2000, rgb=painted(40, 2000))
    raw_scene(tmp_path / "raw", "scene0001_00", 2000)
    code, said = prepare_scannet(tmp_path, capsys)
    assert code == 1 and "It looks like scene0000_00_vh_clean_2.labels.ply under another name" in said
    assert list(Store.open(tmp_path / "store").entries) == ["scene0001_00"]


def test_a_segmentation_with_a_segment_for_each_vertex_is_refused(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00", 2000, segment=np.arange(2000))
    code, said = prepare_scannet(tmp_path, capsys)
    assert code == 1 and "every vertex is a segment of its own" in said and "kThresh" in said


def test_what_is_doubtful_about_raw_scenes_is_said_at_the_end(tmp_path: Path, capsys: Any) -> None:
    with resource_path("scannet200", "scene_vertex_counts.csv").open(encoding="utf-8") as handle:
        rows = [row for row in csv.DictReader(handle) if row["split"] == "train"]
    smallest = min(rows, key=lambda row: int(row["num_vertices"]))
    turned = "axisAlignment = 0 -1 0 0 1 0 0 0 0 0 1 0 0 0 0 1\n"
    raw_scene(tmp_path / "raw", smallest["scene"], int(smallest["num_vertices"]), text=turned)
    raw_scene(tmp_path / "raw", "scene0000_00", 600, segments=[0, 1, 2, 9_000_000], twice=1, text=turned)
    raw_scene(tmp_path / "raw", "scene0001_00", 600)
    code, said = prepare_scannet(tmp_path, capsys, "--axis-align")
    assert code == 0
    assert "WARNING: 2 segments of annotated objects belong to no vertex, in scene0000_00:" in said
    assert "WARNING: objects that are listed twice were taken once, in scene0000_00." in said
    assert "WARNING: scene0000_00, scene0001_00: another number of vertices than the release has" in said
    assert "WARNING: 1 of 3 scenes have no axisAlignment" in said and "the others: scene0001_00." in said


def test_generated_scenes_are_not_held_against_the_release(tmp_path: Path, capsys: Any) -> None:
    raw_scene(tmp_path / "raw", "scene0000_00", 600)
    raw_scene(tmp_path / "raw", "scene0001_00", 600)
    code, said = prepare_scannet(tmp_path, capsys)
    assert code == 0 and "WARNING" not in said


# Which way is up.


@pytest.mark.parametrize(
    ("turn", "said"),
    [
        (lambda p: p, None),
        (lambda p: p[:, [0, 2, 1]] * (1, 1, -1), "look towards y"),
        (lambda p: p[:, [2, 1, 0]] * (-1, 1, 1), "look towards -x"),
        (lambda p: p * (1, -1, -1), "stands on its head"),
    ],
)
def test_a_scan_that_does_not_stand_upright_is_said(turn: Any, said: str | None) -> None:
    xyz, faces = room()
    found = upright_doubt(vertex_normals(turn(xyz), faces))
    assert (said in found) if said and found else (said is None and found is None)


def test_a_file_with_y_up_is_said_before_it_is_labelled(tmp_path: Path) -> None:
    xyz, faces = room()
    for name, up in (("z", xyz), ("y", xyz[:, [0, 2, 1]] * np.float32((1, 1, -1)))):
        write_ply(tmp_path / f"{name}.ply", up, faces=faces)
    assert "y seems to be up" in " ".join(read_for_network(tmp_path / "y.ply", ["height"], 0.2).remarks)
    assert "seems to be up" not in " ".join(read_for_network(tmp_path / "z.ply", ["height"], 0.2).remarks)
