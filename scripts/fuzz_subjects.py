"""What is fuzzed: for every reader of the project a small valid file, and how it is read."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import laspy
import numpy as np
import torch
from fuzz_mutations import ARCHIVE, BYTES, JSON, TEXT, Mutation
from PIL import Image
from safetensors.torch import save_file
from scipy.io import savemat

from pointseg.config import dump_config, load_config
from pointseg.convert.convert import read_weights
from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import load_label_space
from pointseg.core.scene import Scene
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import Experiment
from pointseg.formats.class_table import read_class_table, read_scene_table
from pointseg.formats.label_text import read_labels, write_labels
from pointseg.formats.ply import write_ply, write_scannet_mesh
from pointseg.formats.scannet import read_scannet_scene
from pointseg.formats.scannet_tables import read_label_table, read_split_lists, shipped_label_table
from pointseg.images.checker import ImageSubmission
from pointseg.images.file import read_image_file
from pointseg.images.files import read_indices, read_label, read_mat_map
from pointseg.images.submission import write_image_submission
from pointseg.prepare.nyu40 import read_mapping, read_splits
from pointseg.prepare.preparation import Job
from pointseg.prepare.s3dis import read_room
from pointseg.prepare.semantickitti import read_sweep
from pointseg.runs.checkpoint import load_checkpoint, save_checkpoint
from pointseg.runs.folder import RunFolder
from pointseg.runs.origin import Origin
from pointseg.scans import store as store_module
from pointseg.scans.file import read_cloud_file
from pointseg.scans.store import Store, StoreWriter
from pointseg.scans.submission import check_submission, write_submission
from pointseg.study.definition import read_study
from pointseg.study.measure import curve
from pointseg.training.log import keep_rows

SPACE = load_label_space("scannet20")
SCENE = "scene0000_00"
_KNOWN = {i: i for i in range(20)}
_STUDY = """
name: x
recipe: synthetic/demo
methods: {ceco: {}}
budgets: {short: 10}
seeds: [0, 1]
"""


@dataclass(frozen=True)
class Subject:
    """A reader.

    Args:
        name: for people.
        file: the file that is damaged, within a folder that :attr:`make` fills.
        make: writes it, and what lies beside it.
        read: reads it, as the command line does.
        mutations: what may happen to it.
        is_sealed: whether any change of its content has to be noticed.
        share: how often it comes, beside others.
    """

    name: str
    file: str
    make: Callable[[Path], object]
    read: Callable[[Path], Any]
    mutations: tuple[Mutation, ...] = BYTES
    is_sealed: bool = False
    share: float = 1.0


def points(count: int = 200) -> dict[str, Any]:
    """Columns of a cloud."""
    rng = np.random.default_rng(0)
    return {
        "xyz": rng.random((count, 3)) * (4, 4, 2.5),
        "rgb": rng.integers(0, 256, (count, 3)).astype(np.uint8),
        "label": rng.integers(0, 4, count).astype(np.int32),
    }


def _text_ply(file: Path) -> None:
    columns = points(40)
    rows = np.column_stack([columns["xyz"], columns["rgb"], columns["label"]])
    names = ["float x", "float y", "float z", "uchar red", "uchar green", "uchar blue", "int label"]
    header = ["ply", "format ascii 1.0", f"element vertex {len(rows)}", *(f"property {n}" for n in names)]
    header += ["element face 1", "property list uchar int vertex_indices", "end_header"]
    body = [" ".join(f"{value:g}" for value in row) for row in rows]
    file.write_text("\n".join([*header, *body, "3 0 1 2"]) + "\n")


def _las(file: Path) -> None:
    columns = points()
    header = laspy.LasHeader(point_format=7, version="1.4")
    header.scales = [0.001] * 3
    header.vlrs.append(laspy.VLR("LASF_Projection", 2112, "", b'PROJCS["x",UNIT["metre",1]]\0'))
    data = laspy.LasData(header)
    data.x, data.y, data.z = columns["xyz"].T
    data.red, data.green, data.blue = (columns["rgb"].astype(np.uint16) * 257).T
    data.classification = columns["label"].astype(np.uint8)
    data.write(file)


def _pcd(file: Path, encoding: str) -> None:
    xyz = points(60)["xyz"].astype("<f4")
    head = ["VERSION .7", "FIELDS x y z", "SIZE 4 4 4", "TYPE F F F", "COUNT 1 1 1", "WIDTH 60", "HEIGHT 1"]
    head += ["VIEWPOINT 0 0 0 1 0 0 0", "POINTS 60", f"DATA {encoding}", ""]
    if encoding == "ascii":
        body = "\n".join(" ".join(f"{v:g}" for v in row) for row in xyz).encode()
    elif encoding == "binary":
        body = xyz.tobytes()
    else:
        plain = xyz.T.tobytes()
        # LZF of literals alone: a length below 32 and as many bytes.
        packed = b"".join(bytes([len(p) - 1]) + p for p in (plain[i : i + 32] for i in range(0, 720, 32)))
        body = len(packed).to_bytes(4, "little") + len(plain).to_bytes(4, "little") + packed
    file.write_bytes("\n".join(head).encode() + body)


def _table(file: Path) -> None:
    columns = points(50)
    rows = np.column_stack([columns["xyz"], columns["rgb"], columns["label"]])
    file.write_text("x,y,z,r,g,b,label\n" + "\n".join(",".join(f"{v:g}" for v in row) for row in rows))


def _raw_scene(file: Path) -> None:
    xyz = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [1, 0, 1], [0, 0, 1]], np.float32)
    faces, rgba = np.array([[0, 1, 2], [0, 1, 3], [0, 3, 4]]), np.arange(20, dtype=np.uint8).reshape(5, 4)
    write_scannet_mesh(file.parent / f"{SCENE}_vh_clean_2.ply", xyz, rgba, faces)
    segments = {"sceneId": SCENE, "params": {"kThresh": "0.0001"}, "segIndices": [70, 70, 70, 5, 9]}
    (file.parent / f"{SCENE}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(segments))
    groups = [
        {"id": 0, "objectId": 0, "label": "floor", "segments": [70]},
        {"id": 1, "objectId": 1, "label": "wall", "segments": [5, 9]},
    ]
    aggregation = {"sceneId": SCENE, "segmentsFile": "x_vh_clean_2.segs.json", "segGroups": groups}
    (file.parent / f"{SCENE}.aggregation.json").write_text(json.dumps(aggregation))
    (file.parent / f"{SCENE}.txt").write_text(
        "axisAlignment = 0 -1 0 2 1 0 0 3 0 0 1 0 0 0 0 1\nsceneType = Office\n"
    )


def _read_raw(file: Path) -> Any:
    return read_scannet_scene(file.parent, SCENE, {"floor": 2, "wall": 1}, axis_align=True)


def _store(file: Path) -> None:
    folder = file.parents[2] if file.parent.parent.name == "scenes" else file.parent
    writer = StoreWriter(folder, SPACE, options={"source": "fuzz"})
    columns = points()
    label = np.asarray(SPACE.raw_ids, np.int32)[columns["label"]]
    for name, split in (("a", "train"), ("b", "val")):
        writer.add(Scene(name, columns["xyz"].astype(np.float32), columns["rgb"], raw_label=label), split)
    writer.finish()


def _read_store(file: Path) -> Any:
    folder = file.parents[2] if file.parent.parent.name == "scenes" else file.parent
    store = Store.open(folder)
    # Once is enough for a process; here each reading is the first one.
    store_module._VERIFIED.clear()
    return store.label_space, store.splits(), store.class_statistics("train"), store.load("a")


def _continue_store(file: Path) -> Any:
    writer = StoreWriter(file.parents[2], SPACE, options={"source": "fuzz"})
    return writer.has("a", "train"), writer.entries()


def _checkpoint(file: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    weights = {"a.weight": torch.randn(8, 6, generator=generator), "a.bias": torch.zeros(8)}
    save_checkpoint(file, {"weights": weights, "step": 3, "data": "x"})


def _public(file: Path) -> None:
    weights = {"conv1.kernel": torch.randn(27, 3, 8), "bn1.weight": torch.ones(8)}
    if file.suffix == ".safetensors":
        save_file(weights, file)
    else:
        torch.save({"state_dict": weights, "epoch": 3}, file)


@cache
def _experiment() -> Experiment:
    data: dict[str, Any] = {"type": "store", "path": "x", "features": ["color"]}
    augment = [{"type": "flip"}, {"type": "voxelize"}]
    return load_config(Experiment, None, (), data={"data": data, "augment": augment, "train": {"steps": 3}})


def _run(file: Path) -> None:
    folder = RunFolder(file.parent)
    folder.describe(_experiment(), SPACE, torch.device("cpu"), 0)
    folder.write_class_statistics(ClassStatistics(torch.arange(20), torch.ones(20, dtype=torch.int64), 3))
    folder.write_origin(Origin("abc", {"axis_aligned": False}, (2.0, 3.0)))


def _metrics(file: Path) -> None:
    rows: list[dict[str, Any]] = [{"step": 1, "kind": "train", "loss": 1.5}]
    means = {name: {"present": 0.5} for name in ("miou", "head", "common", "tail")}
    rows += [{"step": 2, "kind": "val", **means, "collapse": {"all": {"etf": 0.5}}}]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def _resume_log(file: Path) -> str:
    keep_rows(file, step=1, validated=2)
    return file.read_text()


def _picture(file: Path, mode: str = "RGB") -> None:
    rng = np.random.default_rng(0)
    picture = Image.fromarray(rng.integers(0, 256, (24, 32, 3)).astype(np.uint8)).convert(mode)
    picture.save(file)


def _indices(file: Path) -> None:
    Image.fromarray(np.random.default_rng(0).integers(0, 20, (24, 32)).astype(np.uint8)).save(file)


def _scan_zip(file: Path) -> None:
    ids = np.asarray(SPACE.raw_ids, np.int32)
    write_submission(file, [("a", np.tile(ids, 3)), ("b", ids)])


def _image_zip(file: Path) -> None:
    ids = np.tile(np.array([7, 8, 11], np.int32), (1024, 683))[:, :2048]
    write_image_submission(file, [("berlin_000000_000019", ids)])


def _room(file: Path) -> None:
    for name in ("wall_1", "floor_1"):
        columns = points(30)
        rows = np.column_stack([columns["xyz"], columns["rgb"]])
        text = "\n".join(" ".join(f"{v:g}" for v in row) for row in rows)
        (file.parent / f"{name}.txt").write_text(text + "\n")


def _sweep(file: Path) -> None:
    points = np.random.default_rng(0).random((50, 4)).astype("<f4")
    for part, data in (("velodyne/000000.bin", points), ("labels/000000.label", np.full(50, 40, "<u4"))):
        place = file.parents[1] / part
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(data.tobytes())


def _read_sweep(file: Path) -> Any:
    return read_sweep(Job("a", "train", file.parents[1] / "velodyne/000000.bin"), with_normals=False)


def _mapping(file: Path) -> None:
    savemat(file, {"mapClass": np.arange(1, 41)[None]})


def _splits(file: Path) -> None:
    savemat(file, {"trainNdxs": np.arange(1, 6)[:, None], "testNdxs": np.arange(6, 9)[:, None]})


def _tables(file: Path) -> None:
    file.write_text("raw_id,name,group,r,g,b\n1,wall,head,1,2,3\n2,floor,tail,4,5,6\n7,chair,common,7,8,9\n")


def subjects() -> list[Subject]:
    """All readers."""
    cloud = partial(read_cloud_file, want_normals=False)
    writes = points()
    found = [
        Subject("ply", "a.ply", lambda f: write_ply(f, **writes), cloud),
        Subject("ply of text", "a.ply", _text_ply, cloud, TEXT),
        Subject("npz", "a.npz", lambda f: np.savez(f, **writes), cloud, ARCHIVE),
        Subject("npz, packed", "a.npz", lambda f: np.savez_compressed(f, **writes), cloud, ARCHIVE),
        Subject("las", "a.las", _las, cloud),
        Subject("laz", "a.laz", _las, cloud, share=0.15),
        Subject("table of points", "a.csv", _table, cloud, TEXT),
        Subject("points without names", "a.xyz", lambda f: np.savetxt(f, writes["xyz"]), cloud, TEXT),
        *(
            Subject(f"pcd, {encoding}", "a.pcd", partial(_pcd, encoding=encoding), cloud, mutations)
            for encoding, mutations in (("ascii", TEXT), ("binary", BYTES), ("binary_compressed", BYTES))
        ),
        Subject("mesh", f"{SCENE}_vh_clean_2.ply", _raw_scene, _read_raw),
        Subject("segs.json", f"{SCENE}_vh_clean_2.0.010000.segs.json", _raw_scene, _read_raw, JSON),
        Subject("aggregation.json", f"{SCENE}.aggregation.json", _raw_scene, _read_raw, JSON),
        Subject("scene's txt", f"{SCENE}.txt", _raw_scene, _read_raw, TEXT),
        Subject(
            "label table",
            "labels.tsv",
            lambda f: f.write_bytes(shipped_label_table().read_bytes()),
            lambda f: read_label_table(f, SPACE),
            TEXT,
        ),
        Subject(
            "split list",
            "scannetv2_train.txt",
            lambda f: f.write_text("scene0000_00\nscene0001_00\n"),
            lambda f: read_split_lists(f.parent),
            TEXT,
        ),
        Subject("classes.csv", "classes.csv", _tables, lambda f: read_class_table(f, "x"), TEXT),
        Subject(
            "scenes.csv",
            "scenes.csv",
            lambda f: f.write_text("scene,split\na,train\nb,val\n"),
            read_scene_table,
            TEXT,
        ),
        Subject("label text", "a.txt", lambda f: write_labels(f, np.arange(40)), read_labels, TEXT),
        Subject("manifest", "manifest.json", _store, _read_store, JSON),
        Subject("manifest, bytes", "manifest.json", _store, _read_store, BYTES, is_sealed=True),
        *(
            Subject(f"store: {name}", f"scenes/a/{name}.npy", _store, _read_store, BYTES, is_sealed=True)
            for name in ("xyz_m", "rgb", "raw_label")
        ),
        Subject("scene.json", "scenes/a/scene.json", _store, _continue_store, JSON),
        Subject("checkpoint", "last.pt", _checkpoint, load_checkpoint, BYTES, is_sealed=True),
        Subject("checkpoint, members", "last.pt", _checkpoint, load_checkpoint, ARCHIVE),
        Subject("public weights", "a.pth", _public, read_weights, ARCHIVE),
        Subject("safetensors", "a.safetensors", _public, read_weights),
        Subject("config.yaml", "config.yaml", _run, lambda f: RunFolder(f.parent).read_experiment(), TEXT),
        Subject(
            "label_space.json",
            "label_space.json",
            _run,
            lambda f: RunFolder(f.parent).read_label_space(),
            JSON,
        ),
        Subject("--labels FILE", "label_space.json", _run, lambda f: find_label_space(str(f)), JSON),
        Subject(
            "class_statistics.json",
            "class_statistics.json",
            _run,
            lambda f: RunFolder(f.parent).read_class_statistics(),
            JSON,
        ),
        Subject("data.json", "data.json", _run, lambda f: RunFolder(f.parent).read_origin(), JSON),
        Subject("environment.json", "environment.json", _run, lambda f: RunFolder(f.parent).starts(), JSON),
        Subject("metrics.jsonl, resumed", "metrics.jsonl", _metrics, _resume_log, JSON + TEXT),
        Subject("metrics.jsonl, measured", "metrics.jsonl", _metrics, curve, JSON + TEXT),
        Subject(
            "recipe",
            "recipe.yaml",
            lambda f: f.write_text(dump_config(_experiment())),
            lambda f: load_config(Experiment, f),
            TEXT,
        ),
        Subject(
            "study",
            "study.yaml",
            lambda f: f.write_text(_STUDY),
            read_study,
            TEXT,
        ),
        *(
            Subject(f"image: {suffix}", f"a.{suffix}", _picture, read_image_file)
            for suffix in ("png", "jpg", "tif", "webp", "bmp")
        ),
        Subject("image: 16 bits", "a.png", partial(_picture, mode="I;16"), read_image_file),
        Subject("label image", "a.png", _indices, partial(read_label, read=read_indices, known=_KNOWN)),
        Subject("label mat", "a.mat", lambda f: savemat(f, {"S": np.ones((8, 9), np.uint8)}), read_mat_map),
        Subject("mat: classes", "a.mat", _mapping, read_mapping),
        Subject("mat: splits", "a.mat", _splits, lambda f: read_splits(f, 8)),
        Subject(
            "submission of scans",
            "a.zip",
            _scan_zip,
            lambda f: check_submission(f, SPACE, {"a": 60, "b": 20}),
            ARCHIVE,
        ),
        Subject(
            "submission of images",
            "a.zip",
            _image_zip,
            lambda f: ImageSubmission(layout="cityscapes").check(f),
            ARCHIVE,
            share=0.3,
        ),
        Subject("s3dis", "Annotations/wall_1.txt", _room, _read_room, TEXT),
        Subject("sweep", "velodyne/000000.bin", _sweep, _read_sweep),
        Subject("sweep's labels", "labels/000000.label", _sweep, _read_sweep),
    ]
    return [replace(subject, file=f"{number}/{subject.file}") for number, subject in enumerate(found)]


def _read_room(file: Path) -> Any:
    return read_room(Job("a", "train", file.parents[1]), with_normals=False)
