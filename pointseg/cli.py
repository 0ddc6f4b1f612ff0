"""The command line: `pointseg VERB`. Each verb parses its options and calls one function of pointseg.run."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, ParamSpec, TypeVar

import typer

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
        except (ValueError, FileNotFoundError, FileExistsError, NotADirectoryError, PermissionError) as error:
            typer.secho(f"pointseg: {error}", fg="red", err=True)
            raise typer.Exit(2) from None

    return wrapped


@app.callback()
def main() -> None:
    """Semantic segmentation of 3D point clouds with long-tailed classes."""


__all__ = ["Annotated", "Path", "app"]


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
    from pointseg.run.score import score

    score(pred, gt, labels=labels, json_path=json, classes=classes)
