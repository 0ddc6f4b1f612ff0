"""`pointseg convert`: public checkpoints become RUN folders, and runs become public state dicts."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from safetensors import SafetensorError
from safetensors.torch import load_file

from pointseg.config import load_config
from pointseg.convert.public_layout import LAYOUTS, Origin
from pointseg.convert.weights import PublicWeights, read_public, write_public
from pointseg.core.destination import check_destination, check_destination_folder, naming
from pointseg.core.durable import writing
from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import LabelSpace
from pointseg.experiment import Experiment
from pointseg.formats.text import impostor, unreadable
from pointseg.models.heads import LinearHead
from pointseg.models.minkunet import MinkUNetConfig
from pointseg.runs.checkpoint import BAD_CHECKPOINT, load_run, save_checkpoint
from pointseg.runs.folder import RunFolder
from pointseg.scans.dataset import StoreData
from pointseg.scans.features import COLOR_SCALES, WIDTHS, check_features

#: What the networks of a code base see, by the number of their input channels.
FEATURES: dict[Origin, dict[int, tuple[str, ...]]] = {
    "minkowski": {3: ("color_half",), 9: ("coord", "color", "normal")},
    "sts": {3: ("color_half",)},
    "spconv": {6: ("color", "normal"), 9: ("coord", "color", "normal")},
    "spconv_v1m2": {6: ("color", "normal"), 9: ("coord", "color", "normal")},
}
#: The label sets of ScanNet, by their number of classes; public code bases order them by raw id, as we do.
LABELS = {200: "scannet200", 20: "scannet20"}


def convert(
    checkpoint: Path,
    out: Path,
    origin: Origin,
    *,
    labels: str | None = None,
    voxel_size_m: float = 0.02,
    features: Sequence[str] | None = None,
    data: Path | None = None,
    overrides: Sequence[str] = (),
    console: Console | None = None,
) -> Experiment:
    """The verb: write a RUN folder with the weights of a public checkpoint.

    Args:
        checkpoint: file of ``torch.save`` or .safetensors.
        out: new RUN folder.
        origin: whose checkpoint it is.
        labels: label set; ScanNet's of as many classes if None.
        voxel_size_m: edge of a voxel in metres.
        features: what the network sees of a voxel; those of the code base for as many channels if None.
        data: store that the run names; ``data/<labels>`` if None.
        overrides: ``key=value`` differences to the configuration.
        console: where to say what was read off the file and what was assumed.

    Raises:
        FileExistsError: if ``out`` holds a run.
        ValueError: if the checkpoint is no such network, or labels or features do not fit it.
    """
    check_destination_folder(out)
    folder = RunFolder(out)
    if folder.config.exists():
        raise FileExistsError(f"{out} holds a run already; choose a new folder.")
    weights = read_public(read_weights(checkpoint), origin)
    space = _label_space(labels, weights.num_classes)
    names = _features(features, weights.in_channels, origin)
    settings = _settings(weights, names, checkpoint.stem, data or Path("data") / space.name, voxel_size_m)
    experiment = load_config(Experiment, None, overrides, data=settings)
    segmenter = experiment.build_segmenter(weights.in_channels, space.num_classes)
    if not isinstance(segmenter.head, LinearHead):
        raise ValueError("head: public checkpoints have a linear classifier; leave head as it is.")
    segmenter.backbone.load_state_dict(weights.backbone)
    segmenter.head.classifier.load_state_dict(weights.classifier)
    folder.describe(experiment, space, torch.device("cpu"), 0)
    # best.pt alone: there is no state of a training to continue.
    save_checkpoint(folder.best, {"step": 0, "weights": segmenter.state_dict()})
    if console is not None:
        _tell(console, weights, experiment, space, out, origin)
    return experiment


def export(
    run: Path, out: Path, origin: Origin, *, console: Console | None = None
) -> dict[str, torch.Tensor]:
    """The verb the other way: the weights of a run as a state dict of another code base.

    Raises:
        FileExistsError: if ``out`` exists.
        ValueError: if the run's network or head is none of theirs.
    """
    if out.exists():
        raise FileExistsError(f"{out} exists; choose another name.")
    check_destination(out)
    trained = load_run(run, device="cpu")
    head = trained.segmenter.head
    model = trained.experiment.model
    if not isinstance(model, MinkUNetConfig):
        raise ValueError(f"{run}: only a MinkUNet has a public form to be written in.")
    if not isinstance(head, LinearHead):
        raise ValueError(f"{run}: only a linear classifier can be written; this run has another head.")
    state = write_public(trained.segmenter.backbone, head.classifier.state_dict(), origin)
    with naming(out), writing(out) as stream:
        torch.save({"state_dict": state}, stream)
    if console is not None:
        options = model.resolved()
        said = ", ".join(f"{key} {options[key]}" for key in ("bn_eps", "bn_momentum", "final_relu"))
        console.print(f"{out}: {len(state)} entries under state_dict. Their network must have {said}.")
    return state


def read_weights(path: Path) -> Mapping[str, Any]:
    """The content of a checkpoint; only data is loaded, never code.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it cannot be read as data.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint.")
    if path.suffix == ".safetensors":
        try:
            loaded: Mapping[str, Any] = load_file(path)
        except (SafetensorError, OSError, ValueError, KeyError, MemoryError) as error:
            raise unreadable(path, "safetensors", f"{error}; was it downloaded whole?") from None
        return loaded
    try:
        with torch.serialization.safe_globals(_plain_types()):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (*BAD_CHECKPOINT, OSError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        if impostor(path):
            raise unreadable(path, "a checkpoint", reason) from None
        raise ValueError(
            f"{path}: not readable as data alone ({reason}). If you trust the file, keep its weights only: "
            "torch.save({'state_dict': torch.load(FILE, weights_only=False)['state_dict']}, NEW)."
        ) from None
    if not isinstance(content, Mapping):
        raise ValueError(f"{path}: expected names and tensors; got {type(content).__name__}.")
    return content


def _plain_types() -> list[Any]:
    """Types of numbers and options that trainers save beside the weights; building one runs no code."""
    # Scores are often numpy numbers; numpy 1 names the module differently.
    scalar = np.float64(0).__reduce__()[0]
    dtypes = [type(np.dtype(kind)) for kind in ("f8", "f4", "i8", "i4", "?")]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *dtypes, argparse.Namespace]


def _settings(
    weights: PublicWeights, names: tuple[str, ...], name: str, store: Path, voxel_size_m: float
) -> dict[str, Any]:
    """The configuration of the run, as YAML would say it."""
    settings: dict[str, Any] = {
        "name": name,
        "data": {
            "type": "store",
            "path": str(store),
            "voxel_size_m": voxel_size_m,
            "features": list(names),
        },
        "model": weights.model.model_dump(mode="json", exclude_none=True),
        "train": {"steps": 1},
    }
    if "coord" in names:
        # Pointcept centers a scene before and after it is voxelised; evaluation applies these shifts.
        before, after = {"type": "center_shift"}, {"type": "center_shift", "z": "keep"}
        settings["augment"] = [before, {"type": "voxelize"}, after]
    return settings


def _label_space(labels: str | None, num_classes: int) -> LabelSpace:
    name = labels or LABELS.get(num_classes)
    if name is None:
        raise ValueError(
            f"The checkpoint has {num_classes} classes, which is no label set of ScanNet; say which with "
            "--labels label_space.json."
        )
    space = find_label_space(name)
    if space.num_classes != num_classes:
        raise ValueError(
            f"The checkpoint has {num_classes} classes, label set {space.name!r} has {space.num_classes}; "
            "choose another one with --labels."
        )
    return space


def _features(features: Sequence[str] | None, channels: int, origin: Origin) -> tuple[str, ...]:
    names = tuple(features) if features else FEATURES[origin].get(channels)
    known = ", ".join(f"{name} ({width})" for name, width in WIDTHS.items())
    if names is None:
        raise ValueError(
            f"The network has {channels} input channels; name them in order with --features: {known}."
        )
    width = sum(WIDTHS[name] for name in check_features(names))
    if width != channels:
        raise ValueError(
            f"The network has {channels} input channels; features {', '.join(names)} have {width}. Channels: "
            f"{known}."
        )
    return names


def _tell(
    console: Console,
    weights: PublicWeights,
    experiment: Experiment,
    space: LabelSpace,
    out: Path,
    origin: Origin,
) -> None:
    """What was read off the checkpoint, what was assumed, and what was left out."""

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    model, data = experiment.model, experiment.data
    assert isinstance(model, MinkUNetConfig) and isinstance(data, StoreData)
    options = model.resolved()
    read = ("widths", "blocks", "stem_channels", "stem_kernel", "widen")
    say(f"read off: {weights.in_channels} input channels, {space.num_classes} classes,")
    say("  " + ", ".join(f"{key} {options[key]}" for key in read))
    assumed = {key: options[key] for key in ("bn_eps", "bn_momentum", "final_relu")}
    assumed |= {"labels": space.name, "voxel_size_m": data.voxel_size_m}
    assumed["features"] = ", ".join(data.features)
    say("assumed: " + ", ".join(f"{key} {value}" for key, value in assumed.items()))
    say(f"assumed order of a kernel's taps: {LAYOUTS[origin].says}")
    for name in data.features:
        if name in COLOR_SCALES:
            say(f"assumed colour: {name} is {COLOR_SCALES[name]}; other scales: --features")
    for note in weights.notes:
        say(f"note: {note}")
    say(f"mapped: {len(weights.backbone) + len(weights.classifier)} entries; unused: {len(weights.unused)}")
    for key, reason in weights.unused.items():
        say(f"  {key}: {reason}")
    say(f"{out}: a run; `pointseg evaluate {out} --data STORE` says whether what was assumed is right.")
