"""The command line: `pointseg VERB`. Each verb parses its options and calls one function of a room."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Literal, ParamSpec, TypeVar

import typer

# Waiting threads that spin take the cores from those that work: on a machine that others use too, training on
# the CPU was 15 times slower with two threads than with one. OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

app = typer.Typer(
    name="pointseg",
    help="Semantic segmentation of 3D point clouds with long-tailed classes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

P = ParamSpec("P")
R = TypeVar("R")


def reports_errors(verb: Callable[P, R]) -> Callable[P, R]:
    """Users' mistakes end with one message and exit code 2; a traceback is kept for our own mistakes."""

    @functools.wraps(verb)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return verb(*args, **kwargs)
        except (ValueError, OSError) as error:
            typer.secho(f"pointseg: {error}", fg="red", err=True)
            raise typer.Exit(2) from None

    return wrapped


@app.callback()
def main() -> None:
    """Semantic segmentation of 3D point clouds with long-tailed classes."""


@app.command()
@reports_errors
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
@reports_errors
def prepare(
    context: typer.Context,
    name: Annotated[
        Literal["scannet", "custom", "nyu40", "check"],
        typer.Argument(help="What to do; NAME --help says more."),
    ],
) -> None:
    """Raw data -> store: scannet, custom (anybody's clouds), nyu40; check verifies a store."""
    from importlib import import_module

    main = import_module(f"pointseg.prepare.{name}").main
    raise typer.Exit(main(context.args, prog=f"pointseg prepare {name}"))


@app.command()
@reports_errors
def train(
    config: Annotated[Path, typer.Argument(help="YAML file of an experiment.")],
    out: Annotated[Path, typer.Option(help="RUN folder; the same command continues a stopped run.")],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as train.steps=100.")
    ] = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--no-resume", help="Insist on continuing, or start over.", show_default=False),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
) -> None:
    """Train a network; with torchrun on several GPUs. Ctrl-C saves and stops."""
    from pointseg.training.train import train_command

    if not train_command(config, out, overrides or [], resume=resume, device=device):
        raise typer.Exit(130)


@app.command()
@reports_errors
def evaluate(
    run: Annotated[Path, typer.Argument(help="RUN folder of a training.")],
    split: Annotated[str, typer.Option(help="Labelled split of the store.")] = "val",
    views: Annotated[
        int | None, typer.Option(min=1, max=8, help="Test-time views; as configured if not given.")
    ] = None,
    checkpoint: Annotated[Literal["best", "last"], typer.Option(help="By validation mIoU.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Store; that of the training if not given.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="What convolves; as configured if not given.")] = None,
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
        json_path=json,
        save_text=save_text,
        classes=classes,
        logit_adjustment_tau=logit_adjustment_tau,
    )


@app.command()
@reports_errors
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


@app.command()
@reports_errors
def predict(
    run: Annotated[Path, typer.Argument(help="RUN folder of a training.")],
    cloud: Annotated[Path, typer.Argument(help="PLY, NPZ, LAS or LAZ file, with or without colours.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The labelled PLY file to write.")],
    views: Annotated[int, typer.Option(min=1, max=8, help="Test-time views.")] = 1,
    max_points: Annotated[
        int, typer.Option(min=1000, help="Larger clouds are predicted in tiles of this many points.")
    ] = 600_000,
    keep_colors: Annotated[
        bool, typer.Option("--keep-colors", help="Write the colours of the file, not of the classes.")
    ] = False,
    checkpoint: Annotated[Literal["best", "last"], typer.Option(help="By validation mIoU.")] = "best",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="What convolves; as configured if not given.")] = None,
    unit: Annotated[
        str | None, typer.Option(help="Unit of the positions: m, cm, mm, km, ft, us-ft or in.")
    ] = None,
) -> None:
    """Label any cloud of points with a trained run."""
    from rich.console import Console

    from pointseg.prediction.file import predict_file

    predict_file(
        run,
        cloud,
        output,
        views=views,
        max_points=max_points,
        keep_colors=keep_colors,
        checkpoint=checkpoint,
        device=device,
        engine=engine,
        unit=unit,
        console=Console(),
    )


@app.command()
@reports_errors
def submit(
    run: Annotated[Path, typer.Argument(help="RUN folder of a training.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The zip file to write.")],
    split: Annotated[str, typer.Option(help="Split of the store.")] = "test",
    views: Annotated[
        int | None, typer.Option(min=1, max=8, help="Test-time views; as configured if not given.")
    ] = None,
    checkpoint: Annotated[Literal["best", "last"], typer.Option(help="By validation mIoU.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Store; that of the training if not given.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="What convolves; as configured if not given.")] = None,
) -> None:
    """Predict the test split and write the checked zip for the server of ScanNet or of an image benchmark."""
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
    )


@app.command()
@reports_errors
def check_submission(
    submission: Annotated[Path, typer.Argument(help="The zip file.")],
    labels: Annotated[str, typer.Option(help="scannet200, scannet20 or a label_space.json.")] = "scannet200",
    raw: Annotated[Path | None, typer.Option(help="Folder of raw scans, to count vertices of.")] = None,
    scenes: Annotated[Path | None, typer.Option(help="File with the expected scene names.")] = None,
    layout: Annotated[
        str | None, typer.Option(help="For images: layout of the data set, such as cityscapes.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="For images: folder of the data set.")] = None,
    split: Annotated[str, typer.Option(help="For images: split that was predicted.")] = "test",
) -> None:
    """Find every known mistake of a submission; exit code 1 if there is one."""
    from pointseg.submission.check import check
    from pointseg.submission.check_images import check_images, holds_images

    if layout is not None:
        result = check_images(submission, layout, data=data, split=split)
    elif holds_images(submission):
        raise ValueError(f"{submission} holds images: name their data set, such as --layout cityscapes.")
    else:
        result = check(submission, labels=labels, raw=raw, scenes=scenes)
    if not result.is_valid:
        raise typer.Exit(1)


@app.command()
@reports_errors
def convert(
    source: Annotated[Path, typer.Argument(help="Checkpoint (with --from) or RUN folder (with --to).")],
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New RUN folder, or file for the state dict.")
    ],
    overrides: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as model.final_relu=false.")
    ] = None,
    origin: Annotated[
        Literal["minkowski", "spconv"] | None,
        typer.Option("--from", help="minkowski: MinkUNet, Res16UNet. spconv: Pointcept's SpUNet."),
    ] = None,
    target: Annotated[
        Literal["minkowski", "spconv"] | None, typer.Option("--to", help="Write weights for these instead.")
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
@reports_errors
def visualise(
    source: Annotated[Path, typer.Argument(help="RUN folder (predicts) or STORE folder (truth only).")],
    scene: Annotated[str, typer.Option(help="Name of a scene; with a RUN, also a file of points.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder for the files; RUN/pictures by default.")
    ] = None,
    window: Annotated[bool, typer.Option(help="Open a window where there is a display.")] = True,
    png: Annotated[bool, typer.Option(help="Write the picture.")] = True,
    html: Annotated[bool, typer.Option(help="Write the interactive page.")] = True,
    open3d: Annotated[bool, typer.Option(help="Also write a picture drawn by Open3D.")] = True,
    views: Annotated[int, typer.Option(min=1, max=8, help="Test-time views.")] = 1,
    checkpoint: Annotated[Literal["best", "last"], typer.Option(help="By validation mIoU.")] = "best",
    data: Annotated[Path | None, typer.Option(help="Store; that of the training if not given.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    engine: Annotated[str | None, typer.Option(help="What convolves; as configured if not given.")] = None,
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
@reports_errors
def bench(
    what: Annotated[Literal["conv", "network", "maps"], typer.Argument(help="What to measure.")],
    engines: Annotated[
        str | None, typer.Option(help="Names with commas; all that run here if not given.")
    ] = None,
    voxels: Annotated[str, typer.Option(help="Sizes of the room with commas.")] = "95000",
    dtypes: Annotated[str, typer.Option(help="float32, bfloat16 or float64, with commas.")] = "float32",
    channels: Annotated[str, typer.Option(help="conv: channels with commas.")] = "32,64,96,128,256",
    variant: Annotated[str, typer.Option(help="network: which MinkUNet.")] = "34C",
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads; torch's own number if none.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=1, help="Rounds; engines take turns.")] = 5,
    parity: Annotated[bool, typer.Option(help="Also compare with float64.")] = True,
    parity_voxels: Annotated[
        int, typer.Option(min=1, help="Larger rooms are compared on one of this size: float64 is slow.")
    ] = 20_000,
    keep_memory: Annotated[
        bool, typer.Option(help="Keep freed memory, as training on a CPU does; peaks grow a little.")
    ] = False,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    json: Annotated[Path | None, typer.Option(help="Also write the rows to this file.")] = None,
    plot: Annotated[Path | None, typer.Option(help="Also draw them to this PNG file.")] = None,
) -> None:
    """Measure the engines side by side: same voxels, same weights, one process."""
    from pointseg.bench.main import bench
    from pointseg.bench.options import BenchOptions

    bench(
        what,
        BenchOptions(
            engines=tuple(engines.split(",")) if engines else None,
            voxels=tuple(int(size) for size in voxels.split(",")),
            dtypes=tuple(dtypes.split(",")),
            channels=tuple(int(number) for number in channels.split(",")),
            variant=variant,
            threads=threads,
            repeats=repeats,
            parity=parity,
            parity_voxels=parity_voxels,
            keep_memory=keep_memory,
            device=device,
        ),
        json_path=json,
        plot_path=plot,
    )


@app.command()
@reports_errors
def doctor(
    json: Annotated[Path | None, typer.Option(help="Also write the findings to this file.")] = None,
) -> None:
    """Say what this machine can do: torch, devices, engines and which one `auto` takes, optional packages."""
    from pointseg.doctor import doctor

    doctor(json_path=json)
