"""Verbs about this machine: bench, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Device
from pointseg.cli.training import Methods, recipes_and_overrides


@app.command()
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
    device: Device = "auto",
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
def doctor(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[RECIPE] [STORE] [KEY=VALUE]...",
            help="A training that is planned, and its data: what it will take.",
        ),
    ] = None,
    method: Methods = None,
    out: Annotated[Path, typer.Option(help="Where its RUN folder will be.")] = Path(),
    device: Device = "auto",
    json: Annotated[Path | None, typer.Option(help="Also write the findings to this file.")] = None,
) -> None:
    """Say what this machine can do; with a recipe, measure a few steps and say what its training will take.

    Without one: torch, devices, engines and which one `auto` takes, optional packages. With one: voxels of a
    batch, time of a step and of the whole, memory, disk, a batch size that fits, and what is missing. Exit
    code 1 where the training would fail.
    """
    if not words:
        from pointseg.doctor import doctor

        doctor(json_path=json)
        return
    from pointseg.experiment import load_experiment
    from pointseg.training.forecast import forecast

    recipes, overrides = recipes_and_overrides(words)
    if len(recipes) > 1 and Path(recipes[-1]).is_dir():
        overrides = [*overrides, f"data.path={recipes.pop()}"]
    experiment = load_experiment(recipes, methods=method or [], overrides=overrides)
    if forecast(experiment, out=out, device=device, json_path=json).problems:
        raise typer.Exit(1)
