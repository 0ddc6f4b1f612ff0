"""RunFolder: the files of one training run, and whether it may continue."""

from __future__ import annotations

import os
import platform
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

import pointseg
from pointseg.config import ConfigError, changed, dump_config, load_config
from pointseg.core.durable import remove_partials, write_text
from pointseg.core.labels import LabelSpace
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import Experiment
from pointseg.formats.sealed import read_sealed_json, write_sealed_json
from pointseg.runs.exported import MANIFEST, WEIGHTS
from pointseg.runs.origin import Origin

#: Settings that may differ between the parts of a run: they say where and how fast, not what is computed.
FREE_TO_CHANGE = frozenset(
    {"data.path", "engine", "train.workers", "train.num_threads", "train.log_every"}
    | {"train.checkpoint_every", "train.keep_checkpoints"}
    # With another number of processes; the training sees to it that steps are of as many batches as before.
    | {"train.accumulate"}
)
_WRITTEN_AGAIN = "The `pointseg train` command of this run writes it again, also where the run is at its end."


class RunFolder:
    """Paths in a RUN folder.

    ``config.yaml`` (resolved Experiment), ``label_space.json``, ``class_statistics.json`` (class counts of
    the training split), ``data.json`` (what else is known of the training data), ``environment.json``
    (versions, seed, commands), ``metrics.jsonl``, ``checkpoints/last.pt``, the ones before it as
    ``last.1.pt`` and so on, ``checkpoints/best.pt``, ``tensorboard/``. A folder of `pointseg export` has
    ``config.yaml``, ``label_space.json`` and ``class_statistics.json`` and is read alike; its weights are
    those of :mod:`pointseg.runs.exported`.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        self.config = self.path / "config.yaml"
        self.label_space = self.path / "label_space.json"
        self.class_statistics = self.path / "class_statistics.json"
        self.data = self.path / "data.json"
        self.environment = self.path / "environment.json"
        self.metrics = self.path / "metrics.jsonl"
        self.checkpoints = self.path / "checkpoints"
        self.last = self.checkpoints / "last.pt"
        self.best = self.checkpoints / "best.pt"
        self.tensorboard = self.path / "tensorboard"

    @property
    def is_exported(self) -> bool:
        """Whether this is a model of `pointseg export`: nothing is written into it."""
        return (self.path / MANIFEST).is_file()

    @property
    def pictures(self) -> Path:
        """Folder for pictures of its scenes."""
        return Path("pictures") if self.is_exported else self.path / "pictures"

    def weights(self, checkpoint: Literal["best", "last"] = "best") -> Path:
        """The file to predict with. Where nothing was validated, best is last; a model has but one."""
        if self.is_exported:
            return self.path / WEIGHTS
        return self.best if checkpoint == "best" and self.best.is_file() else self.last

    def older(self, number: int) -> Path:
        """The checkpoint ``number`` savings before last.pt."""
        return self.checkpoints / f"last.{number}.pt"

    @property
    def recent(self) -> list[Path]:
        """The checkpoints that a training could continue from, the newest first."""
        numbered = [file for file in self.checkpoints.glob("last.*.pt") if file.suffixes[0][1:].isdecimal()]
        found = sorted(numbered, key=lambda file: int(file.suffixes[0][1:]))
        return [file for file in (self.last, *found) if file.is_file()]

    def read_experiment(self) -> Experiment:
        """The configuration of the run.

        Raises:
            FileNotFoundError: if this is no folder of a run.
        """
        if not self.config.is_file():
            raise FileNotFoundError(f"{self.path}: not a training run; expected the file {self.config.name}.")
        try:
            return load_config(Experiment, self.config)
        except (ConfigError, UnicodeDecodeError) as error:
            raise ConfigError(
                f"{self.config}: damaged, or of another version of pointseg. Restore it from a copy; without "
                f"one, start over with --no-resume.\n{error}"
            ) from None

    def read_label_space(self) -> LabelSpace:
        """The classes of the run.

        Raises:
            ValueError: if the file is damaged.
        """
        with _readable(self.label_space, _WRITTEN_AGAIN):
            return LabelSpace.from_dict(read_sealed_json(self.label_space))

    def write_class_statistics(self, statistics: ClassStatistics) -> None:
        """Keep the class counts of the training split."""
        counts = {
            "points": statistics.points.tolist(),
            "samples": statistics.samples.tolist(),
            "num_samples": statistics.num_samples,
        }
        write_sealed_json(self.class_statistics, counts, indent=None)

    def read_class_statistics(self) -> ClassStatistics | None:
        """Class counts of the training split; None where the run has not kept them.

        Raises:
            ValueError: if the file is damaged.
        """
        if not self.class_statistics.is_file():
            return None
        with _readable(self.class_statistics, _WRITTEN_AGAIN):
            counts = read_sealed_json(self.class_statistics)
            return ClassStatistics(
                torch.tensor(counts["points"]), torch.tensor(counts["samples"]), int(counts["num_samples"])
            )

    def write_origin(self, origin: Origin) -> None:
        """Keep what is known of the training data."""
        write_sealed_json(self.data, origin.to_dict())

    def read_origin(self) -> Origin | None:
        """What is known of the training data; None where the run has not kept it, being older.

        Raises:
            ValueError: if the file is damaged.
        """
        if not self.data.is_file():
            return None
        with _readable(self.data, "It serves to compare other data with: delete it and go on."):
            return Origin.from_dict(read_sealed_json(self.data))

    def may_continue(self, experiment: Experiment, resume: bool | None) -> bool:
        """Whether to continue from last.pt; False means to start anew.

        Args:
            experiment: what is to be trained.
            resume: True: there must be something to continue. False: start over. None: continue if possible.

        Raises:
            FileNotFoundError: with ``resume=True``, if there is no checkpoint.
            ValueError: if the folder holds a run of another configuration.
        """
        if resume is False:
            return False
        if not self.recent:
            if resume:
                raise FileNotFoundError(f"{self.last}: no such checkpoint, so there is nothing to resume.")
            return False
        differences = compare(self.read_experiment(), experiment)
        if differences:
            raise ValueError(
                f"{self.path} holds a run of another configuration:\n  "
                + "\n  ".join(differences)
                + "\nChoose another folder, or start over in this one with --no-resume, which deletes it."
            )
        return True

    def clear(self) -> None:
        """Remove the files of an earlier run; foreign files are kept."""
        for path in (*self.recent, self.best, self.metrics, self.environment, self.data):
            path.unlink(missing_ok=True)
        shutil.rmtree(self.tensorboard, ignore_errors=True)

    def describe(
        self, experiment: Experiment, label_space: LabelSpace, device: torch.device, step: int
    ) -> None:
        """Write what is being run; environment.json gets one entry for each start or continuation.

        The path of the store is written as an absolute one, so that the run can be evaluated from anywhere.

        Raises:
            ValueError: if environment.json is damaged.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        for folder in (self.path, self.checkpoints):
            remove_partials(folder)
        starts = self.starts()
        data = changed(experiment.data, path=experiment.data.path.resolve())
        write_text(self.config, dump_config(changed(experiment, data=data)))
        write_sealed_json(self.label_space, label_space.to_dict())
        starts.append({"step": step, "seed": experiment.seed, **describe_environment(device)})
        write_sealed_json(self.environment, {"starts": starts})

    def starts(self) -> list[dict[str, Any]]:
        """Versions, command and machine of every start of the run, the first one first.

        Raises:
            ValueError: if the record of them is damaged.
        """
        if not self.environment.is_file():
            return []
        with _readable(self.environment, "It only records how the run was started: delete it and go on."):
            return list(read_sealed_json(self.environment)["starts"])


@contextmanager
def _readable(file: Path, what_to_do: str) -> Iterator[None]:
    """Name the file, and what to do, where what is inside the block cannot read it.

    Raises:
        ValueError: if it cannot.
    """
    try:
        yield
    # RuntimeError: of torch, for lists that are no numbers.
    except (
        ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError, RuntimeError,
    ) as error:  # fmt: skip
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"{file}: not readable, perhaps cut short ({reason}). {what_to_do}") from None


def describe_environment(device: torch.device) -> dict[str, Any]:
    """Versions, command and machine of this process."""
    return {
        "command": shlex.join(sys.argv),
        "pointseg": pointseg.__version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "platform": platform.platform(),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else str(device),
        "cpu_threads": torch.get_num_threads(),
        "processes": int(os.environ.get("WORLD_SIZE", "1")),
    }


def compare(old: Experiment, new: Experiment) -> list[str]:
    """One line for each setting that differs and must not."""
    before, after = _flat(old.model_dump(mode="json")), _flat(new.model_dump(mode="json"))
    # As text, so that a missing key differs from one that is None.
    shown = {key: (_shown(before, key), _shown(after, key)) for key in dict.fromkeys([*before, *after])}
    return [
        f"{key}: {old_value} there, {new_value} now"
        for key, (old_value, new_value) in shown.items()
        if old_value != new_value and key not in FREE_TO_CHANGE
    ]


def _shown(flat: Mapping[str, Any], key: str) -> str:
    return repr(flat[key]) if key in flat else "not set"


def _flat(node: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in node.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list) and value and all(isinstance(item, Mapping) for item in value):
            for i, item in enumerate(value):
                flat |= _flat(item, f"{prefix}{key}.{i}.")
        else:
            flat[prefix + key] = value
    return flat
