"""`pointseg submit`: predictions of a trained run as the zip for the test server, and checked."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from rich.console import Console

from pointseg.core.destination import check_destination, naming
from pointseg.core.durable import move
from pointseg.data.source import Source
from pointseg.evaluation.evaluate import predict_store
from pointseg.formats.archive import check_names
from pointseg.formats.submission import SubmissionCheck, check_submission, write_submission
from pointseg.prediction.predict import check_views
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.submission.check import print_advice
from pointseg.submission.submit_images import write_images


def submit(
    run_folder: Path,
    output: Path,
    *,
    split: str = "test",
    views: int | None = None,
    checkpoint: Literal["best", "last"] = "best",
    data: Path | None = None,
    device: str = "auto",
    engine: str | None = None,
) -> SubmissionCheck:
    """The verb: predict a split, write the zip, check it, and only then give it its name.

    Args:
        run_folder: RUN folder of `pointseg train`.
        output: the zip file: a text for each scan, or a PNG for each image.
        split: split of the store.
        views: test-time views; those of the run's configuration if None.
        checkpoint: ``best`` or ``last``.
        data: store; that of the run's configuration if None.
        device: where to run.
        engine: what convolves; as configured if None.

    Raises:
        ValueError: if the result does not pass the check; it stays as ``<output>.rejected``.
    """
    output = Path(output)
    check_destination(output)
    check_views(views)
    run = load_run(run_folder, checkpoint=checkpoint, device=device, engine=engine)
    store = run.open_data(data)
    names = store.scene_names(split)
    is_of_scans = run.experiment.data.kind == "scans"
    check_names(output, names, ".txt" if is_of_scans else ".png")
    rejected = output.with_name(f"{output.name}.rejected")
    with naming(rejected):
        check = (_write_scans if is_of_scans else write_images)(run, store, names, rejected, views)
    if not check.is_valid:
        messages = "\n".join(problem.message for problem in check.problems)
        raise ValueError(f"{rejected} is not fit for the server:\n{messages}")
    move(rejected, output)
    console = Console()
    console.print(
        f"{output}: {check.num_scenes} {store.members}, {check.num_vertices:,} {store.unit}, checked.",
        soft_wrap=True,
    )
    if is_of_scans:
        print_advice({name: store.num_vertices(name) for name in names}, output, console)
    return check


def _write_scans(
    run: TrainedRun, store: Source, names: Sequence[str], path: Path, views: int | None
) -> SubmissionCheck:
    predictions = predict_store(run, store, names, views=views)
    write_submission(path, ((s.name, run.label_space.decode(p.train_index)) for s, p in predictions))
    return check_submission(path, run.label_space, {name: store.num_vertices(name) for name in names})
