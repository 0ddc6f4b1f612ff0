"""Checkpoints on disk, verified when read, and load_run: a trained network ready to predict."""

from __future__ import annotations

import errno
import os
import pickle
import shutil
import struct
import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pointseg.config import changed
from pointseg.core.distributed import choose_device
from pointseg.core.durable import writing
from pointseg.core.labels import LabelSpace
from pointseg.data.kind import DataFile, Pipeline
from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.formats.text import impostor
from pointseg.models.precision import Amp, check_amp
from pointseg.models.segmenter import Segmenter
from pointseg.runs.door import open_run
from pointseg.runs.exported import read_exported
from pointseg.runs.folder import RunFolder
from pointseg.runs.origin import Origin
from pointseg.sparse.engines import check_engine, known_engine

#: What torch.load raises for files that are none of its own, damaged, or cut.
BAD_CHECKPOINT = (
    pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, TypeError, IndexError,
    AttributeError, OverflowError, MemoryError, ImportError, zipfile.BadZipFile, struct.error, zlib.error,
)  # fmt: skip
#: Version of the layout of a checkpoint.
FORMAT = 1


@dataclass(frozen=True)
class TrainedRun:
    """A trained network and what it needs to predict.

    Args:
        experiment: how it was trained.
        label_space: its classes.
        segmenter: the network in evaluation mode, with the averaged weights if it was trained with them.
        pipeline: makes its batches, on ``device``.
        device: where it runs.
        step: optimiser steps behind the weights.
        origin: what is known of the training data, or None.
    """

    experiment: Experiment
    label_space: LabelSpace
    segmenter: Segmenter
    pipeline: Pipeline
    device: torch.device
    step: int
    origin: Origin | None = None

    def __repr__(self) -> str:
        return f"TrainedRun({self.experiment!r}, {self.label_space!r}, step {self.step}, {self.device})"

    def open_data(self, path: Path | None = None) -> Source:
        """The data of the training, or those at another path in the same layout.

        Raises:
            FileNotFoundError: if there are none.
            ValueError: if they are prepared for other classes, whose ids would be taken for those of the run.
        """
        data = self.experiment.data
        source = (data if path is None else changed(data, path=path)).open()
        if reason := _foreign(source.label_space, self.label_space):
            raise ValueError(
                f"{source.path} is prepared for label set {source.label_space.name!r}, the run was trained "
                f"for {self.label_space.name!r}, with other classes: {reason}. Prepare the scenes with the "
                "run's label set: label_space.json in its folder lists ids and names, and `pointseg prepare "
                "custom --classes` maps ids to others."
            )
        return source

    def doubts_about(self, source: Source, names: Sequence[str]) -> list[str]:
        """How members of a data set differ from what the run was trained on, for people."""
        return [] if self.origin is None else self.origin.doubts_about(source, names)

    def doubts_about_file(self, file: DataFile) -> list[str]:
        """How a single file differs from what the run was trained on, for people."""
        if self.origin is None:
            return list(file.guesses.values())
        return self.origin.doubts_about_file(file)


def _foreign(data: LabelSpace, run: LabelSpace) -> str | None:
    """Why ids of the data are not those of the run; None where each means the same to both.

    Rows are compared by raw id, so the order of the classes is free, and data need not have all of them. A
    class that the run does not know would be left out of every number without a word.
    """
    known = dict(zip(run.raw_ids, run.names, strict=True))
    here = dict(zip(data.raw_ids, data.names, strict=True))
    unknown = [f"{raw_id} {name!r}" for raw_id, name in here.items() if raw_id not in known]
    if unknown:
        more = f" and {len(unknown) - 3} more" if len(unknown) > 3 else ""
        return f"the run does not know {', '.join(unknown[:3])}{more}"
    for raw_id, name in here.items():
        if name.casefold() != known[raw_id].casefold():
            return f"{raw_id} is {name!r} there and {known[raw_id]!r} in the run"
    if data.unlabelled_raw_id in known:
        return (
            f"{data.unlabelled_raw_id} is unlabelled there and {known[data.unlabelled_raw_id]!r} in the run"
        )
    if run.unlabelled_raw_id in here:
        return f"{run.unlabelled_raw_id} is {here[run.unlabelled_raw_id]!r} there and unlabelled in the run"
    return None


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, texts and containers of them; the file is there whole or not at all."""
    with writing(path) as stream:
        torch.save({"format": FORMAT, **state}, stream)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint, or the weights of an exported model; only data is loaded, never code, and every byte
    of it is checked.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is no checkpoint of this project, is damaged, or is of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint.")
    if path.suffix == ".safetensors":
        return read_exported(path, device)
    try:
        _check_sums(path)
        state = torch.load(path, map_location=device, weights_only=True)
    except BAD_CHECKPOINT as error:
        reason = f"it is {instead}" if (instead := impostor(path)) else str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a readable checkpoint ({reason}).") from None
    found = state.get("format") if isinstance(state, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise ValueError(
            f"{path}: checkpoint format {found} is newer than this pointseg, which reads format {FORMAT}. "
            "Update pointseg."
        )
    if found != FORMAT:
        raise ValueError(f"{path}: expected a checkpoint of format {FORMAT}; got {found}.")
    return dict(state)


def _check_sums(path: Path) -> None:
    """Compare the CRC-32 of everything in a checkpoint; torch writes it and never looks at it again.

    Raises:
        ValueError: if one differs.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
    except OSError as error:
        # A damaged index points before the file's beginning; a failing disk says so itself.
        if error.errno != errno.EINVAL:
            raise
        raise ValueError("damaged: its index is not what was written") from None
    if damaged is not None:
        raise ValueError(f"damaged: {damaged} in it is not what was written")


def save_last(folder: RunFolder, state: dict[str, Any], *, keep: int) -> None:
    """Write last.pt; the one that it replaces is kept as last.1.pt, and so on.

    Args:
        folder: of the run.
        state: see :func:`save_checkpoint`.
        keep: how many there are at most, last.pt counted.
    """
    for number in range(keep - 1, 1, -1):
        if folder.older(number - 1).is_file():
            folder.older(number - 1).replace(folder.older(number))
    if keep > 1 and folder.last.is_file():
        # A second name rather than a new one: there is a last.pt at every moment.
        _second_name(folder.last, folder.older(1))
    save_checkpoint(folder.last, state)


def _second_name(file: Path, name: Path) -> None:
    name.unlink(missing_ok=True)
    try:
        os.link(file, name)
    except OSError:
        # Not every file system has links.
        shutil.copyfile(file, name)


def load_newest(folder: RunFolder, device: torch.device | str = "cpu") -> tuple[dict[str, Any], list[str]]:
    """The newest checkpoint of a run that is whole, and what to tell people of those that are not.

    Raises:
        FileNotFoundError: if there is none.
        ValueError: if all are damaged.
    """
    problems: list[str] = []
    for file in folder.recent:
        try:
            state = load_checkpoint(file, device)
        except ValueError as error:
            problems.append(str(error))
            continue
        if problems:
            problems.append(f"continues from {file.name} instead, step {int(state['step'])}")
        return state, [f"beware: {line}" for line in problems]
    if not problems:
        raise FileNotFoundError(f"{folder.last}: no such checkpoint.")
    listed = "\n  ".join(problems)
    raise ValueError(
        f"{folder.path}: no whole checkpoint to continue from:\n  {listed}\nRestore one from a copy, or "
        "start over with --no-resume."
    )


def load_run(
    path: Path | str,
    *,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    logit_adjustment_tau: float | None = None,
    tau_normalisation: float | None = None,
    engine: str | None = None,
    amp: Amp | None = None,
) -> TrainedRun:
    """The network of a RUN folder or a model, ready for :func:`pointseg.prediction.predict.predict_scene`.

    Args:
        path: folder that ``pointseg train`` wrote, name of a shipped model, or another word of
            :mod:`pointseg.runs.door`.
        checkpoint: ``best`` by validation mIoU, or ``last``. Where nothing was validated, best is last; a
            model has but one.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        logit_adjustment_tau: strength of the post-hoc logit adjustment; as configured if None.
        tau_normalisation: that of the post-hoc normalisation of the classifier; as configured if None.
        engine: what convolves, see pointseg.sparse.ENGINES; as configured if None.
        amp: type of the forward pass, ``none``, ``bf16`` or ``fp16``; as configured if None.

    Raises:
        FileNotFoundError: if there is no run, or it has not saved a checkpoint yet.
        ValueError: for an unknown checkpoint name or device, a damaged file, or where logits are to be
            adjusted of a run without class counts, or with losses that have done so.
    """
    if checkpoint not in ("best", "last"):
        raise ValueError(f"checkpoint must be 'best' or 'last'; got {checkpoint!r}.")
    folder = open_run(path)
    experiment, label_space = folder.read_experiment(), folder.read_label_space()
    updates: dict[str, Any] = {"model": experiment.model.trained()}
    asked = {
        "logit_adjustment_tau": logit_adjustment_tau,
        "tau_normalisation": tau_normalisation,
        "amp": amp,
    }
    if given := {name: value for name, value in asked.items() if value is not None}:
        updates["evaluate"] = changed(experiment.evaluate, **given)
    if engine is not None:
        updates["engine"] = known_engine(engine)
    experiment = changed(experiment, **updates)
    chosen = choose_device(device)
    check_engine(experiment.engine, chosen)
    check_amp(experiment.evaluate.amp, chosen, option="evaluate.amp")
    file = folder.weights(checkpoint)
    state = load_checkpoint(file, chosen)
    pipeline = experiment.build_pipeline(label_space, chosen)
    segmenter = experiment.build_segmenter(
        pipeline.num_features, label_space.num_classes, folder.read_class_statistics()
    )
    try:
        segmenter.load_state_dict(state["weights"])
    except RuntimeError as error:
        raise ValueError(
            f"{file}: its weights are not those of the network that {folder.config} describes; restore both "
            f"from one copy.\n{error}"
        ) from None
    segmenter.to(chosen).eval().requires_grad_(False)
    step, origin = int(state["step"]), folder.read_origin()
    return TrainedRun(experiment, label_space, segmenter, pipeline, chosen, step, origin)
