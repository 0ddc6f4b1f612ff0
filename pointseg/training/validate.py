"""Validation during training: every vertex of every validation scene, counted once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from pointseg.core.derived_labels import DerivedLabels
from pointseg.core.distributed import Processes
from pointseg.core.labels import LabelSpace
from pointseg.core.member import Member
from pointseg.core.prediction import ScenePrediction
from pointseg.data.kind import Pipeline
from pointseg.data.source import Source
from pointseg.evaluation.collapse import CollapseReport
from pointseg.evaluation.collapse_watch import CollapseWatch
from pointseg.evaluation.confusion import Confusion
from pointseg.evaluation.report import Report
from pointseg.experiment import EvaluateConfig
from pointseg.prediction.predict import predict_scenes


@dataclass(frozen=True)
class Validation:
    """What a validation found.

    Args:
        report: IoU and means over all vertices.
        collapse: neural-collapse diagnostics over the labelled voxels.
        others: the same as ``report`` for each head beside the main one.
    """

    report: Report
    collapse: CollapseReport
    others: Mapping[str, Report] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"Validation({self.report!r})"


def validate(
    network: nn.Module,
    pipeline: Pipeline,
    store: Source,
    names: Sequence[str],
    options: EvaluateConfig,
    processes: Processes,
    *,
    derived: Mapping[str, DerivedLabels] | None = None,
    should_stop: Callable[[], bool],
    on_scene: Callable[[int, int], None],
    on_prediction: Callable[[Member, ScenePrediction], None] = lambda scene, prediction: None,
) -> Validation | None:
    """What holds over all scenes, on all processes; None if it was asked to stop on the way.

    Args:
        network: what predicts.
        pipeline: makes its batches.
        store: where the scenes are.
        names: labelled scenes; each process takes its share.
        options: test-time views and tiles.
        processes: who takes part.
        derived: labels of the network's heads beside the main one, by name.
        should_stop: asked between scenes.
        on_scene: told (scenes done, scenes of this process).
        on_prediction: told of each scene of this process, see :func:`scenes_of`.
    """
    space = store.label_space
    confusion = Confusion(space.num_classes)
    others = {head: Confusion(labels.space.num_classes) for head, labels in (derived or {}).items()}
    watch = CollapseWatch(network, space, processes.device)
    share = scenes_of(names, processes)
    for done, name in enumerate(share):
        on_scene(done, len(share))
        if should_stop():
            break
        scene = store.load(name)
        assert scene.raw_label is not None
        predicted = predict_scenes(
            network,
            pipeline,
            [scene],
            views=options.views,
            max_tile_points=options.max_tile_points,
            heads=tuple(derived or {}),
        )
        with watch.watching():
            prediction = next(predicted)
        confusion.update(space.encode(scene.raw_label), prediction.train_index)
        on_prediction(scene, prediction)
        for head, labels in (derived or {}).items():
            others[head].update(labels.encode(scene.raw_label), prediction.others[head].train_index)
    if processes.any(should_stop())[0]:
        return None
    return Validation(
        _report(confusion, space, processes),
        watch.report(processes),
        {head: _report(others[head], labels.space, processes) for head, labels in (derived or {}).items()},
    )


def scenes_of(names: Sequence[str], processes: Processes) -> Sequence[str]:
    """The scenes that this process predicts."""
    return names[processes.rank :: processes.world]


def _report(confusion: Confusion, space: LabelSpace, processes: Processes) -> Report:
    """Of the scenes of all processes."""
    total = processes.sum(torch.from_numpy(confusion.counts)).cpu().numpy()
    return Report.from_confusion(Confusion(space.num_classes, total), space)
