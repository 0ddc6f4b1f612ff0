"""Verbs that make or read data and weights: synthesize, prepare, convert, export."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Checkpoint, Data, Device, Run


@app.command()
def synthesize(
    out: Annotated[Path, typer.Argument(help="New folder for raw scenes; a stopped run continues.")],
    scenes: Annotated[int, typer.Option(help="Number of scenes: 70 % train, 20 % val, 10 % test.")] = 40,
    seed: Annotated[int, typer.Option(help="The same seed gives the same files.")] = 0,
    temper: Annotated[float, typer.Option(help="0 = the long tail of ScanNet200, 1 = balanced.")] = 0.0,
    split_files: Annotated[
        bool, typer.Option("--split-files", help="Also write scannetv2_{train,val,test}.txt.")
    ] = False,
    workers: Annotated[int | None, typer.Option(help="Processes; all CPU cores by default.")] = None,
) -> None:
    """Generate indoor scenes with the 200 classes, in the raw format of ScanNet v2."""
    from pointseg.synthetic.synthesize import synthesize

    synthesize(out, num_scenes=scenes, seed=seed, temper=temper, split_files=split_files, workers=workers)


@app.command(
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)
def prepare(
    context: typer.Context,
    name: Annotated[
        Literal[
            "scannet",
            "custom",
            "s3dis",
            "semantickitti",
            "nuscenes",
            "scannetpp",
            "matterport3d",
            "nyu40",
            "check",
        ],
        typer.Argument(help="What to do; NAME --help says more."),
    ],
) -> None:
    """Raw data -> store; custom is for anybody's clouds, and check verifies a store."""
    from importlib import import_module

    from pointseg.prepare.preparation import DEBUG

    DEBUG.set(context.find_root().params["debug"])
    main = import_module(f"pointseg.prepare.{name}").main
    raise typer.Exit(main(context.args, prog=f"pointseg prepare {name}"))


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint (with --from) or RUN folder (with --to).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New RUN folder, or file for the state dict.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as model.final_relu=false.")
    ] = None,
    origin: Annotated[
        Literal["minkowski", "sts", "spconv", "spconv_v1m2"] | None,
        typer.Option(
            "--from",
            help="minkowski: MinkowskiEngine's examples, LGround. sts: SpatioTemporalSegmentation (other tap "
            "order). spconv: Pointcept's SpUNet-v1m1. spconv_v1m2: SpUNet-v1m2.",
        ),
    ] = None,
    target: Annotated[
        Literal["minkowski", "sts", "spconv", "spconv_v1m2"] | None,
        typer.Option("--to", help="Write weights for these instead."),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="scannet200, scannet20 or a label_space.json; by the classes.")
    ] = None,
    voxel_size: Annotated[float, typer.Option(min=1e-6, help="Edge of a voxel in metres.")] = 0.02,
    features: Annotated[
        str | None, typer.Option(help="Input columns in order, such as coord,color,normal.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="Store that the run names.")] = None,
) -> None:
    """Turn a public checkpoint into a RUN folder, or the weights of a run into a public state dict."""
    from rich.console import Console

    from pointseg.convert.convert import convert, export

    if origin is not None and target is None:
        convert(
            source,
            output,
            origin,
            labels=labels,
            voxel_size_m=voxel_size,
            features=features.split(",") if features else None,
            data=data,
            overrides=overrides or [],
            console=Console(),
        )
    elif target is not None and origin is None:
        export(source, output, target, console=Console())
    else:
        raise ValueError("Give one of --from (a checkpoint becomes a run) and --to (a run becomes weights).")


@app.command()
def export(
    run: Run,
    output: Annotated[Path, typer.Option("--output", "-o", help="New folder for the model.")],
    about: Annotated[str, typer.Option(help="What it labels, in one line: the first line of its card.")],
    trained_on: Annotated[
        str | None,
        typer.Option(help="The data it was trained on, for the card; their label set if not given."),
    ] = None,
    licence: Annotated[str | None, typer.Option(help="Licence of those data.")] = None,
    attribution: Annotated[str | None, typer.Option(help="Whom the licence wants named.")] = None,
    not_for: Annotated[
        list[str] | None, typer.Option(help="What it is not for; may be given several times.")
    ] = None,
    evaluation: Annotated[
        Path | None, typer.Option(help="File of `pointseg evaluate RUN --json`: its IoU go into the card.")
    ] = None,
    split: Annotated[
        str | None,
        typer.Option(help="Compare rounded and exact labels here; the run's validation split if not given."),
    ] = None,
    checkpoint: Checkpoint = "best",
    data: Data = None,
    device: Device = "auto",
) -> None:
    """Write the network of a run for others: float16 weights (safetensors), settings, classes, a card."""
    from rich.console import Console

    from pointseg.export.export import Facts, export_model

    export_model(
        run,
        output,
        Facts(about, trained_on, licence, attribution, tuple(not_for or ())),
        evaluation=evaluation,
        split=split,
        checkpoint=checkpoint,
        data=data,
        device=device,
        console=Console(),
    )
