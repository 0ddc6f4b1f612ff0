"""`pointseg submit`: predictions of a trained run as the zip for the test server, and checked."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from rich.console import Console

from pointseg.core.destination import check_destination, naming
from pointseg.core.durable import move
from pointseg.evaluation.evaluate import predict_store
from pointseg.formats.archive import check_names
from pointseg.formats.submission import SubmissionCheck
from pointseg.models.precision import Amp
from pointseg.prediction.predict import check_views
from pointseg.runs.checkpoint import load_run
from pointseg.submission.check import print_remarks


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
    amp: Amp | None = None,
    description: Path | None = None,
) -> SubmissionCheck:
    """The verb: predict a split, write the zip, check it, and only then give it its name.

    Args:
        run_folder: RUN folder of `pointseg train`.
        output: the zip file, as the server of the run's label set wants it: a text for each scan, a file of
            numbers for each sweep, a PNG for each image.
        split: split of the store.
        views: test-time views; those of the run's configuration if None.
        checkpoint: ``best`` or ``last``.
        data: store; that of the run's configuration if None.
        device: where to run.
        engine: what convolves; as configured if None.
        amp: type of the forward pass, ``none``, ``bf16`` or ``fp16``; as configured if None.
        description: file with the text on the method that the server of SemanticKITTI takes.

    Raises:
        ValueError: if the result does not pass the check; it stays as ``<output>.rejected``.
    """
    output = Path(output)
    check_destination(output)
    check_views(views)
    text = None if description is None else description.read_bytes()
    run = load_run(run_folder, checkpoint=checkpoint, device=device, engine=engine, amp=amp)
    kind = run.experiment.data
    store = run.open_data(data)
    names = store.scene_names(split)
    check_names(output, names, kind.checker.suffixes[0])
    rejected = output.with_name(f"{output.name}.rejected")
    predicted = predict_store(run, store, names, views=views, top=kind.submitted_ranks(run.label_space))
    with naming(rejected):
        check = kind.write_submission(rejected, store, names, run.label_space, predicted, text)
    if not check.is_valid:
        messages = "\n".join(problem.message for problem in check.problems)
        raise ValueError(f"{rejected} is not fit for the server:\n{messages}")
    move(rejected, output)
    console = Console()
    console.print(
        f"{output}: {check.num_scenes} {check.members}, {check.num_vertices:,} {check.unit}, checked.",
        soft_wrap=True,
    )
    print_remarks(check, console)
    return check
