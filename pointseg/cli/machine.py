"""Verbs about this machine: bench, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Device


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
    json: Annotated[Path | None, typer.Option(help="Also write the findings to this file.")] = None,
) -> None:
    """Say what this machine can do: torch, devices, engines and which one `auto` takes, optional packages."""
    from pointseg.doctor import doctor

    doctor(json_path=json)
