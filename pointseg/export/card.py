"""The model card: README.md beside the weights, of nothing but what was measured or said."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pointseg
from pointseg.core.durable import write_text
from pointseg.core.labels import LabelSpace
from pointseg.experiment import Experiment
from pointseg.runs.exported import WEIGHTS

UNSTATED = "not stated; ask who made it before you pass it on"


def write_card(folder: Path, manifest: Mapping[str, Any], experiment: Experiment, labels: LabelSpace) -> None:
    """Write README.md into the folder of a model."""
    write_text(folder / "README.md", card(manifest, experiment, labels, (folder / WEIGHTS).stat().st_size))


def card(manifest: Mapping[str, Any], experiment: Experiment, labels: LabelSpace, size: int) -> str:
    """The model card.

    Args:
        manifest: of the model, see :func:`pointseg.export.export.export_model`.
        experiment: how it was trained.
        labels: its classes.
        size: bytes of its weights.
    """
    sections = (
        _head(manifest, experiment, labels, size),
        _data(manifest),
        _measured(manifest, experiment.data.train_split),
        _rounding(manifest),
        _made(manifest),
        _not_for(manifest),
    )
    return "\n\n".join(sections) + "\n"


def _head(manifest: Mapping[str, Any], experiment: Experiment, labels: LabelSpace, size: int) -> str:
    data = experiment.data
    sees = {name: getattr(data, name, None) for name in ("features", "voxel_size_m")}
    input_ = ", ".join(f"{k} {', '.join(v) if isinstance(v, tuple) else v}" for k, v in sees.items() if v)
    classes = ", ".join(f"{i} {name}" for i, name in zip(labels.raw_ids, labels.names, strict=True))
    return (
        f"# {experiment.name}\n\n{manifest['about']}\n\n"
        f"- **Network**: {experiment.model.type}, for {data.kind}; {size / 1e6:.1f} MB"  # type: ignore[attr-defined]
        f"{f'; it sees {input_}' if input_ else ''}.\n"
        f"- **Classes** (raw ids of label set {labels.name}): {classes}.\n"
        f"- **Use**: `pointseg predict FOLDER FILE -o OUT`, with this folder, or its name if it came with "
        "pointseg."
    )


def _data(manifest: Mapping[str, Any]) -> str:
    scenes, points = manifest["trained_scenes"], manifest["trained_points"]
    count = "" if scenes is None else f" ({scenes:,} scenes, {points:,} labelled points to train on)"
    return (
        f"## Data\n\n- **Trained on**: {manifest['trained_on']}{count}.\n"
        f"- **Licence of the data**: {manifest['licence'] or UNSTATED}.\n"
        f"- **Attribution**: {manifest['attribution'] or UNSTATED}."
    )


def _measured(manifest: Mapping[str, Any], train_split: str) -> str:
    found = manifest["evaluation"]
    if found is None:
        return "## Measured\n\nNothing: no evaluation was given to `pointseg export`."
    rows = [
        f"| {row['name']} | {_percent(row['iou'])} | {row['tp'] + row['fn']:,} |" for row in found["classes"]
    ]
    means = ", ".join(f"{name} {_percent(value)}" for name, value in found["miou"].items())
    views = f"{found['views']} view" + ("s" if found["views"] > 1 else "")
    seen = "held out: no training step has seen it. Where it also chose among checkpoints, these numbers are "
    seen = "trained on" if found["split"] == train_split else f"{seen}a little too good"
    accuracy = f"overall accuracy {_percent(found['overall_accuracy'])} %"
    return (
        f"## Measured\n\nOn {found['num_scenes']} scenes of split *{found['split']}* with {views}, before "
        f"the weights were rounded: mean IoU in % {means}; {accuracy}. That split was {seen}.\n\n"
        "| class | IoU, % | labelled points |\n|---|---|---|\n" + "\n".join(rows)
    )


def _rounding(manifest: Mapping[str, Any]) -> str:
    found = manifest["rounding"]
    if found is None:
        return "## Rounding\n\nWeights are float16. How many labels that changes was not measured."
    share = 100 * found["other_label"] / found["rows"]
    return (
        f"## Rounding\n\nKernels and matrices are float16, and computed with in float32. Beside the exact "
        f"weights {found['other_label']:,} of {found['rows']:,} {found['unit']} get another label "
        f"({share:.3f} %; {found['scenes']} scenes of split *{found['split']}*)."
    )


def _made(manifest: Mapping[str, Any]) -> str:
    command = manifest["command"]
    how = f"`{command}`" if command else "A training from Python; config.yaml has all settings"
    return f"## Made by\n\n{how}, {manifest['step']:,} steps, exported by pointseg {pointseg.__version__}."


def _not_for(manifest: Mapping[str, Any]) -> str:
    given = [str(sentence).rstrip(".") + "." for sentence in manifest["not_for"]]
    always = [
        "Data of another sensor, density, place or season than those above: nothing was measured there.",
        "Decisions that nobody checks: look at the IoU of each class first.",
    ]
    return "## Not for\n\n" + "\n".join(f"- {sentence}" for sentence in [*given, *always])


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
