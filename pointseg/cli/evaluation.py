"""Verbs that measure: evaluate, score."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Amp, Checkpoint, ConfiguredViews, Data, Device, Engine, Run


@app.command()
def evaluate(
    run: Run,
    split: Annotated[str, typer.Option(help="Labelled split of the store.")] = "val",
    views: ConfiguredViews = None,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    device: Device = "auto",
    engine: Engine = None,
    amp: Amp = None,
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
    save_text: Annotated[
        Path | None,
        typer.Option(help="Write pred/<scene>.txt and gt/<scene>.txt here, for `pointseg score`."),
    ] = None,
    classes: Annotated[bool, typer.Option("--classes", help="Print every class.")] = False,
    logit_adjustment_tau: Annotated[
        float | None,
        typer.Option(
            help="Post-hoc logit adjustment: take tau log pi from the logits; as configured if not given."
        ),
    ] = None,
    tau_normalisation: Annotated[
        float | None,
        typer.Option(
            min=0,
            help="Post-hoc normalisation of the classifier: w / |w|^tau; as configured if not given.",
        ),
    ] = None,
) -> None:
    """Evaluate a trained run on every vertex of a split."""
    from pointseg.evaluation.evaluate import evaluate

    evaluate(
        run,
        split=split,
        views=views,
        checkpoint=checkpoint,
        data=data,
        device=device,
        engine=engine,
        amp=amp,
        json_path=json,
        save_text=save_text,
        classes=classes,
        logit_adjustment_tau=logit_adjustment_tau,
        tau_normalisation=tau_normalisation,
    )


@app.command()
def score(
    pred: Annotated[Path, typer.Option(help="Folder of <scene>.txt predictions, one raw id per line.")],
    gt: Annotated[Path, typer.Option(help="Folder of <scene>.txt ground truth.")],
    labels: Annotated[str, typer.Option(help="scannet200, scannet20 or a label_space.json.")] = "scannet200",
    json: Annotated[Path | None, typer.Option(help="Also write the numbers to this file.")] = None,
    classes: Annotated[bool, typer.Option("--classes", help="Print every class.")] = False,
) -> None:
    """Score text files as the official ScanNet evaluation does, integer for integer."""
    from pointseg.evaluation.score import score

    score(pred, gt, labels=labels, json_path=json, classes=classes)
