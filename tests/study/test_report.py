"""The page stands alone and says what results.csv says."""

import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from rich.console import Console
from study_records import confusions, record_of

from pointseg.study.record import Record, read_facts
from pointseg.study.report import report
from pointseg.study.results import read_results, write_results
from pointseg.study.tables import as_latex, confusion_table, difference_table, main_table, verdicts
from pointseg.study.view import StudyView

QUIET = Console(quiet=True)
STUDY = """
name: made_up
recipe: synthetic/demo
budgets: {short: 10, long: 40}
seeds: [0, 1]
methods: {cross_entropy: , weighted: , pat: }
"""


@pytest.fixture(scope="module")
def committed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The committed form of a study of three methods, two seeds and two budgets; not to be changed."""
    tmp_path = tmp_path_factory.mktemp("study")
    rows = []
    for place, (method, skill) in enumerate({"cross_entropy": 0.3, "weighted": 0.5, "pat": 0.9}.items()):
        for budget, steps in (("short", 10), ("long", 40)):
            for seed in (0, 1):
                made = confusions(100 * place + seed, skill, scenes=6)
                record = record_of(
                    made, method=method, seed=seed, budget=budget, steps=steps, total_steps=steps
                )
                record.write(tmp_path / "runs", f"{method}-{budget}-{seed}")
                rows.append({"run": f"{method}-{budget}-{seed}", **record.facts})
    write_results(tmp_path / "results.csv", rows)
    (tmp_path / "study.yaml").write_text(STUDY, encoding="utf-8")
    return tmp_path


@pytest.fixture
def folder(committed: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(committed, tmp_path / "study"))


class Tags(HTMLParser):
    """Every tag closes, and where things are loaded from."""

    VOID = frozenset({"meta", "img", "br"})

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.sources: list[str] = []
        self.cells: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.sources += [value or "" for name, value in attrs if name in ("src", "href")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "td" in self.open:
            self.cells.append(data)


def test_the_page_is_whole_loads_nothing_has_the_numbers_of_the_results_and_the_same_bytes_again(
    folder: Path, tmp_path: Path
) -> None:
    out = folder / "report.html"
    report([folder], out, draws=50, console=QUIET)
    report([folder / "study.yaml"], tmp_path / "again.html", draws=50, console=QUIET)
    assert (tmp_path / "again.html").read_bytes() == out.read_bytes()
    text = out.read_text(encoding="utf-8")
    page = Tags()
    page.feed(text)
    assert page.open == []
    assert page.sources and all(source.startswith(("data:", "#")) for source in page.sources)
    assert not re.search(r"https?://", re.sub(r"data:[^\"]*", "", text))
    for budget in ("short", "long"):
        for method in ("cross_entropy", "weighted", "pat"):
            rows = [
                r
                for r in read_results(folder / "results.csv")
                if (r["method"], r["budget"]) == (method, budget)
            ]
            mean = 100 * np.mean([float(row["tail"]) for row in rows])
            assert any(cell.startswith(f"{mean:.2f}") for cell in page.cells)
    assert {"c0ffee", "da7a", "c0de", "pointseg train"} <= set(page.cells)
    for name in (
        "means_short",
        "gains_long",
        "reliability_long",
        "collapse_short",
        "tail_over_steps",
        "cost",
    ):
        picture = (folder / "figures" / f"{name}.png").read_bytes()
        assert picture.startswith(b"\x89PNG")


def test_runs_are_measured_where_they_lie(trained_run: Path, tmp_path: Path) -> None:
    view = report([trained_run], tmp_path / "report.html", device="cpu", draws=20, console=QUIET)
    (row,) = read_results(tmp_path / "results.csv")
    assert (row["method"], row["steps"]) == ("run", "30") and float(row["miou"]) > 0.5
    assert "30 steps" in main_table(view, view.budgets[0]).title


def test_a_better_method_is_called_better_and_an_equal_one_is_not(folder: Path) -> None:
    view = StudyView.read(folder, draws=200)
    assert view.rival == {"short": "weighted", "long": "weighted"}
    against_baseline, against_rival = verdicts(view, "short")
    assert "against cross entropy" in against_baseline.lower() and "against weighted" in against_rival.lower()
    table = difference_table(view, "short")
    column = table.heading.index("mIoU against cross entropy")
    cells = {row[0]: row[column] for row in table.rows}
    assert cells["cross entropy"] == ""
    gain = view.comparisons["short"].difference("pat", "cross_entropy")
    assert gain is not None and gain["miou"].excludes_zero
    assert cells["pat"].startswith(f"{100 * gain['miou'].value:+.2f}*")


def test_tail_classes_are_shown_with_what_they_are_taken_for(folder: Path) -> None:
    view = StudyView.read(folder, draws=20)
    table = confusion_table(view, "short")
    assert table is not None
    counts = [r.confusion.counts for r in view.of_method("short", "cross_entropy")]
    shares = np.mean([c[3] / c[3].sum() for c in counts], axis=0)
    worst = int(np.argmax(shares[:3]))
    assert table.rows[0][:4] == ("d", "abc"[worst], "10", f"{100 * shares[worst]:.1f}")


def test_latex_escapes_and_sets_the_best_bold(folder: Path) -> None:
    table = main_table(StudyView.read(folder, draws=20), "long")
    text = as_latex(table)
    assert text.count(r"\\") == 4 and text.count("\\textbf{") == len(table.strong)
    assert r"\pm" in text and "%" not in text.replace("% Budget", "")


def test_a_record_survives_its_files(tmp_path: Path) -> None:
    record = record_of(confusions(0), tail=None)
    record.write(tmp_path, "run")
    again = Record.read(tmp_path / "run.json")
    assert again.facts == record.facts and again.label_space == record.label_space
    assert again.scenes == record.scenes and (again.parts == record.parts).all()
    assert (again.confusion.counts == record.confusion.counts).all()
    assert np.allclose(again.calibration.counts, record.calibration.counts)
    assert (again.train_points == record.train_points).all()


@pytest.mark.parametrize("damage", ["cut", "text", "format", "arrays"])
def test_a_damaged_record_is_named(tmp_path: Path, damage: str) -> None:
    record_of(confusions(0)).write(tmp_path, "run")
    file, arrays = tmp_path / "run.json", tmp_path / "run.npz"
    if damage == "cut":
        file.write_text(file.read_text()[:50])
    elif damage == "text":
        file.write_text("[]")
    elif damage == "format":
        file.write_text(file.read_text().replace('"format": 1', '"format": 9'))
    else:
        arrays.write_bytes(arrays.read_bytes()[:40])
    with pytest.raises(ValueError, match=r"run\.json"):
        Record.read(file)


def test_a_folder_without_results_says_what_was_expected(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"results\.csv"):
        report([tmp_path], tmp_path / "report.html", console=QUIET)


def test_a_study_among_runs_is_refused(trained_run: Path, folder: Path) -> None:
    with pytest.raises(ValueError, match="one study, or several RUN folders"):
        report([trained_run, folder], folder / "report.html", console=QUIET)


def test_results_have_a_row_for_each_run_with_empty_cells_for_what_is_unknown(tmp_path: Path) -> None:
    record = record_of(confusions(0), tail=None)
    write_results(tmp_path / "results.csv", [record.facts])
    (row,) = read_results(tmp_path / "results.csv")
    assert row["tail"] == "" and row["method"] == "cross_entropy"
    assert float(row["miou"]) == pytest.approx(record.facts["miou"], abs=1e-6)
    assert list(row)[:9] == ["method", "seed", "budget", "miou", "head", "common", "tail", "ece", "seconds"]


def test_the_facts_alone_can_be_read(tmp_path: Path) -> None:
    record_of(confusions(0)).write(tmp_path, "run")
    assert read_facts(tmp_path / "run.json")["method"] == "cross_entropy"
