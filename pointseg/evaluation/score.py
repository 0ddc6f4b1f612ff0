"""`pointseg score`: two folders of label text in, the official evaluation's integers out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from pointseg.core.destination import check_destination
from pointseg.core.durable import write_json
from pointseg.core.label_sets import find_label_space
from pointseg.core.labels import LabelSpace
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report, print_report
from pointseg.formats.id_diagnosis import diagnose_ids
from pointseg.formats.label_text import read_labels
from pointseg.formats.submission import count_ids

#: What the official script writes into the prediction folder; it is no prediction.
RESULT_FILE = "semantic_label_evaluation.txt"
#: Malformed files are named up to this many.
MAX_ERRORS = 10


@dataclass(frozen=True)
class Score:
    """The outcome of scoring two folders.

    Args:
        report: IoU and means over all scored vertices.
        scenes: names of the scored scenes, sorted.
        missing_predictions: scenes with ground truth and without prediction; they were not evaluated.
        warnings: what is legal, and probably not what the user wanted.
    """

    report: Report
    scenes: tuple[str, ...]
    missing_predictions: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            **self.report.to_dict(),
            "num_scenes": len(self.scenes),
            "missing_predictions": list(self.missing_predictions),
            "warnings": list(self.warnings),
        }


def score_folders(
    prediction_folder: Path,
    truth_folder: Path,
    label_space: LabelSpace,
    *,
    scored: Callable[[str], None] = lambda scene: None,
) -> Score:
    """Score the text files of a folder against those of the same names in another.

    Args:
        prediction_folder: one `<scene>.txt` per scene, a raw id per line and vertex.
        truth_folder: the same, with the ground truth; ids outside the label set are not evaluated.
        label_space: the classes.
        scored: called with the name of each scene once it is counted.

    Raises:
        ValueError: with every file that the official script refuses, and the line where it stops.

    Source: ScanNet, BenchmarkScripts/3d_evaluation/evaluate_semantic_label.py. Departures: a class without
    ground truth and false alarm has an undefined IoU (the published script stops with a TypeError), and
    scenes without a prediction are named (there they are silently left out).
    """
    predicted, truth = _text_files(prediction_folder), _text_files(truth_folder)
    if not predicted:
        raise ValueError(f"{prediction_folder}: no prediction found; expected files like scene0568_00.txt.")
    strangers = [name for name in predicted if name not in truth]
    if strangers:
        raise ValueError(
            f"{prediction_folder}: {_shortlist(strangers)} without a ground truth of the same name in "
            f"{truth_folder}. Remove every .txt file that is no prediction, and score only labelled scenes."
        )
    confusion = Confusion(label_space.num_classes)
    errors: list[str] = []
    ids: dict[str, Counter[int]] = {"predictions": Counter(), "ground truth": Counter()}
    for name, path in predicted.items():
        try:
            _score_scene(confusion, path, truth[name], label_space, ids)
        except ValueError as error:
            errors.append(str(error))
        scored(path.stem)
    if errors:
        more = f"\n... and {len(errors) - MAX_ERRORS} more files." if len(errors) > MAX_ERRORS else ""
        raise ValueError("\n".join(errors[:MAX_ERRORS]) + more)
    missing = tuple(Path(name).stem for name in truth if name not in predicted)
    return Score(
        report=Report.from_confusion(confusion, label_space),
        scenes=tuple(Path(name).stem for name in predicted),
        missing_predictions=missing,
        warnings=tuple(_warnings(confusion, ids, missing, label_space)),
    )


def _text_files(folder: Path) -> dict[str, Path]:
    folder = Path(folder)
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; expected one that holds <scene>.txt files.")
    paths = sorted(p for p in folder.iterdir() if p.name.endswith(".txt") and p.name != RESULT_FILE)
    return {path.name: path for path in paths}


def _score_scene(
    confusion: Confusion,
    predicted: Path,
    truth: Path,
    label_space: LabelSpace,
    ids: Mapping[str, Counter[int]],
) -> None:
    """Count one scene; ``ids`` gets the ids of its predictions and of its ground truth."""
    predicted_raw_id, true_raw_id = read_labels(predicted), read_labels(truth)
    if len(predicted_raw_id) != len(true_raw_id):
        line = min(len(predicted_raw_id), len(true_raw_id)) + 1
        raise ValueError(
            f"{predicted}: {len(predicted_raw_id)} predictions for {len(true_raw_id)} vertices; line {line} "
            "has no partner. Expected one line per vertex of the scan, in the order of its file."
        )
    confusion.update(label_space.encode(true_raw_id), label_space.encode(predicted_raw_id))
    ids["predictions"].update(count_ids([predicted_raw_id]))
    ids["ground truth"].update(count_ids([true_raw_id]))


#: Mistake of the ids -> what to say of it.
_ID_MISTAKES = {
    "train_indices": "look like train indices and not like raw ids, so that every class is taken for another",
    "wrong_label_set": "look like ids of another label set; --labels names the set of both folders",
}


def _warnings(
    confusion: Confusion,
    ids: Mapping[str, Mapping[int, int]],
    missing: tuple[str, ...],
    label_space: LabelSpace,
) -> list[str]:
    warnings = []
    for what, counts in ids.items():
        if what == "ground truth":
            # What is not scored may have any id below the classes' own.
            counts = {i: n for i, n in counts.items() if i > 0 and i != label_space.unlabelled_raw_id}
        kind, evidence = (diagnose_ids(counts, label_space) if counts else None) or ("", "")
        if kind in _ID_MISTAKES:
            warnings.append(f"Ids of the {what} {_ID_MISTAKES[kind]}: {evidence}.")
    num_vertices = sum(ids["ground truth"].values())
    if missing:
        warnings.append(
            f"{_shortlist(list(missing))} with ground truth and without a prediction: NOT evaluated, as "
            "in the official script. This is no result of the whole split."
        )
    labelled = int(confusion.counts.sum())
    if labelled < 0.5 * num_vertices:
        warnings.append(
            f"Only {labelled:,} of {num_vertices:,} vertices have a class of {label_space.name} in the "
            "ground truth. Are its files raw ids of this label set?"
        )
    unknown = int(confusion.counts[:, confusion.unknown].sum())
    if unknown > 0.5 * labelled:
        warnings.append(
            f"{unknown:,} of {labelled:,} predictions are no class of {label_space.name} and count as "
            "misses. Are the files raw ids of this label set, and not train indices?"
        )
    return warnings


def _shortlist(names: list[str], limit: int = 5) -> str:
    noun = "file or scene" if len(names) == 1 else "files or scenes"
    shown = ", ".join(names[:limit]) + (", ..." if len(names) > limit else "")
    return f"{len(names)} {noun} ({shown})"


def score(
    prediction_folder: Path,
    truth_folder: Path,
    *,
    labels: str,
    json_path: Path | None = None,
    classes: bool = False,
) -> Score:
    """The verb: score two folders, print the report and write it as JSON."""
    check_destination(json_path)
    label_space = find_label_space(labels)
    stderr = Console(stderr=True)
    with Progress(console=stderr, transient=True) as progress:
        task = progress.add_task("scoring", total=len(_text_files(prediction_folder)))
        result = score_folders(
            prediction_folder, truth_folder, label_space, scored=lambda _: progress.advance(task)
        )
    print_report(result.report, Console(), classes=classes, title=f"{len(result.scenes)} scenes, mean IoU")
    for warning in result.warnings:
        stderr.print(f"WARNING: {warning}", style="bold yellow", highlight=False)
    if json_path is not None:
        write_json(json_path, result.to_dict())
    return result
