"""Verbs of a training: train, config, recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Device

Words = Annotated[
    list[str],
    typer.Argument(
        metavar="RECIPE|KEY=VALUE",
        help="Shipped recipes by name or YAML files, the later over the earlier; and train.steps=100.",
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option("--method", "-m", help="Name of a shipped method or YAML file; may be given several times."),
]


def recipes_and_overrides(words: list[str]) -> tuple[list[str], list[str]]:
    """`a.yaml b.yaml train.steps=3` -> (a.yaml, b.yaml), (train.steps=3,).

    A word with an equals sign is an override, unless it is a file, or a path whose folder has the sign.

    Raises:
        ValueError: if there is no recipe.
    """
    overrides = [w for w in words if "=" in w and "/" not in w.partition("=")[0] and not Path(w).is_file()]
    recipes = [word for word in words if word not in overrides]
    if not recipes:
        raise ValueError(
            "which recipe? Give its name, such as synthetic/demo, or a YAML file; `pointseg recipes` lists "
            "those that come with pointseg."
        )
    return recipes, overrides


@app.command()
def train(
    words: Words,
    out: Annotated[Path, typer.Option(help="RUN folder; the same command continues a stopped run.")],
    method: Methods = None,
    resume: Annotated[
        bool | None,
        typer.Option("--resume/--no-resume", help="Insist on continuing, or start over.", show_default=False),
    ] = None,
    device: Device = "auto",
    view: Annotated[
        bool, typer.Option("--view", help="Show validation scenes in a browser while they are learned.")
    ] = False,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65_535, help="Of --view, on 127.0.0.1; the first free one from 8770 on if not given."
        ),
    ] = None,
) -> None:
    """Train a network; with torchrun on several GPUs. Ctrl-C saves and stops."""
    from rich.console import Console

    from pointseg.cli.door import INTERRUPTED
    from pointseg.experiment import load_experiment
    from pointseg.training.train import train
    from pointseg.watch import Watch

    if port is not None and not view:
        raise ValueError("--port is that of the pages of --view; give --view too, or leave it out.")
    callbacks = [Watch(port=port, console=Console())] if view else []
    recipes, overrides = recipes_and_overrides(words)
    experiment = load_experiment(recipes, methods=method or [], overrides=overrides)
    if not train(experiment, out, resume=resume, device=device, callbacks=callbacks).is_finished:
        raise typer.Exit(INTERRUPTED)


@app.command()
def config(words: Words, method: Methods = None) -> None:
    """Print the experiment that recipes, methods and overrides make, as YAML that loads to the same."""
    from pointseg.config import dump_config
    from pointseg.experiment import load_experiment

    recipes, overrides = recipes_and_overrides(words)
    typer.echo(dump_config(load_experiment(recipes, methods=method or [], overrides=overrides)), nl=False)


@app.command()
def recipes(
    json: Annotated[bool, typer.Option("--json", help="Print them as JSON, with their files.")] = False,
) -> None:
    """List the recipes, methods and trained models that come with pointseg."""
    from json import dumps

    from pointseg.config.shipped import describe, describe_model, shipped, shipped_models

    found = {
        f"{kind}s": [
            {"name": name, "description": describe(path), "path": str(path)}
            for name, path in shipped(kind).items()
        ]
        for kind in ("recipe", "method")
    }
    found["models"] = [
        {"name": name, "description": describe_model(path), "path": str(path)}
        for name, path in shipped_models().items()
    ]
    if json:
        typer.echo(dumps(found, indent=1, ensure_ascii=False))
        return
    width = max(len(row["name"]) for rows in found.values() for row in rows)
    ways = {
        "recipes": "pointseg train RECIPE --out RUN",
        "methods": "--method METHOD",
        "models": "pointseg predict MODEL FILE -o OUT",
    }
    for kind, how in ways.items():
        if not found[kind]:
            continue
        typer.secho(f"{kind} ({how})", bold=True)
        for row in found[kind]:
            typer.echo(f"  {row['name']:{width}}  {row['description']}")
