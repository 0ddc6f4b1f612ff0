"""Collection: the scenes that a gallery shows, and the runs that predict them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

from pointseg.core.labels import LabelSpace
from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.data.source import Source
from pointseg.prediction.options import MAX_TILE_POINTS
from pointseg.prediction.predict import predict_scene
from pointseg.runs.checkpoint import TrainedRun, load_run
from pointseg.runs.door import find_run, no_run, open_run
from pointseg.scans.store import Store
from pointseg.view.scene_view import SceneView

#: What is predicted of a scene; None where nothing is yet.
Predictor: TypeAlias = Callable[[Member], ScenePrediction | None]
#: Classes with their probability that are kept of every vertex.
TOP = 5


@dataclass(frozen=True)
class Collection:
    """Scenes of one split of one data set, and runs that predict them.

    Args:
        source: the data set.
        split: the split that is shown.
        names: its scenes or images that have a vertex, sorted.
        label_space: the classes: those of the runs, or of the data set where there is no run.
        runs: name of every run, and what predicts.
        frequency: (K,) share of every class in the training data, or None where it is not known.
    """

    source: Source
    split: str
    names: tuple[str, ...]
    label_space: LabelSpace
    runs: tuple[tuple[str, Predictor], ...] = ()
    frequency: npt.NDArray[np.float64] | None = None

    @property
    def num_columns(self) -> int:
        """What can be seen of every scene: one prediction for each run, or the data alone."""
        return max(1, len(self.runs))

    @property
    def has_truth(self) -> bool:
        return any(self.source.has_labels(name) for name in self.names)

    def view(self, name: str, column: int = 0) -> SceneView:
        """A scene with what run ``column`` predicts for it; without runs, the data alone.

        Raises:
            ValueError: for a scene that cannot be read or predicted.
        """
        scene = self.source.load(name)
        prediction = self.runs[column][1](scene) if self.runs else None
        return SceneView.of(scene, self.label_space, prediction, self.frequency)


def open_collection(
    sources: Sequence[Path],
    *,
    split: str = "val",
    store: Path | None = None,
    views: int = 1,
    checkpoint: Literal["best", "last"] = "best",
    device: str = "auto",
    engine: str | None = None,
) -> Collection:
    """The collection of a store, of runs, or of runs on a store.

    Args:
        sources: RUN folders and at most one STORE.
        split: the split to show.
        store: data to show instead of those that the runs were trained on; a STORE among ``sources`` does
            the same for runs on scans.
        views: test-time views.
        checkpoint: ``best`` or ``last``.
        device: see :func:`pointseg.runs.checkpoint.load_run`.
        engine: what convolves; as configured if None.

    Raises:
        FileNotFoundError: if a source is neither a run nor a store.
        ValueError: for several stores, runs of different classes or data, or a split without a scene.
    """
    folders = [path for path in sources if find_run(path) is not None]
    stores = [path for path in sources if path not in folders] + ([store] if store is not None else [])
    if len(stores) > 1:
        raise ValueError(f"One store can be shown at a time; got {', '.join(map(str, stores))}.")
    if not folders and not stores:
        raise ValueError("Give a STORE or at least one RUN.")
    if not folders:
        return _of_store(_open_store(stores[0]), split)
    loaded = [load_run(path, checkpoint=checkpoint, device=device, engine=engine) for path in folders]
    _check_alike(folders, loaded, stores)
    first = loaded[0]
    source = first.open_data(stores[0] if stores else None)
    statistics = open_run(folders[0]).read_class_statistics()
    frequency = None if statistics is None else shares(statistics.points.numpy())
    predictors = [partial(_predict, run, views=views) for run in loaded]
    runs = tuple(zip(short_names(folders), predictors, strict=True))
    return Collection(source, split, _names(source, split), first.label_space, runs, frequency)


def _predict(run: TrainedRun, scene: Member, *, views: int) -> ScenePrediction:
    return predict_scene(run, scene, views=views, max_tile_points=MAX_TILE_POINTS, top=TOP)


def short_names(paths: Sequence[Path]) -> list[str]:
    """Names of folders, with as many of their parents as tell them apart."""
    resolved = [path.resolve() for path in paths]
    for depth in range(1, max(len(path.parts) for path in resolved) + 1):
        names = ["/".join(path.parts[-depth:]) for path in resolved]
        if len(set(names)) == len(set(resolved)):
            break
    return names


def _of_store(source: Store, split: str) -> Collection:
    counts = None
    if "train" in source.splits() and any(source.has_labels(name) for name in source.scene_names("train")):
        counts = source.class_statistics("train").points.numpy()
    names = _names(source, split)
    frequency = None if counts is None else shares(counts)
    return Collection(source, split, names, source.label_space, frequency=frequency)


def _open_store(path: Path) -> Store:
    try:
        return Store.open(path)
    except FileNotFoundError:
        raise no_run(path, or_a="a store (manifest.json)") from None


def _names(source: Source, split: str) -> tuple[str, ...]:
    """Scenes of the split that have something to show."""
    names = tuple(name for name in source.scene_names(split) if source.num_vertices(name))
    if not names:
        raise ValueError(f"{source.path}: no scene of split {split!r} has a vertex: nothing to show.")
    return names


def _check_alike(folders: Sequence[Path], runs: Sequence[TrainedRun], stores: Sequence[Path]) -> None:
    first, space = runs[0], runs[0].label_space
    for path, run in zip(folders[1:], runs[1:], strict=True):
        if run.label_space != space:
            raise ValueError(
                f"{path} has the classes {run.label_space.name!r} ({run.label_space.num_classes}) and "
                f"{folders[0]} has {space.name!r} ({space.num_classes}), or they differ in a name or an id: "
                "runs beside each other need the same classes."
            )
        mine, other = first.experiment.data, run.experiment.data
        if mine.kind != other.kind:
            raise ValueError(f"{path} was trained on {other.kind} and {folders[0]} on {mine.kind}.")
        if not stores and mine.path.resolve() != other.path.resolve():
            raise ValueError(
                f"{path} was trained on {other.path} and {folders[0]} on {mine.path}: say which data to show "
                "with --data."
            )


def shares(counts: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """(K,) counts of points -> their shares of all."""
    return counts / max(int(counts.sum()), 1)
