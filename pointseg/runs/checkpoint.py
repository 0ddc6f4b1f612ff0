"""Checkpoints on disk, and load_run: a trained network ready to predict."""

from __future__ import annotations

import pickle
import struct
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

from pointseg.config import changed
from pointseg.core.distributed import choose_device
from pointseg.core.durable import writing
from pointseg.core.labels import LabelSpace
from pointseg.data.kind import Pipeline
from pointseg.data.source import Source
from pointseg.experiment import Experiment
from pointseg.formats.text import impostor
from pointseg.models.precision import Amp, check_amp
from pointseg.models.segmenter import Segmenter
from pointseg.runs.folder import RunFolder
from pointseg.sparse.engines import check_engine, known_engine

#: What torch.load raises for files that are none of its own, damaged, or cut.
BAD_CHECKPOINT = (
    pickle.UnpicklingError, RuntimeError, EOFError, KeyError, ValueError, TypeError, IndexError,
    AttributeError, OverflowError, MemoryError, ImportError, zipfile.BadZipFile, struct.error,
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
    """

    experiment: Experiment
    label_space: LabelSpace
    segmenter: Segmenter
    pipeline: Pipeline
    device: torch.device
    step: int

    def __repr__(self) -> str:
        return f"TrainedRun({self.experiment!r}, {self.label_space!r}, step {self.step}, {self.device})"

    def open_data(self, path: Path | None = None) -> Source:
        """The data of the training, or those at another path in the same layout."""
        data = self.experiment.data
        return (data if path is None else changed(data, path=path)).open()


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Write tensors, numbers, texts and containers of them; the file is there whole or not at all."""
    with writing(path) as stream:
        torch.save({"format": FORMAT, **state}, stream)


def load_checkpoint(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """Read a checkpoint; only data is loaded, never code.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is no checkpoint of this project or of another format.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint.")
    try:
        state = torch.load(path, map_location=device, weights_only=True)
    except BAD_CHECKPOINT as error:
        reason = f"it is {instead}" if (instead := impostor(path)) else str(error).partition("\n")[0]
        raise ValueError(f"{path}: not a readable checkpoint ({reason}).") from None
    found = state.get("format") if isinstance(state, dict) else None
    if found != FORMAT:
        raise ValueError(f"{path}: expected a checkpoint of format {FORMAT}; got {found}.")
    return dict(state)


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
    """The network of a RUN folder, ready for :func:`pointseg.prediction.predict.predict_scene`.

    Args:
        path: folder that ``pointseg train`` wrote.
        checkpoint: ``best`` by validation mIoU, or ``last``. Where nothing was validated, best is last.
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
    folder = RunFolder(path)
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
    file = folder.best if checkpoint == "best" and folder.best.is_file() else folder.last
    state = load_checkpoint(file, chosen)
    pipeline = experiment.build_pipeline(label_space, chosen)
    segmenter = experiment.build_segmenter(
        pipeline.num_features, label_space.num_classes, folder.read_class_statistics()
    )
    segmenter.load_state_dict(state["weights"])
    segmenter.to(chosen).eval().requires_grad_(False)
    return TrainedRun(experiment, label_space, segmenter, pipeline, chosen, int(state["step"]))
