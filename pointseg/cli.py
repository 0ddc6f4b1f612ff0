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
