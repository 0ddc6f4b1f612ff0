"""Record: what a finished run leaves for tables and figures, small enough to be kept for good."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import write_bytes, write_text
from pointseg.core.labels import LabelSpace
from pointseg.evaluation.calibration import Calibration
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report

#: Version of the two files.
FORMAT = 1
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Record:
    """One finished run: ``NAME.json`` for people and tables, ``NAME.npz`` for figures.

    Args:
        facts: everything that is a name or a number; keys are those of the columns of results.csv, and
            ``curve``: for each validation during training its step, mean IoUs and neural collapse.
        label_space: the classes.
        train_points: (K,) points of each class in the training split.
        confusion: counts over the scenes that were evaluated.
        scenes: their names.
        parts: (S, 3, K) true positives, truth and predictions of each class in each scene.
        calibration: by group of the true class, in the order of GROUPS, and last those of no group.
    """

    facts: Mapping[str, Any]
    label_space: LabelSpace
    train_points: npt.NDArray[np.int64]
    confusion: Confusion
    scenes: tuple[str, ...]
    parts: npt.NDArray[np.int64]
    calibration: Calibration

    @property
    def report(self) -> Report:
        return Report.from_confusion(self.confusion, self.label_space)

    def write(self, folder: Path, name: str) -> None:
        """Write both files; the JSON comes last, so that where it is the record is whole."""
        folder.mkdir(parents=True, exist_ok=True)
        arrays = io.BytesIO()
        np.savez_compressed(
            arrays,
            train_points=_small(self.train_points),
            confusion=_small(self.confusion.counts),
            parts=_small(self.parts),
            calibration=self.calibration.counts.astype(np.float32),
        )
        write_bytes(folder / f"{name}.npz", arrays.getvalue())
        space = self.label_space.to_dict()
        space["classes"] = [[c["raw_id"], c["name"], c["group"]] for c in space["classes"]]
        content = {"format": FORMAT, **self.facts, "scenes": list(self.scenes), "label_space": space}
        _write_facts(folder / f"{name}.json", content)

    @classmethod
    def read(cls, path: Path) -> Record:
        """The record whose JSON file is ``path``.

        Raises:
            ValueError: naming the file, if it is not one of ours or the arrays beside it are not its own.
        """
        facts = read_facts(path)
        try:
            scenes, space = tuple(facts.pop("scenes")), _label_space(facts.pop("label_space"))
            # A damaged file would stay open if numpy opened it.
            with (
                path.with_suffix(".npz").open("rb") as stream,
                np.load(stream, allow_pickle=False) as arrays,
            ):
                loaded = {key: arrays[key] for key in ("train_points", "confusion", "parts", "calibration")}
            confusion = Confusion(space.num_classes, loaded["confusion"])
            calibration = Calibration(len(loaded["calibration"]), loaded["calibration"])
            shapes = loaded["parts"].shape, loaded["train_points"].shape
            if shapes != ((len(scenes), 3, space.num_classes), (space.num_classes,)):
                raise ValueError(f"arrays of {shapes} for {len(scenes)} scenes")
        except (OSError, KeyError, TypeError, ValueError, zipfile.BadZipFile) as error:
            raise ValueError(f"{path}: not a readable record of a run ({error}).") from None
        parts = loaded["parts"].astype(np.int64)
        return cls(
            facts, space, loaded["train_points"].astype(np.int64), confusion, scenes, parts, calibration
        )


def read_facts(path: Path) -> dict[str, Any]:
    """Names and numbers of a record, without its arrays.

    Raises:
        ValueError: if the file is no record of this format.
    """
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found = facts.pop("format")
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
        raise ValueError(f"{path}: not a readable record of a run ({error!r}).") from None
    if found != FORMAT:
        raise ValueError(f"{path}: expected a record of format {FORMAT}; got {found}.")
    return dict(facts)


def keep_record(own: Path, kept: Path, facts: Mapping[str, Any], *, arrays: bool) -> None:
    """Copy a record, whose JSON file is ``own``, to ``kept`` with these facts, and its arrays if they are
    wanted.
    """
    kept.parent.mkdir(parents=True, exist_ok=True)
    if arrays and own != kept:
        write_bytes(kept.with_suffix(".npz"), own.with_suffix(".npz").read_bytes())
    _write_facts(kept, {**json.loads(own.read_text(encoding="utf-8")), **facts})


def _write_facts(path: Path, content: Mapping[str, Any]) -> None:
    """One line for each fact, so that people find them."""
    lines = ",\n".join(f" {json.dumps(key)}: {_compact(value)}" for key, value in content.items())
    write_text(path, f"{{\n{lines}\n}}\n")


def _small(values: npt.NDArray[np.int64]) -> npt.NDArray[Any]:
    """In the smallest type that holds them."""
    return values.astype(np.min_scalar_type(int(values.max(initial=0))))


def _label_space(data: Mapping[str, Any]) -> LabelSpace:
    classes = [
        {"raw_id": raw_id, "name": name, "group": group, "color": (0, 0, 0)}
        for raw_id, name, group in data["classes"]
    ]
    return LabelSpace.from_dict({**data, "classes": classes})


def _compact(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
