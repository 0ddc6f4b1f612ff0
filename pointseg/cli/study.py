"""Verbs that compare methods: study, report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from pointseg.cli.app import app
from pointseg.cli.options import Device, Slurm, SlurmOption, cluster_options


@app.command()
def study(
    file: Annotated[Path, typer.Argument(metavar="STUDY", help="YAML file of a study.")],
    out: Annotated[Path | None, typer.Option(help="Folder of the runs; runs/NAME by default.")] = None,
    results: Annotated[
        Path | None, typer.Option(help="Folder of the results; that of the study file by default.")
    ] = None,
    jobs: Annotated[int, typer.Option(min=1, help="Runs at once.")] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="CPU threads of each; the cores shared out by default.")
    ] = None,
    device: Device = "auto",
    methods: Annotated[str, typer.Option(help="Only these now, with commas.")] = "",
    budgets: Annotated[str, typer.Option(help="Only these now, with commas.")] = "",
    allow_missing: Annotated[
        bool, typer.Option("--allow-missing", help="Leave out methods that have no file.")
    ] = False,
    accept_code: Annotated[
        bool, typer.Option("--accept-code", help="Keep finished runs of other code; it is recorded.")
    ] = False,
    slurm: Slurm = False,
    slurm_option: SlurmOption = None,
) -> None:
    """Train methods x budgets x seeds, what is missing of them, and write results.csv and report.html."""
    from pointseg.study.study import StudyOptions, study

    options = StudyOptions(
        out=out,
        results=results,
        jobs=jobs,
        threads=threads,
        device=device,
        methods=tuple(filter(None, methods.split(","))),
        budgets=tuple(filter(None, budgets.split(","))),
        allow_missing=allow_missing,
        accept_code=accept_code,
        slurm=slurm,
        slurm_options=tuple(cluster_options(slurm, slurm_option) or ()),
    )
    if not study(file, options):
        raise typer.Exit(1)


@app.command()
def report(
    sources: Annotated[
        list[Path], typer.Argument(metavar="STUDY | RUN...", help="A study with results, or RUN folders.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="The HTML file.")] = Path("report.html"),
    split: Annotated[
        str | None, typer.Option(help="For runs: labelled split; that of their validation by default.")
    ] = None,
    data: Annotated[Path | None, typer.Option(help="For runs: their data, if moved.")] = None,
    device: Annotated[str, typer.Option(help="For runs: auto, cpu, cuda or cuda:N.")] = "auto",
    figures: Annotated[Path | None, typer.Option(help="Folder for PNG figures and the LaTeX table.")] = None,
) -> None:
    """Compare runs: tables with intervals, figures, LaTeX, in one page that opens from disk."""
    from pointseg.study.report import report

    report(sources, output, split=split, data=data, device=device, figures=figures)
