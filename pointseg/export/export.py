"""`pointseg export`: the network of a run as a small folder that others open by its name."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rich.console import Console

from pointseg.config import changed, dump_config
from pointseg.core.destination import check_destination_folder
from pointseg.core.durable import write_text
from pointseg.experiment import Experiment
from pointseg.export.card import write_card
from pointseg.formats.sealed import read_sealed_json, write_sealed_json
from pointseg.formats.text import read_json
from pointseg.prediction.predict import predict_scenes
from pointseg.runs.checkpoint import TrainedRun, load_checkpoint, load_run
from pointseg.runs.door import open_run
from pointseg.runs.exported import MANIFEST, WEIGHTS, read_manifest, rounded, write_exported
from pointseg.runs.folder import RunFolder


@dataclass(frozen=True)
class Facts:
    """What only people know of a model.

    Args:
        about: what it labels, in one line.
        trained_on: the data; their label set is named if None.
        licence: of the data.
        attribution: whom the licence wants named.
        not_for: what it is not for, a sentence each.
    """

    about: str
    trained_on: str | None = None
    licence: str | None = None
    attribution: str | None = None
    not_for: tuple[str, ...] = ()


def export_model(
    run: Path | str,
    out: Path,
    facts: Facts,
    *,
    evaluation: Path | None = None,
    split: str | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data: Path | None = None,
    device: str = "auto",
    console: Console | None = None,
) -> dict[str, Any]:
    """The verb: write a model, and measure how many labels its rounded weights change.

    That is measured on the scenes of a split where its data are there; if they are not, the card says so.

    Args:
        run: RUN folder.
        out: new folder; see :mod:`pointseg.runs.exported` for what is in it.
        facts: for the card.
        evaluation: JSON of `pointseg evaluate RUN --json` with the same weights.
        split: split to compare labels on; that of the run's validation if None.
        checkpoint: ``best`` or ``last``.
        data: data to compare on; those of the run's configuration if None.
        device: where to predict.
        console: where to say what was written.

    Returns:
        The manifest.

    Raises:
        FileNotFoundError: if there is no such run, or no data at ``data``.
        FileExistsError: if ``out`` holds files.
        ValueError: for facts of more than a line, an evaluation of another run, or weights that float16
            cannot hold.
    """
    _check(facts)
    check_destination_folder(out)
    if out.is_dir() and any(out.iterdir()):
        raise FileExistsError(f"{out}: holds files already; choose a new folder.")
    folder, trained = open_run(run), load_run(run, checkpoint=checkpoint, device=device)
    found = None if evaluation is None else read_evaluation(evaluation, trained)
    file = folder.weights(checkpoint)
    weights = rounded(load_checkpoint(file)["weights"])
    statistics = folder.read_class_statistics()
    experiment = portable(trained)
    out.mkdir(parents=True, exist_ok=True)
    model = RunFolder(out)
    write_text(model.config, dump_config(experiment))
    write_sealed_json(model.label_space, trained.label_space.to_dict())
    if statistics is not None:
        model.write_class_statistics(statistics)
    if trained.origin is not None:
        model.write_origin(trained.origin)
    from_training = {
        "trained_scenes": None if statistics is None else statistics.num_samples,
        "trained_points": None if statistics is None else int(statistics.points.sum()),
        "command": made_by(folder),
    }
    said: dict[str, Any] = {
        "about": facts.about,
        "step": trained.step,
        "trained_on": facts.trained_on or trained.label_space.name,
        "licence": facts.licence,
        "attribution": facts.attribution,
        "not_for": list(facts.not_for),
        **from_training,
        "evaluation": found,
        "rounding": None,
    }
    write_exported(out, weights, said)
    source = _data(trained, data)
    if source is not None:
        said["rounding"] = measure_rounding(trained, load_run(out, device=device), source, split)
        write_exported(out, weights, said)
    manifest = read_manifest(out)
    write_card(out, manifest, experiment, trained.label_space)
    if console is not None:
        _tell(console, out, manifest)
    return manifest


def portable(trained: TrainedRun) -> Experiment:
    """The configuration without what belongs to the machine, or to weights that the training began with."""
    experiment = trained.experiment
    train = changed(experiment.train, init_from=None, init_anew=(), freeze=(), workers=0, num_threads=None)
    path = Path("data") / trained.label_space.name
    return changed(experiment, data=changed(experiment.data, path=path), train=train, engine="auto")


def made_by(folder: RunFolder) -> str | None:
    """The command of the training, with the last part of absolute paths; None where none started it."""
    if folder.is_exported:
        known = read_manifest(folder.path).get("command")
        return known if isinstance(known, str) else None
    if not folder.environment.is_file():
        return None
    starts = read_sealed_json(folder.environment).get("starts") or [{}]
    words = shlex.split(str(starts[0].get("command", "")))
    if len(words) < 2 or words[1] != "train":
        return None
    return shlex.join(["pointseg", *(_without_folders(word) for word in words[1:])])


def _without_folders(word: str) -> str:
    key, sign, value = word.rpartition("=")
    return f"{key}{sign}{Path(value).name}" if Path(value).is_absolute() else word


def read_evaluation(path: Path, trained: TrainedRun) -> dict[str, Any]:
    """What the card says of an evaluation.

    Raises:
        FileNotFoundError: if there is no file.
        ValueError: if it is no evaluation, or of other classes or other weights than those of the run.
    """
    content = read_json(path)
    wanted = {"split", "step", "views", "miou", "classes", "num_scenes", "num_vertices", "overall_accuracy"}
    if not isinstance(content, dict) or not wanted <= set(content):
        raise ValueError(f"{path}: expected what `pointseg evaluate RUN --json FILE` writes.")
    names = tuple(row["name"] for row in content["classes"])
    if names != trained.label_space.names:
        raise ValueError(f"{path}: an evaluation of other classes than those of this run.")
    if content["step"] != trained.step:
        raise ValueError(
            f"{path}: an evaluation of weights after step {content['step']}; these are of step "
            f"{trained.step}. Evaluate the run again, with the same --checkpoint."
        )
    kept = {key: content[key] for key in sorted(wanted - {"classes"})}
    keys = ("raw_id", "name", "iou", "tp", "fn")
    return {**kept, "classes": [{key: row[key] for key in keys} for row in content["classes"]]}


def measure_rounding(exact: TrainedRun, small: TrainedRun, source: Any, split: str | None) -> dict[str, Any]:
    """How many labels the rounded weights change, over all vertices of a split.

    Raises:
        ValueError: if there is no such split, or it has no vertex.
    """
    split = split or exact.experiment.data.val_split
    if split is None:
        raise ValueError("the run validated on nothing: say with --split where to compare labels.")
    options, names = exact.experiment.evaluate, source.scene_names(split)
    rows = other = 0
    for name in names:
        scene = source.load(name)
        labels = [
            next(
                predict_scenes(
                    run.segmenter,
                    run.pipeline,
                    [scene],
                    views=options.views,
                    max_tile_points=options.max_tile_points,
                )
            ).train_index
            for run in (exact, small)
        ]
        rows += len(labels[0])
        other += int((labels[0] != labels[1]).sum())
    if not rows:
        raise ValueError(f"{source.path}: split {split!r} has no {source.unit} to compare labels on.")
    return {"split": split, "scenes": len(names), "rows": rows, "other_label": other, "unit": source.unit}


def _data(trained: TrainedRun, path: Path | None) -> Any:
    """The data to compare on; None where nobody named them and those of the training are not here."""
    if path is not None:
        return trained.open_data(path)
    try:
        return trained.open_data()
    except FileNotFoundError:
        return None


def _check(facts: Facts) -> None:
    """Raises ValueError for what is empty or has more than a line, where the card has a line for it."""
    values = {**vars(facts), "not_for": "; ".join(facts.not_for) or None}
    for name, value in values.items():
        if value is not None and (not value.strip() or "\n" in value):
            option = f"--{name.replace('_', '-')}"
            raise ValueError(f"{option}: expected one line of text; got {value!r}.")


def _tell(console: Console, out: Path, manifest: dict[str, Any]) -> None:
    size = (out / WEIGHTS).stat().st_size / 1e6
    console.print(f"{out}: {WEIGHTS} ({size:.1f} MB), {MANIFEST}, README.md", highlight=False, soft_wrap=True)
    rounding = manifest["rounding"]
    if rounding is None:
        console.print("The data are not here: how many labels float16 changes was not measured (--data).")
    else:
        other, rows = rounding["other_label"], rounding["rows"]
        console.print(
            f"float16 changes {other:,} of {rows:,} labels ({100 * other / rows:.3f} %)",
            highlight=False,
        )
    for name in ("licence", "attribution", "evaluation"):
        if manifest[name] is None:
            console.print(f"The card says nothing of the {name}: give --{name}.", style="yellow")
