"""nuScenes-lidarseg on disk: tables of records, classes of the challenge, keyframes of a split.

Source: the release's own tools, https://github.com/nutonomy/nuscenes-devkit: ``nuscenes/eval/lidarseg``
(``utils.py``: 32 general classes -> 16, by name; ``README.md`` and ``validate_submission.py``: the folder of
results) and ``nuscenes/utils/splits.py`` (scenes of each split; they lie in ``resources/nuscenes``).
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pointseg.core.labels import resource_path
from pointseg.formats.text import read_json

#: Bytes of a point: x, y, z in metres, intensity and ring, float32.
POINT_BYTES = 20
SENSOR = "LIDAR_TOP"
#: Challenge class -> general classes of the release that count as it; the release's own numbers of these
#: stand in its category.json. Those not named here, ``noise`` among them, are left out.
GENERAL = {
    "barrier": ("movable_object.barrier",),
    "bicycle": ("vehicle.bicycle",),
    "bus": ("vehicle.bus.bendy", "vehicle.bus.rigid"),
    "car": ("vehicle.car",),
    "construction_vehicle": ("vehicle.construction",),
    "motorcycle": ("vehicle.motorcycle",),
    "pedestrian": (
        "human.pedestrian.adult",
        "human.pedestrian.child",
        "human.pedestrian.construction_worker",
        "human.pedestrian.police_officer",
    ),
    "traffic_cone": ("movable_object.trafficcone",),
    "trailer": ("vehicle.trailer",),
    "truck": ("vehicle.truck",),
    "driveable_surface": ("flat.driveable_surface",),
    "other_flat": ("flat.other",),
    "sidewalk": ("flat.sidewalk",),
    "terrain": ("flat.terrain",),
    "manmade": ("static.manmade",),
    "vegetation": ("static.vegetation",),
}
LEFT_OUT = (
    *("noise", "animal", "human.pedestrian.personal_mobility", "human.pedestrian.stroller"),
    *("human.pedestrian.wheelchair", "movable_object.debris", "movable_object.pushable_pullable"),
    *("static_object.bicycle_rack", "vehicle.emergency.ambulance", "vehicle.emergency.police"),
    *("static.other", "vehicle.ego"),
)
#: Versions of the release, each a folder of tables; the last one has no labels.
VERSIONS = ("v1.0-trainval", "v1.0-mini", "v1.0-test")
#: Scenes of v1.0-mini, which has splits of its own: some of its train are of the val of trainval.
MINI = {
    **dict.fromkeys(("scene-0061", "scene-0553", "scene-0655", "scene-0757", "scene-0796"), "train"),
    **dict.fromkeys(("scene-1077", "scene-1094", "scene-1100"), "train"),
    **dict.fromkeys(("scene-0103", "scene-0916"), "val"),
}


@dataclass(frozen=True)
class Keyframe:
    """One sweep that is labelled, or scored by the server.

    Args:
        token: of its record in sample_data.json; files of labels and of predictions are named by it.
        scene: such as ``scene-0103``.
        points: file of points.
        labels: file of labels, one byte a point; None in the test version.
    """

    token: str
    scene: str
    points: Path
    labels: Path | None


def read_table(source: Path, version: str, name: str) -> list[dict[str, Any]]:
    """The records of a table.

    Raises:
        FileNotFoundError: if there is no such table.
        ValueError: if it is no list of records.
    """
    file = source / version / f"{name}.json"
    if not file.is_file():
        raise FileNotFoundError(f"{file}: no such table; it is in the archive of metadata of {version}.")
    records = read_json(file)
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise ValueError(f"{file}: expected a list of records.")
    return records


def versions_of(source: Path) -> tuple[str, ...]:
    """The versions that a folder holds, trainval before mini.

    Raises:
        ValueError: if there is none.
    """
    found = tuple(version for version in VERSIONS if (source / version).is_dir())
    if not found:
        raise ValueError(f"{source}: expected a folder {' or '.join(VERSIONS)} with tables; found none.")
    return found


def keyframes(source: Path, version: str) -> list[Keyframe]:
    """The sweeps of the lidar on the roof that are keyframes, by scene and time.

    Raises:
        FileNotFoundError: if a table is not there; that of the labels need not be in the test version.
        ValueError: if a record is broken, or nuScenes was unpacked without nuScenes-lidarseg.
    """
    labels: dict[str, Path] = {}
    if version != "v1.0-test":
        if not (source / version / "lidarseg.json").is_file():
            raise FileNotFoundError(
                f"{source / version / 'lidarseg.json'}: no such table; unpack nuScenes-lidarseg over "
                "nuScenes: it brings this table, category.json and the folder lidarseg."
            )
        records = read_table(source, version, "lidarseg")
        labels = {record["sample_data_token"]: source / record["filename"] for record in records}
    try:
        names = {record["token"]: record["name"] for record in read_table(source, version, "scene")}
        scene_of = {
            record["token"]: names[record["scene_token"]] for record in read_table(source, version, "sample")
        }
        frames = [
            (scene_of[record["sample_token"]], int(record["timestamp"]), record)
            for record in read_table(source, version, "sample_data")
            if record["is_key_frame"] and f"/{SENSOR}/" in record["filename"]
        ]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{source / version}: its tables do not fit together ({error!r}).") from None
    frames.sort(key=lambda frame: frame[:2])
    return [
        Keyframe(record["token"], scene, source / record["filename"], labels.get(record["token"]))
        for scene, _, record in frames
    ]


def split_of_scenes(version: str) -> dict[str, str]:
    """Scene -> train, val or test, of the scenes of the release; a version has some of them."""
    if version == "v1.0-mini":
        return MINI
    with resource_path("nuscenes", "scenes.csv").open(newline="", encoding="utf-8") as handle:
        return {row["scene"]: row["split"] for row in csv.DictReader(handle)}


def challenge_ids(categories: list[dict[str, Any]], ids: Mapping[str, int], file: Path) -> dict[int, int]:
    """Number of a general class in files of labels -> raw id of the challenge, 0 for what it leaves out.

    Args:
        categories: records of category.json.
        ids: challenge class -> its raw id.
        file: named in errors.

    Raises:
        ValueError: for records without ``index``, which nuScenes alone has, and for an unknown class.
    """
    of_general = {general: ids[name] for name, generals in GENERAL.items() for general in generals}
    of_general |= dict.fromkeys(LEFT_OUT, 0)
    if not all("index" in record for record in categories):
        raise ValueError(
            f"{file}: its classes have no index: it is that of nuScenes alone. Unpack nuScenes-lidarseg over "
            "it, which replaces this table."
        )
    unknown = sorted(record["name"] for record in categories if record["name"] not in of_general)
    if unknown:
        raise ValueError(f"{file}: unknown classes {', '.join(unknown[:5])}.")
    return {int(record["index"]): of_general[record["name"]] for record in categories}
