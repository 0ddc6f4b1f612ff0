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
