"""`pointseg evaluate`: a trained run on every vertex of a labelled split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from pointseg.core.destination import check_destination, check_destination_folder
from pointseg.core.durable import write_json
from pointseg.core.member import Member
from pointseg.core.memory import keep_freed_memory
from pointseg.core.prediction import ScenePrediction
from pointseg.data.source import Source
from pointseg.evaluation.collapse import CollapseReport, print_collapse
from pointseg.evaluation.collapse_watch import CollapseWatch
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.ranked import RankedConfusion
from pointseg.evaluation.report import Report, print_report
from pointseg.formats.label_text import write_labels
from pointseg.models.precision import Amp
from pointseg.prediction.predict import check_views, predict_scenes
from pointseg.runs.checkpoint import TrainedRun, load_run


@dataclass(frozen=True)
class Evaluation:
    """The outcome of evaluating a run.

    Args:
        report: IoU and means over all vertices of the scenes.
        scenes: names of the evaluated scenes.
        unlabelled: scenes of the split that have no labels; they were left out.
        views: test-time views of each scene.
        step: optimiser steps behind the weights.
        collapse: neural-collapse diagnostics over the labelled voxels.
        heads: reports of the heads beside the main one.
        ranked: k -> report over all labels of a vertex, right where one of the k most probable classes is;
            for data sets with several labels, see :class:`pointseg.evaluation.ranked.RankedConfusion`.
    """

    report: Report
    scenes: tuple[str, ...]
    unlabelled: tuple[str, ...]
    views: int
    step: int
    collapse: CollapseReport
    heads: Mapping[str, Report] = field(default_factory=dict)
    ranked: Mapping[int, Report] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Evaluation({len(self.scenes)} scenes, {self.views} views, step {self.step}: {self.report!r})"

    def _repr_html_(self) -> str:
        return self.report._repr_html_()

    def to_dict(self) -> dict[str, Any]:
        heads = {name: report.to_dict() for name, report in self.heads.items()}
        ranked = {f"top{k}": report.to_dict() for k, report in self.ranked.items()}
        return {
            **self.report.to_dict(),
            **({"heads": heads} if heads else {}),
            **({"ranked": ranked} if ranked else {}),
            "num_scenes": len(self.scenes),
            "unlabelled_scenes": list(self.unlabelled),
            "views": self.views,
            "step": self.step,
            "collapse": self.collapse.to_dict(),
        }


def evaluate(
    run_folder: Path | str,
    *,
    split: str = "val",
    views: int | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data: Path | str | None = None,
    device: str = "auto",
    engine: str | None = None,
    amp: Amp | None = None,
    json_path: Path | str | None = None,
    save_text: Path | str | None = None,
    classes: bool = False,
    logit_adjustment_tau: float | None = None,
    tau_normalisation: float | None = None,
) -> Evaluation:
    """The verb: evaluate a run, print the report, write it as JSON.

    Args:
        run_folder: RUN folder of `pointseg train`.
        split: split of the store.
        views: test-time views; those of the run's configuration if None.
        checkpoint: ``best`` or ``last``.
        data: store; that of the run's configuration if None.
        device: where to run.
        engine: what convolves; as configured if None.
        amp: type of the forward pass, ``none``, ``bf16`` or ``fp16``; as configured if None.
        json_path: file for the numbers.
        save_text: folder for text files, ``pred/<scene>.txt`` and ``gt/<scene>.txt`` in raw ids, which
            `pointseg score` reads.
        classes: print every class.
        logit_adjustment_tau: strength of the post-hoc logit adjustment; that of the run's configuration if
            None.
        tau_normalisation: likewise of the post-hoc normalisation of the classifier.

    Raises:
        ValueError: if the split has no labels, or the store another label set than the run.
    """
    check_views(views)
    check_destination(json_path)
    check_destination_folder(save_text)
    run = load_run(
        run_folder,
        checkpoint=checkpoint,
        device=device,
        logit_adjustment_tau=logit_adjustment_tau,
        tau_normalisation=tau_normalisation,
        engine=engine,
        amp=amp,
    )
    store = run.open_data(None if data is None else Path(data))
    names = store.scene_names(split)
    labelled = [name for name in names if store.has_labels(name)]
    if not labelled:
        raise ValueError(
            f"{store.path}: no scene of split {split!r} has labels, so there is nothing to compare with. "
            "Evaluate a labelled split such as val; for the test split use `pointseg submit`."
        )
    views = views or run.experiment.evaluate.views
    if save_text is not None:
        _make_room(Path(save_text), labelled)
    confusion = Confusion(run.label_space.num_classes)
    derived = run.experiment.evaluated_labels(run.label_space)
    others = {head: Confusion(labels.space.num_classes) for head, labels in derived.items()}
    # Top-1 and Top-k, where the benchmark takes k classes.
    top = run.experiment.data.submitted_ranks(run.label_space)
    ranked = RankedConfusion(run.label_space.num_classes, sorted({1, top}))
    several = False
    watch = CollapseWatch(run.segmenter, run.label_space, run.device)
    with watch.watching():
        for scene, prediction in predict_store(
            run, store, labelled, views=views, top=top, heads=tuple(derived)
        ):
            assert scene.raw_label is not None
            truth = run.label_space.encode(scene.raw_label)
            confusion.update(truth, prediction.train_index)
            for head, labels in derived.items():
                others[head].update(labels.encode(scene.raw_label), prediction.others[head].train_index)
            if scene.further_label is not None and prediction.top_index is not None:
                several = True
                further = run.label_space.encode(scene.further_label)
                ranked.update(np.column_stack([truth, further]), prediction.top_index)
            if save_text is not None:
                _save_text(Path(save_text), run, scene, prediction)
    report = Report.from_confusion(confusion, run.label_space)
    unlabelled = tuple(name for name in names if name not in set(labelled))
    reports = {head: Report.from_confusion(others[head], labels.space) for head, labels in derived.items()}
    of_ranks = {k: Report.from_confusion(c, run.label_space) for k, c in ranked.confusions.items()}
    result = Evaluation(
        report,
        tuple(labelled),
        unlabelled,
        views,
        run.step,
        watch.report(),
        reports,
        of_ranks if several else {},
    )
    _show(result, split, store, classes=classes)
    if json_path is not None:
        about = {"run": str(run_folder), "split": split, "checkpoint": checkpoint}
        write_json(Path(json_path), about | result.to_dict())
    return result


def predict_store(
    run: TrainedRun,
    store: Source,
    names: Sequence[str],
    *,
    views: int | None = None,
    top: int = 1,
    heads: Sequence[str] = (),
) -> Iterator[tuple[Member, ScenePrediction]]:
    """Each scene of a store with its prediction, under a progress bar with the time left.

    How the store differs from what the run was trained on is said first.

    With ``top`` from 2 on, a prediction has this many most probable classes of every row; with ``heads``,
    those of further heads of the network too.
    """
    options = run.experiment.evaluate
    console = Console(stderr=True)
    for doubt in run.doubts_about(store, names):
        console.print(
            f"WARNING: {doubt}.", style="bold yellow", markup=False, highlight=False, soft_wrap=True
        )
    if run.device.type == "cpu":
        keep_freed_memory()
    columns = (
        TextColumn("predicting"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn(store.members),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as progress:
        for name in progress.track(names, description="predicting"):
            scene = store.load(name)
            predicted = predict_scenes(
                run.segmenter,
                run.pipeline,
                [scene],
                views=views or options.views,
                max_tile_points=options.max_tile_points,
                top=top,
                heads=heads,
            )
            yield scene, next(predicted)


def _make_room(folder: Path, names: Sequence[str]) -> None:
    """Remove what an earlier evaluation wrote of these scenes: if this one is stopped, none stays behind.

    Raises:
        ValueError: if the folder holds texts of other scenes, which would be scored along with these.
    """
    for part in ("pred", "gt"):
        there = {file.stem: file for file in (folder / part).glob("*.txt")}
        others = sorted(set(there) - set(names))
        if others:
            raise ValueError(
                f"{folder / part}: holds {len(others)} texts of other scenes, such as {others[0]}.txt, of "
                "another split or run; `pointseg score` would count them too. Choose another folder, or "
                "delete them."
            )
        for file in there.values():
            file.unlink()


def _save_text(folder: Path, run: TrainedRun, scene: Member, prediction: ScenePrediction) -> None:
    assert scene.raw_label is not None
    for part, raw_id in (("pred", run.label_space.decode(prediction.train_index)), ("gt", scene.raw_label)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        write_labels(folder / part / f"{scene.name}.txt", raw_id)


def _show(result: Evaluation, split: str, store: Source, *, classes: bool) -> None:
    views = f"{result.views} view" + ("s" if result.views > 1 else "")
    title = f"{split}, {len(result.scenes)} {store.members}, {views}: mean IoU"
    print_report(result.report, Console(), classes=classes, title=title, unit=store.unit)
    for k, of_rank in result.ranked.items():
        print_report(
            of_rank, Console(), title=f"Top-{k} over all labels of a vertex, {title}", unit=store.unit
        )
    for head, of_head in result.heads.items():
        print_report(of_head, Console(), classes=classes, title=f"head {head}, {title}", unit=store.unit)
    print_collapse(result.collapse, Console())
    if result.unlabelled:
        Console(stderr=True).print(
            f"WARNING: {len(result.unlabelled)} {store.members} of {split} have no labels and were left out.",
            style="bold yellow",
            highlight=False,
        )
