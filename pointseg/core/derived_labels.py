"""DerivedLabels: labels of another head that follow from those of the main one, such as coarse classes.

Labels that do not follow from the main ones need no change of the trainer either: a data set whose scenes
carry them makes batches with ``others={head: Labels(...)}``, where ``values`` may be (M, L) for rows with
several labels (as ScanNet++ has); a head and a loss in files of their own, each one row in the tables of
pointseg.experiment, take them from there by the head's name. Batches, segmenter, objective and training step
only hand them on.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from pointseg.core.batch import Labels
from pointseg.core.labels import IGNORE, LabelSpace


@dataclass(frozen=True)
class DerivedLabels:
    """For each class of the main label space one of another label space, or none.

    A point that has no class in the main space has none here either.

    Args:
        main: label space of the main head, K classes.
        space: label space of the other head.
        raw_ids: raw id of a main class -> raw id of its class in ``space``; classes that are not in it are
            unlabelled there.
    """

    main: LabelSpace
    space: LabelSpace
    raw_ids: Mapping[int, int]

    def __post_init__(self) -> None:
        known = {raw for raw in self.main.raw_ids if self.raw_ids.get(raw) in set(self.space.raw_ids)}
        if not known:
            raise ValueError(
                f"No class of label set {self.main.name!r} has one of {self.space.name!r}; give a mapping, a "
                f"CSV file with a raw id of {self.main.name!r} and one of {self.space.name!r} in each line."
            )

    @property
    def table(self) -> npt.NDArray[np.int64]:
        """(K + 1,) train index in ``space``, or IGNORE, of each main class; the last is of rows without."""
        mapped = [self.raw_ids.get(raw, self.space.unlabelled_raw_id) for raw in self.main.raw_ids]
        return np.append(self.space.encode(np.array(mapped, dtype=np.int64)), IGNORE)

    def encode(self, raw_id: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Raw ids of the main label space, of any shape -> train indices in ``space``."""
        return self.table[self.main.encode(raw_id).clip(min=-1)]

    def of(self, labels: Tensor) -> Labels:
        """(M,) main train indices -> the labels of the other head, made with the batch."""
        table = torch.from_numpy(self.table).to(labels.device)
        values = table[torch.where(labels >= 0, labels, self.main.num_classes)]
        return Labels(values, torch.nonzero(values != IGNORE).squeeze(1))

    def entry(self, entry: Mapping[str, Any]) -> dict[str, Any]:
        """The manifest's entry of a scene with its points counted by class of ``space``."""
        points: dict[int, int] = {}
        for raw, count in entry["class_points"].items():
            if int(raw) in self.main.raw_ids and int(raw) in self.raw_ids:
                mapped = self.raw_ids[int(raw)]
                points[mapped] = points.get(mapped, 0) + count
        return {**entry, "class_points": points}


def read_raw_id_mapping(path: Path) -> dict[int, int]:
    """A CSV file with two raw ids a line, from and to; a first line of names is left out.

    Raises:
        ValueError: if there is no such file, for a line that is not two ids, or an id given twice.
    """
    if not path.is_file():
        raise ValueError(f"No mapping file {path}; expected CSV with two raw ids a line, from and to.")
    mapping: dict[int, int] = {}
    with path.open(newline="", encoding="utf-8") as file:
        for number, row in enumerate(csv.reader(file), start=1):
            cells = [cell.strip() for cell in row]
            if not any(cells) or (number == 1 and not any(cell.lstrip("-").isdigit() for cell in cells)):
                continue
            if len(cells) != 2 or not all(cell.lstrip("-").isdigit() for cell in cells):
                raise ValueError(f"{path}, line {number}: expected two raw ids, from and to; got {row}.")
            source, target = map(int, cells)
            if source in mapping:
                raise ValueError(f"{path}, line {number}: raw id {source} is mapped twice.")
            mapping[source] = target
    return mapping
