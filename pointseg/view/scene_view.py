"""SceneView: one scene and all that is known of its classes; the source of every picture and page."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from functools import cached_property
from html import escape
from typing import Any, cast

import numpy as np
import numpy.typing as npt

from pointseg.core.image import ImageScene
from pointseg.core.labels import LabelSpace
from pointseg.core.member import Member
from pointseg.core.notebook import html_table, share
from pointseg.core.prediction import ScenePrediction
from pointseg.core.scene import Scene
from pointseg.core.words import counted
from pointseg.evaluation.confusion import Confusion

Colors = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

UNLABELLED_COLOR = (168, 172, 178)
CORRECT_COLOR = (163, 193, 224)
WRONG_COLOR = (213, 52, 45)


@dataclass(frozen=True)
class SceneView:
    """One scene with its truth and its prediction, whichever there is.

    Args:
        scene: the vertices, or the pixels of a picture.
        label_space: the classes.
        truth: (P,) train index or IGNORE, or None where the scene is not labelled.
        predicted: (P,) train index, or None where no network was asked.
        confidence: (P,) probability of the predicted class, or None.
        top_index: (P, n) the most probable classes, or None.
        top_probability: (P, n) their probabilities, or None.
        frequency: (K,) share of every class in the training data, or None.
        vertex: (P,) numbers of the vertices in their file, where the view is a choice of them; else None.
    """

    scene: Member
    label_space: LabelSpace
    truth: Indices | None = None
    predicted: Indices | None = None
    confidence: npt.NDArray[np.float32] | None = None
    top_index: npt.NDArray[np.integer] | None = None
    top_probability: npt.NDArray[np.float32] | None = None
    frequency: npt.NDArray[np.float64] | None = None
    vertex: Indices | None = None

    @classmethod
    def of(
        cls,
        scene: Member,
        label_space: LabelSpace,
        prediction: ScenePrediction | None = None,
        frequency: npt.NDArray[np.float64] | None = None,
    ) -> SceneView:
        truth = None if scene.raw_label is None else label_space.encode(scene.raw_label)
        if prediction is None:
            return cls(scene, label_space, truth, frequency=frequency)
        return cls(
            scene,
            label_space,
            truth,
            prediction.train_index,
            prediction.confidence,
            prediction.top_index,
            prediction.top_probability,
            frequency,
        )

    def __repr__(self) -> str:
        held = [name for name in ("truth", "predicted", "confidence") if getattr(self, name) is not None]
        return f"SceneView({self.scene!r}, {', '.join(held) or 'no classes'})"

    def _repr_html_(self) -> str:
        # Drawing takes a second, so the pictures are made only where somebody looks at them.
        from pointseg.view.gallery.thumbnails import thumbnails

        pictures = "".join(
            f'<figure style="display:inline-block;margin:0 8px 0 0"><figcaption>{name}</figcaption>'
            f'<img src="data:image/jpeg;base64,{b64encode(picture).decode("ascii")}"></figure>'
            for name, picture in thumbnails(self, SceneSummary.of(self)).items()
        )
        return f"<div><strong>{escape(repr(self))}</strong><div>{pictures}</div></div>"

    @property
    def scan(self) -> Scene:
        """The scene as points in space; only what is no picture is drawn as such."""
        assert self.scene.picture_size is None
        return cast(Scene, self.scene)

    @property
    def num_vertices(self) -> int:
        return self.scene.num_vertices

    @cached_property
    def is_wrong(self) -> npt.NDArray[np.bool_] | None:
        """(P,) labelled vertices whose predicted class is another one; None unless there are both."""
        if self.truth is None or self.predicted is None:
            return None
        return (self.truth >= 0) & (self.truth != self.predicted)

    def class_colors(self, train_index: Indices) -> Colors:
        """(P, 3) class colours; grey where there is no label."""
        table = np.vstack([self.label_space.color_table, np.array([UNLABELLED_COLOR], np.uint8)])
        return table[np.where(train_index >= 0, train_index, self.label_space.num_classes)]

    def error_colors(self) -> Colors:
        """(P, 3) red where wrong, pale where right, grey where there is no label."""
        assert self.truth is not None and self.is_wrong is not None
        colors = np.full((self.num_vertices, 3), CORRECT_COLOR, dtype=np.uint8)
        colors[self.truth < 0] = UNLABELLED_COLOR
        colors[self.is_wrong] = WRONG_COLOR
        return colors

    def input_colors(self) -> Colors:
        """(P, 3) colours of the scan; shades of its height where the scan has none."""
        if self.scene.rgb is not None:
            return np.asarray(self.scene.rgb)
        z = np.asarray(self.scan.xyz_m[:, 2], dtype=np.float64)
        low, high = np.percentile(z, (1, 99)) if len(z) else (0.0, 1.0)
        height = np.clip((z - low) / max(high - low, 1e-6), 0, 1)
        below, above = np.array([58, 82, 120.0]), np.array([240, 226, 190.0])
        # From a table: of tens of millions of vertices three channels of float64 would take a gigabyte.
        shades = (below + np.linspace(0, 1, 256)[:, None] * (above - below)).astype(np.uint8)
        return shades[(255 * height).astype(np.uint8)]

    def select(self, rows: npt.NDArray[Any]) -> SceneView:
        """The vertices at ``rows``, (M,) int64 or (P,) bool."""
        old = self.scan
        rgb, normal = _picked(old.rgb, rows), _picked(old.normal, rows)
        return self._chosen(Scene(old.name, old.xyz_m[rows], rgb=rgb, normal=normal), rows)

    def sampled_pixels(self, rows: npt.NDArray[np.int64]) -> SceneView:
        """A smaller picture of the pixels at ``rows``, (h, w) places in reading order."""
        rgb = self.scene.rgb
        assert self.scene.picture_size is not None and rgb is not None
        (height, width), flat = rows.shape, rows.ravel()
        return self._chosen(ImageScene(self.scene.name, height, width, np.asarray(rgb)[flat]), flat)

    def _chosen(self, scene: Member, rows: npt.NDArray[Any]) -> SceneView:
        vertex = np.arange(self.num_vertices) if self.vertex is None else self.vertex
        return SceneView(
            scene,
            self.label_space,
            _picked(self.truth, rows),
            _picked(self.predicted, rows),
            _picked(self.confidence, rows),
            _picked(self.top_index, rows),
            _picked(self.top_probability, rows),
            self.frequency,
            vertex[rows],
        )

    def thinned(self, max_points: int) -> SceneView:
        """At most this many vertices, chosen evenly at random with a fixed seed, in file order."""
        return self if self.num_vertices <= max_points else self.select(self.choice(max_points))

    def choice(self, max_points: int) -> Indices:
        """(max_points,) places of the vertices that :meth:`thinned` keeps, of a larger scene."""
        return np.sort(np.random.default_rng(0).choice(self.num_vertices, max_points, replace=False))


def _picked(values: npt.NDArray[Any] | None, rows: npt.NDArray[Any]) -> npt.NDArray[Any] | None:
    return None if values is None else values[rows]


@dataclass(frozen=True)
class ClassInView:
    """One line of a legend.

    Args:
        train_index: the class.
        name: its name.
        group: head, common, tail or empty.
        color: r, g, b.
        count: labelled vertices of it; without labels, predicted ones.
        share: part of all labelled (or, without labels, of all predicted) vertices, 0..1.
        iou: within this scene, or None where truth or prediction is missing.
    """

    train_index: int
    name: str
    group: str
    color: tuple[int, int, int]
    count: int
    share: float
    iou: float | None


@dataclass(frozen=True)
class SceneSummary:
    """Numbers of one scene over all of its vertices.

    Args:
        classes: those that occur in the truth or the prediction, the largest first.
        num_vertices: all vertices.
        num_labelled: vertices with a true class; 0 where the scene is not labelled.
        accuracy: share of the labelled vertices that are right, or None.
        miou: mean IoU over the classes that the truth of this scene has, or None.
    """

    classes: tuple[ClassInView, ...]
    num_vertices: int
    num_labelled: int
    accuracy: float | None
    miou: float | None

    def __repr__(self) -> str:
        miou = "" if self.miou is None else f", mIoU {100 * self.miou:.2f} %"
        classes = counted(len(self.classes), "classes")
        return f"SceneSummary({classes}, {self.num_labelled} of {self.num_vertices} vertices labelled{miou})"

    def _repr_html_(self) -> str:
        rows = [(c.name, c.group, f"{c.count:,}", share(c.share), share(c.iou)) for c in self.classes]
        headings = ("class", "group", "vertices", "share, %", "IoU, %")
        return html_table(repr(self), headings, rows, swatches=[c.color for c in self.classes])

    @classmethod
    def of(cls, view: SceneView) -> SceneSummary:
        labels = view.label_space
        true, predicted = _count(view.truth, labels), _count(view.predicted, labels)
        leading = predicted if view.truth is None else true
        present = np.flatnonzero((true > 0) | (predicted > 0))
        order = present[np.lexsort((-predicted[present], -leading[present]))]
        iou = np.full(labels.num_classes, np.nan)
        accuracy = miou = None
        if view.truth is not None and view.predicted is not None and true.any():
            confusion = Confusion(labels.num_classes).update(view.truth, view.predicted)
            union = confusion.tp + confusion.fp + confusion.fn
            iou[union > 0] = confusion.tp[union > 0] / union[union > 0]
            accuracy, miou = float(confusion.tp.sum() / true.sum()), float(iou[true > 0].mean())
        classes = tuple(
            ClassInView(
                train_index=c,
                name=labels.names[c],
                group=labels.groups[c],
                color=labels.colors[c],
                count=int(leading[c]),
                share=float(leading[c] / max(int(leading.sum()), 1)),
                iou=None if np.isnan(iou[c]) else float(iou[c]),
            )
            for c in order.tolist()
        )
        return cls(classes, view.num_vertices, int(true.sum()), accuracy, miou)


def _count(train_index: Indices | None, labels: LabelSpace) -> npt.NDArray[np.int64]:
    if train_index is None:
        return np.zeros(labels.num_classes, dtype=np.int64)
    return np.bincount(train_index[train_index >= 0], minlength=labels.num_classes).astype(np.int64)
