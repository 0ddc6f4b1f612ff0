"""The app that the verbs belong to, and the door through which errors leave it."""

from __future__ import annotations

import os
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from pointseg import __version__
from pointseg.cli.door import INTERRUPTED, is_a_fault, message_of

# Waiting threads that spin take the cores from those that work: on a machine that others use too, training on
# the CPU was 15 times slower with two threads than with one. OpenMP reads this when torch is imported.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

DEBUG = "--debug"


class Verbs(TyperGroup):
    """The verbs. What a user can mend ends with one message and exit code 2, Ctrl-C with 130."""

    # Contexts are Any: their class is click's, which some versions of typer bring with them.

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        # Before or after the verb: people add it to the line that went wrong.
        if DEBUG in args:
            args = [DEBUG, *(word for word in args if word != DEBUG)]
        return super().parse_args(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            if ctx.params["debug"]:
                raise
            typer.secho("pointseg: interrupted", fg="red", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            text = message_of(error)
            if text is None and is_a_fault(error):
                typer.secho(
                    f"pointseg: a fault of pointseg, or of a library under it, and no mistake of yours: "
                    f"please report what follows, with the command.\npointseg: {type(error).__name__}",
                    fg="red",
                    err=True,
                )
            if text is None or ctx.params["debug"]:
                raise
            typer.secho(f"pointseg: {text}", fg="red", err=True)
            raise typer.Exit(2) from None


app = typer.Typer(
    name="pointseg",
    cls=Verbs,
    help="Semantic segmentation of 3D point clouds with long-tailed classes.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"pointseg {__version__}")
        raise typer.Exit


@app.callback()
def main(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version.")
    ] = False,
    debug: Annotated[bool, typer.Option(DEBUG, help="Show where an error comes from.")] = False,
) -> None:
    """Semantic segmentation of 3D point clouds with long-tailed classes."""
