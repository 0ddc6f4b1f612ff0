"""`pointseg report`: a page that compares runs, from a study's results or from RUN folders."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from pointseg.core.durable import write_bytes, write_text
from pointseg.runs.folder import RunFolder
from pointseg.study.measure import measure
from pointseg.study.page import latex, page, pictures
from pointseg.study.record import Record
from pointseg.study.results import write_results
from pointseg.study.tables import as_markdown, convention_table, difference_table, main_table
from pointseg.study.view import StudyView


def report(
    sources: Sequence[Path],
    out: Path,
    *,
    split: str | None = None,
    data: Path | None = None,
    device: str = "auto",
    figures: Path | None = None,
    draws: int | None = None,
    console: Console | None = None,
) -> StudyView:
    """Write the page, beside it ``results.csv`` where the sources are runs, and print the main tables.

    Args:
        sources: one folder (or study file) of a study with results, or RUN folders, the first of which is
            the baseline.
        out: the HTML file.
        split: for RUN folders: labelled split to measure on; that of each run's validation if None.
        data: for RUN folders: the data; those of each run's configuration if None.
        device: for RUN folders: where to predict.
        figures: folder for the figures as PNG and the LaTeX table; ``figures`` beside the page of a study,
            and none for RUN folders, if None.
        draws: of the bootstrap.
        console: where to print; standard output if None.

    Raises:
        FileNotFoundError: if there is neither a study nor a run.
        ValueError: if there is nothing finished, or the runs cannot be compared.
    """
    console = console or Console()
    study = _study_folder(sources)
    if study is not None:
        view = StudyView.read(study, draws)
        figures = figures or out.parent / "figures"
    else:
        records = [measure(folder, split=split, data=data, device=device) for folder in sources]
        view = StudyView.of("Comparison of runs", _on_one_budget(records), draws=draws)
        write_results(out.with_name("results.csv"), [record.facts for record in records])
    drawn = pictures(view)
    out.parent.mkdir(parents=True, exist_ok=True)
    write_text(out, page(view, drawn))
    if figures is not None:
        figures.mkdir(parents=True, exist_ok=True)
        for one in (one for of_budget in drawn.values() for one in of_budget):
            write_bytes(figures / f"{one.name}.png", one.png)
        write_text(figures / "table.tex", latex(view))
    for budget in view.budgets:
        for table in (
            main_table(view, budget),
            convention_table(view, budget),
            difference_table(view, budget),
        ):
            text = f"{table.title}\n{as_markdown(table)}\n"
            console.print(text, markup=False, highlight=False, soft_wrap=True)
    console.print(f"Report: {out}", highlight=False, soft_wrap=True)
    return view


def _study_folder(sources: Sequence[Path]) -> Path | None:
    """The folder of the one study that is meant, or None if the sources are runs.

    Raises:
        ValueError: for studies among runs, or several.
    """
    folders = [source.parent if source.suffix in (".yaml", ".yml") else source for source in sources]
    studies = [folder for folder in folders if not RunFolder(folder).config.is_file()]
    if studies and len(folders) > 1:
        raise ValueError(
            f"{studies[0]} is no RUN folder; give one study, or several RUN folders that are to be compared."
        )
    return studies[0] if studies else None


def _on_one_budget(records: Sequence[Record]) -> list[Record]:
    """Runs that somebody has picked are compared with one another, whatever their length."""
    return [
        Record(
            {**one.facts, "budget": "as trained"},
            one.label_space,
            one.train_points,
            one.confusion,
            one.scenes,
            one.parts,
            one.calibration,
        )
        for one in records
    ]
