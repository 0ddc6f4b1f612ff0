"""nuScenes-lidarseg in its true layout, made here: tables and keyframes of a few points."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

#: Numbers as the release has them for these; the order in the table is another.
CATEGORIES = {"noise": 0, "animal": 1, "human.pedestrian.child": 3, "vehicle.bus.bendy": 15, "flat.other": 25,
              "static.vegetation": 30, "vehicle.ego": 31, "vehicle.bus.rigid": 16}  # fmt: skip


def token_of(scene: str, number: int) -> str:
    return f"{int(scene[-4:]):016x}{number:016x}"


def add_version(source: Path, version: str, scenes: Mapping[str, Sequence[Sequence[int] | int]]) -> None:
    """Tables and files of a version; a keyframe is the numbers of its labels, or how many points it has."""
    tables: dict[str, list[dict[str, Any]]] = {
        "category": [{"token": f"c{i}", "name": n, "index": i} for n, i in CATEGORIES.items()],
        "scene": [],
        "sample": [],
        "sample_data": [],
        "lidarseg": [],
    }
    for scene, frames in scenes.items():
        tables["scene"].append({"token": f"t-{scene}", "name": scene})
        for number, labels in enumerate(frames):
            token, sample = token_of(scene, number), f"s-{scene}-{number}"
            tables["sample"].append({"token": sample, "scene_token": f"t-{scene}", "timestamp": 100 + number})
            file = f"samples/LIDAR_TOP/n015-2018+0800__LIDAR_TOP__{token}.pcd.bin"
            keyframe = {"sample_token": sample, "timestamp": 100 + number, "is_key_frame": True}
            # Latest first: the order of the tables means nothing. Sweeps between are no keyframes.
            tables["sample_data"][:0] = [
                {**keyframe, "token": token, "filename": file},
                {**keyframe, "token": f"r{token}", "filename": f"samples/RADAR_FRONT/{token}.pcd"},
                {
                    **keyframe,
                    "token": f"w{token}",
                    "is_key_frame": False,
                    "filename": f"sweeps/LIDAR_TOP/{token}",
                },
            ]
            count = labels if isinstance(labels, int) else len(labels)
            points = np.random.default_rng(number).normal(size=(count, 5)).astype("<f4")
            (source / file).parent.mkdir(parents=True, exist_ok=True)
            points.tofile(source / file)
            if not isinstance(labels, int):
                name = f"lidarseg/{version}/{token}_lidarseg.bin"
                (source / name).parent.mkdir(parents=True, exist_ok=True)
                np.array(labels, "u1").tofile(source / name)
                tables["lidarseg"].append({"token": token, "sample_data_token": token, "filename": name})
    (source / version).mkdir(parents=True)
    for name, records in tables.items():
        (source / version / f"{name}.json").write_text(json.dumps(records))
