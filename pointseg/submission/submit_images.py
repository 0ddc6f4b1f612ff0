"""The part of `pointseg submit` that knows images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pointseg.core.image import ImageScene
from pointseg.data.source import Source
from pointseg.evaluation.evaluate import predict_store
from pointseg.formats.image_submission import check_image_submission, write_image_submission
from pointseg.formats.submission import SubmissionCheck
from pointseg.images.dataset import ImageData
from pointseg.images.layouts import LAYOUTS
from pointseg.runs.checkpoint import TrainedRun


def write_images(
    run: TrainedRun, store: Source, names: Sequence[str], path: Path, views: int | None
) -> SubmissionCheck:
    """Predict images, write the zip in the ids that the benchmark's server takes, and check it.

    Raises:
        ValueError: if the data have other classes than the run.
    """
    assert isinstance(run.experiment.data, ImageData)
    layout = LAYOUTS[run.experiment.data.layout]
    space = layout.server_classes(store.path)
    if space.names != run.label_space.names or store.label_space.raw_ids != run.label_space.raw_ids:
        raise ValueError(
            f"{store.path} has other classes than {run.label_space.name!r}, for which the run was trained."
        )
    expected = {n: (int(store.entry(n)["height"]), int(store.entry(n)["width"])) for n in names}
    predicted = predict_store(run, store, names, views=views)
    write_image_submission(
        path,
        (
            (image.name, space.decode(prediction.train_index).reshape(image.height, image.width))
            for image, prediction in predicted
            if isinstance(image, ImageScene)
        ),
    )
    return check_image_submission(path, space, expected, layout.rules)
