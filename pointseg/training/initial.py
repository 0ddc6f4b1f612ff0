"""Weights to start a training from: those of another run, or of a checkpoint that was converted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from pointseg.core.labels import LabelSpace
from pointseg.experiment import Experiment
from pointseg.runs.checkpoint import load_checkpoint
from pointseg.runs.door import open_run
from pointseg.runs.folder import RunFolder
from pointseg.training.freeze import matching
from pointseg.training.state import TrainingState

#: Entries of a Segmenter's weights that depend on the classes: of the main head, and of others.
_HEADS = ("head.", "others.")
#: Settings of the data that give the input channels their meaning.
_MEANING = ("features", "voxel_size_m")


@dataclass(frozen=True)
class InitialWeights:
    """Weights of another training.

    Args:
        path: where they come from, for people.
        weights: state dict of a Segmenter.
        label_space: its classes; None for a checkpoint that lies in no RUN folder.
        experiment: how it was trained; None likewise.
    """

    path: Path
    weights: Mapping[str, Tensor]
    label_space: LabelSpace | None
    experiment: Experiment | None

    @classmethod
    def read(cls, path: Path) -> InitialWeights:
        """The best weights of a RUN folder or a model, or those of a checkpoint file.

        Raises:
            FileNotFoundError: if there is neither.
            ValueError: if the file is no checkpoint of this project.
        """
        if path.is_file() and path.suffix != ".safetensors":
            # Written as RUN/checkpoints/best.pt; elsewhere nothing lies beside it.
            folder, file = RunFolder(path.parent.parent), path
        else:
            folder = open_run(path)
            file = folder.weights()
        has_run = folder.config.is_file()
        experiment = folder.read_experiment() if has_run else None
        label_space = folder.read_label_space() if has_run else None
        return cls(path, load_checkpoint(file)["weights"], label_space, experiment)

    def load_into(self, segmenter: nn.Module, label_space: LabelSpace, experiment: Experiment) -> list[str]:
        """Take over the backbone, and the head as far as its entries fit and the classes are the same.

        Args:
            segmenter: the network that is to be trained; its other weights stay as they are.
            label_space: its classes.
            experiment: how it is to be trained.

        Returns:
            For people: what was taken, and what starts anew and why.

        Raises:
            ValueError: if the backbone is another one, naming every entry that does not fit.
        """
        own = segmenter.state_dict()
        left_anew = matching(own, experiment.train.init_anew, "train.init_anew")
        body = {key for key in own if not key.startswith(_HEADS)}
        given = {key: value for key, value in self.weights.items() if not key.startswith(_HEADS)}
        self._check_backbone({key: own[key] for key in body}, given)
        taken, notes = dict(given), [f"starts from {self.path}: {len(given)} entries of the backbone"]
        head = [key for key in own if key.startswith(_HEADS)]
        reason = self._other_classes(label_space, own)
        fitting = [
            k
            for k in head
            if k not in left_anew and k in self.weights and self.weights[k].shape == own[k].shape
        ]
        if reason is None:
            taken |= {key: self.weights[key] for key in fitting}
            notes.append(f"the head's {', '.join(fitting) or 'entries: none'} too")
        if left_anew:
            taken = {key: value for key, value in taken.items() if key not in left_anew}
            notes.append(f"anew, as train.init_anew says: {', '.join(sorted(left_anew))}")
        anew = [key for key in head if (reason or key not in fitting) and key not in left_anew]
        if anew:
            notes.append(f"anew: {', '.join(anew)}, since {reason or 'the run has none of that shape'}")
        if left := [k for k in self.weights if k.startswith(_HEADS) and k not in own]:
            notes.append(f"left out: {', '.join(left)}, which this head has not")
        segmenter.load_state_dict({**own, **taken})
        return notes + self._other_inputs(experiment)

    def _check_backbone(self, own: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> None:
        problems = [f"{key} is missing" for key in own.keys() - given.keys()]
        problems += [f"{key} has no place" for key in given.keys() - own.keys()]
        problems += [
            f"{key} is {tuple(given[key].shape)} and must be {tuple(own[key].shape)}"
            for key in own.keys() & given.keys()
            if given[key].shape != own[key].shape
        ]
        if problems:
            model = "" if self.experiment is None else f" Its model: {self.experiment.model!r}."
            raise ValueError(
                f"train.init_from: {self.path} holds another backbone; entries that do not fit: "
                f"{len(problems)}\n  "
                + "\n  ".join(sorted(problems)[:20])
                + ("\n  ..." if len(problems) > 20 else "")
                + f"\nSet model and data.features as they were there.{model}"
            )

    def _other_classes(self, label_space: LabelSpace, own: Mapping[str, Tensor]) -> str | None:
        """Why the head cannot be taken over, or None where the classes are the same."""
        if self.label_space is None:
            key = "head.classifier.weight"
            given, wanted = self.weights.get(key), own.get(key)
            if given is None or wanted is None or len(given) == len(wanted):
                return None
            return f"its number of classes is {len(given)} there and {len(wanted)} here"
        there, here = self.label_space, label_space
        if there.num_classes != here.num_classes:
            return f"its number of classes is {there.num_classes} there and {here.num_classes} here"
        if there.raw_ids != here.raw_ids or there.names != here.names:
            return f"the classes of label set {there.name!r} are not those of {here.name!r}"
        return None

    def _other_inputs(self, experiment: Experiment) -> list[str]:
        if self.experiment is None:
            return ["its label set and features are not known: the file lies in no RUN folder"]
        there, here = self.experiment.data, experiment.data
        return [
            f"beware: data.{key} was {getattr(there, key, None)} there and is {getattr(here, key, None)} here"
            for key in _MEANING
            if getattr(there, key, None) != getattr(here, key, None)
        ]


def start_from(
    state: TrainingState, path: Path, label_space: LabelSpace, experiment: Experiment
) -> list[str]:
    """Put the weights of ``train.init_from`` into a state before its first step; what to tell the user.

    Raises: see :meth:`InitialWeights.read` and :meth:`InitialWeights.load_into`.
    """
    segmenter = state.learner.segmenter
    notes = InitialWeights.read(path).load_into(segmenter, label_space, experiment)
    if state.average is not None:
        state.average.network.load_state_dict(segmenter.state_dict())
    return notes


def refuse_to_replace_converted(folder: RunFolder) -> None:
    """Training anew would delete weights that no training of ours can bring back.

    Raises:
        ValueError: if the folder holds converted weights.
    """
    if folder.last.is_file() or not folder.best.is_file():
        return
    if int(load_checkpoint(folder.best, torch.device("cpu"))["step"]) == 0:
        raise ValueError(
            f"{folder.path} holds converted weights and no training to continue. To fine-tune them, choose "
            f"another folder and train.init_from={folder.path}; to start over in this one, which deletes "
            "them, --no-resume."
        )
