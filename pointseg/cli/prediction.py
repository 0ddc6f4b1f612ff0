"""Verbs that predict: predict, submit, check-submission, visualise, view."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointseg.cli.app import app
from pointseg.cli.options import (
    Amp,
    Checkpoint,
    ConfiguredViews,
    Data,
    Device,
    Engine,
    Run,
    Slurm,
    SlurmOption,
    Views,
    cluster_options,
)


@app.command()
def predict(
    run: Run,
    cloud: Annotated[
        list[Path],
        typer.Argument(
            help="File to label (PLY, NPZ, LAS, LAZ, PCD, a table of text; an image), or files, folders and "
            "patterns in quotes."
        ),
    ],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The labelled file to write; of several files the folder.")
    ],
    views: Views = 1,
    max_points: Annotated[
        int, typer.Option(min=1000, help="Larger clouds are predicted in tiles of this many points.")
    ] = 600_000,
    keep_colors: Annotated[
        bool | None,
        typer.Option(
            "--keep-colors/--class-colors",
            help="Colours of a PLY: those of the file (usual in a folder) or of the classes (usual for one).",
        ),
    ] = None,
    save: Annotated[
        str | None,
        typer.Option(help="More to write, with commas: confidence,entropy,margin,top5,probabilities."),
    ] = None,
    min_confidence: Annotated[
        float | None, typer.Option(help="Less probable classes (0..1) are left unclassified.")
    ] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="In a folder: label anew what is there already.")
    ] = False,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    engine: Engine = None,
    amp: Amp = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of the positions: m, cm, mm, km, ft, us-ft or in.")
    ] = None,
    slurm: Slurm = False,
    slurm_option: SlurmOption = None,
) -> None:
    """Label clouds of points, or images, with a trained run; exit code 1 if one of several files failed."""
    from rich.console import Console

    from pointseg.prediction.file import predict_file
    from pointseg.prediction.folder import predict_folder
    from pointseg.prediction.sources import names_one_file

    options = cluster_options(slurm, slurm_option)
    if names_one_file(cloud, output):
        if slurm:
            raise ValueError(
                "--slurm is for many files: give a folder, files or a pattern, and a folder for -o."
            )
        predict_file(
            run,
            cloud[0],
            output,
            views=views,
            max_points=max_points,
            keep_colors=bool(keep_colors),
            save=save,
            min_confidence=min_confidence,
            checkpoint=checkpoint,
            device=device,
            engine=engine,
            amp=amp,
            unit=unit,
            console=Console(),
        )
        return
    result = predict_folder(
        run,
        cloud,
        output,
        views=views,
        max_points=max_points,
        keep_colors=keep_colors,
        save=save,
        min_confidence=min_confidence,
        overwrite=overwrite,
        checkpoint=checkpoint,
        device=device,
        engine=engine,
        amp=amp,
        unit=unit,
        slurm=options,
        console=Console(),
    )
    if result.failed:
        raise typer.Exit(1)


@app.command()
def submit(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip file to write.")],
    split: Annotated[str, typer.Option(help="Split of the store.")] = "test",
    views: ConfiguredViews = None,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    device: Device = "auto",
    engine: Engine = None,
    amp: Amp = None,
    description: Annotated[
        Path | None,
        typer.Option(help="SemanticKITTI: text on the method, which goes into the zip as description.txt."),
    ] = None,
) -> None:
    """Predict the test split and write the checked zip for the server of the data set that was trained on."""
    from pointseg.submission.submit import submit

    submit(
        run,
        output,
        split=split,
        views=views,
        checkpoint=checkpoint,
        data=data,
        device=device,
        engine=engine,
        amp=amp,
        description=description,
    )


@app.command()
def check_submission(
    submission: Annotated[Path, typer.Argument(help="The zip file.")],
    labels: Annotated[
        str | None,
        typer.Option(
            help="For scans: a shipped label set or a label_space.json; if not given, semantickitti for "
            ".label files, nuscenes for _lidarseg.bin, else scannet200. scannetpp has its classes in --raw.",
            show_default=False,
        ),
    ] = None,
    raw: Annotated[
        Path | None, typer.Option(help="For scans: folder of the raw data set, to count vertices of.")
    ] = None,
    scenes: Annotated[
        Path | None, typer.Option(help="For scans: file with the expected scene names.")
    ] = None,
    layout: Annotated[
        str | None, typer.Option(help="For images: layout of the data set, such as cityscapes.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="For images: folder of the data set.")] = None,
    split: Annotated[
        str | None, typer.Option(help="For images: split that was predicted; test if not given.")
    ] = None,
) -> None:
    """Find every known mistake of a submission; exit code 1 if there is one."""
    from pointseg.submission.check import check

    options = {"labels": labels, "raw": raw, "scenes": scenes, "layout": layout, "data": data, "split": split}
    result = check(submission, options)
    if not result.is_valid:
        raise typer.Exit(1)


@app.command()
def visualise(
    source: Annotated[
        Path, typer.Argument(help="RUN folder or model (predicts), or STORE folder (truth only).")
    ],
    scene: Annotated[str, typer.Option(help="Name of a scene; with a RUN, also a file of points.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files; RUN/pictures by default.")
    ] = None,
    window: Annotated[bool, typer.Option(help="Open a window where there is a display.")] = True,
    png: Annotated[bool, typer.Option(help="Write the picture.")] = True,
    html: Annotated[bool, typer.Option(help="Write the interactive page.")] = True,
    open3d: Annotated[bool, typer.Option(help="Also write a picture drawn by Open3D.")] = True,
    views: Views = 1,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    device: Device = "auto",
    engine: Engine = None,
) -> None:
    """Show a scene: window, PNG with input, truth, prediction and error, and an interactive HTML page."""
    from rich.console import Console

    from pointseg.view.visualise import Outputs, visualise

    console = Console()
    written = visualise(
        source,
        scene,
        out=output,
        outputs=Outputs(window=window, png=png, html=html, open3d=open3d),
        store=data,
        views=views,
        checkpoint=checkpoint,
        device=device,
        engine=engine,
        console=console,
    )
    for path in written:
        console.print(str(path), markup=False, highlight=False, soft_wrap=True)


@app.command()
def view(
    sources: Annotated[
        list[Path],
        typer.Argument(
            metavar="STORE|RUN...", help="Runs or models (predictions), a store (truth only), or both."
        ),
    ],
    split: Annotated[str, typer.Option(help="Split of the data.")] = "val",
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Port on 127.0.0.1; the first free one from 8770 on if not given."
        ),
    ] = None,
    export: Annotated[
        Path | None, typer.Option(help="Write the gallery as pages into this folder instead of serving it.")
    ] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser where there is a display.")] = True,
    views: Views = 1,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    device: Device = "auto",
    engine: Engine = None,
) -> None:
    """Browse scenes or images with truth, predictions and errors; several runs side by side.

    Nobody but this machine can open it; from another one, go through ssh -L 8770:localhost:8770.
    """
    from rich.console import Console

    from pointseg.view.gallery.view import view_gallery

    view_gallery(
        sources,
        split=split,
        port=port,
        export=export,
        browser=browser,
        store=data,
        views=views,
        checkpoint=checkpoint,
        device=device,
        engine=engine,
        console=Console(),
    )
