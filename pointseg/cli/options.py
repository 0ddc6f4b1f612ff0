"""Options that several verbs have: declared once, with one help text each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeAlias

import typer

Run: TypeAlias = Annotated[
    Path,
    typer.Argument(
        help="RUN folder of a training, or a trained model: by name (`pointseg recipes`), or its folder."
    ),
]
Checkpoint: TypeAlias = Annotated[Literal["best", "last"], typer.Option(help="By validation mIoU.")]
Data: TypeAlias = Annotated[Path | None, typer.Option(help="Store; that of the training if not given.")]
Device: TypeAlias = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Engine: TypeAlias = Annotated[str | None, typer.Option(help="What convolves; as configured if not given.")]
Amp: TypeAlias = Annotated[
    Literal["none", "bf16", "fp16"] | None,
    typer.Option(help="Type of the forward pass; as configured if not given."),
]
Views: TypeAlias = Annotated[int, typer.Option(min=1, max=8, help="Test-time views.")]
ConfiguredViews: TypeAlias = Annotated[
    int | None, typer.Option(min=1, max=8, help="Test-time views; as configured if not given.")
]
Slurm: TypeAlias = Annotated[
    bool, typer.Option("--slurm", help="Submit an array of jobs to a cluster, through submitit.")
]
SlurmOption: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(
        help="Of submitit, such as slurm_partition=gpu, gpus_per_node=1 or timeout_min=60 (240 otherwise). "
        "cluster=local tries it out here."
    ),
]


def cluster_options(slurm: bool, options: list[str] | None) -> list[str] | None:
    """The options of an array of jobs; None where there is to be none.

    Raises:
        ValueError: for options of a cluster without ``--slurm``.
    """
    if options and not slurm:
        raise ValueError("--slurm-option is one of --slurm; give that too, or leave it out.")
    return (options or []) if slurm else None
