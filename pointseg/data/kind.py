"""Kind: the one door to a kind of data. Everything that is done otherwise for scans than for images is here.

The verbs ask ``experiment.data``, a row of ``pointseg.experiment.DATASETS``, and never which kind it is. A
new kind is a room of its own, such as ``pointseg/scans``, whose row derives from :class:`Kind`.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar, Protocol, TypeVar

import torch
from pydantic import Field
from torch import nn

from pointseg.config import Config
from pointseg.core.batch import Batch
from pointseg.core.labels import LabelSpace
from pointseg.core.prediction import ScenePrediction
from pointseg.data.reader import SceneReader
from pointseg.data.source import Source
from pointseg.data.tune import with_tune_split
from pointseg.formats.submission import SubmissionCheck

S = TypeVar("S", bound=Source)

#: Test-time views that every kind of data offers.
NUM_VIEWS = 8


class Pipeline(Protocol):
    """Scenes or images in, batches on a device out.

    Attributes:
        device: where the batches are.
        num_features: input channels of the network.
    """

    device: torch.device

    @property
    def num_features(self) -> int: ...

    def train_batch(self, scenes: Sequence[Any], seed: int) -> Batch:
        """Augmented members as a batch, a function of ``seed`` and the positions in the batch."""
        ...

    def eval_batch(self, scenes: Sequence[Any], view: int = 0) -> Any:
        """Whole members without augmentation, as test-time view ``view`` shows them."""
        ...

    def predict(
        self,
        network: nn.Module,
        scene: Any,
        *,
        views: int,
        max_tile_points: int | None,
        top: int = 1,
        heads: Sequence[str] = (),
        entropy: bool = False,
    ) -> ScenePrediction:
        """The prediction for every row of one member; ``network`` is in evaluation mode.

        Args:
            network: maps a batch to a Prediction.
            scene: a scene or image.
            views: test-time views, 1..NUM_VIEWS.
            max_tile_points: rows that may be predicted at once, where the kind can be cut; None never cuts.
            top: from 2 on, this many most probable classes of every row are given too.
            heads: further heads of the network whose predictions are wanted in ``others``.
            entropy: give that of every row too.
        """
        ...


class DataFile(Protocol):
    """A scene or image from a single file, with what is needed to write it back.

    Attributes:
        unit: what people call its rows: points, pixels.
        scene: the member.
        remarks: what is doubtful about the file, for people.
        guesses: what was made for it that the network sees and the file lacks, and what that costs; nothing
            to worry about where the network was trained on such guesses.
    """

    unit: ClassVar[str]

    @property
    def scene(self) -> Any: ...

    @property
    def guesses(self) -> Mapping[str, str]: ...

    @property
    def remarks(self) -> tuple[str, ...]: ...

    def write_labelled(
        self,
        path: Path,
        prediction: ScenePrediction,
        label_space: LabelSpace,
        *,
        keep_colors: bool,
        save: Sequence[str] = (),
    ) -> None:
        """Write the file with the predicted classes, and what else is to be saved of the prediction.

        Args:
            path: the file to write, of one of the suffixes that :meth:`Kind.labelled_suffixes` names.
            prediction: for its rows.
            label_space: the classes.
            keep_colors: whether the file's own colours stay where those of the classes could be.
            save: names of :data:`pointseg.core.extras.EXTRAS`.

        Raises:
            ValueError: if a file of that format cannot hold it.
        """
        ...


class SubmissionChecker(Protocol):
    """What ``pointseg check-submission`` does with a zip of this kind.

    A dataclass whose fields are the options of the verb; all have a default.

    Attributes:
        suffixes: what the names of the files in the zip end with, the usual one first.
    """

    suffixes: ClassVar[tuple[str, ...]]

    def check(self, path: Path) -> SubmissionCheck:
        """Find every mistake.

        Raises:
            ValueError: for options from which it does not follow what is expected.
        """
        ...


class Kind(Config):
    """Options of a data set, and all that is particular to its kind; a row adds ``type: Literal[...]``.

    Args:
        path: its folder.
        train_split: split to train on.
        val_split: split to validate on, or None for no validation.
        passes: how often an epoch goes through the scenes; it scales ``train.epochs`` and nothing else.
        repeat_threshold: scenes with a class that fewer than this share of the scenes hold come more
            often, see ``pointseg.training.sampling``; an epoch has as many scenes as without. None: all
            scenes alike.
        tune_share: share of the training scenes that is set apart as split ``tune``, see
            ``pointseg.data.tune``; None sets none apart. ``val_split: tune`` compares settings on it.
        tune_seed: of that cut.

    Attributes:
        kind: what it is called; networks say which kind they are for.
        file_suffixes: what files of single members end with.
        keeps_more: whether a labelled file has room for the member's own colours and for further numbers.
        checker: the class that checks submissions, a :class:`SubmissionChecker`.
        more_rows: the setting that gives the deepest level of a network more rows, for messages.
    """

    kind: ClassVar[str]
    file_suffixes: ClassVar[tuple[str, ...]]
    keeps_more: ClassVar[bool]
    checker: ClassVar[Any]
    more_rows: ClassVar[str]

    path: Path
    train_split: str = "train"
    val_split: str | None = "val"
    passes: int = Field(default=1, ge=1)
    repeat_threshold: float | None = Field(default=None, gt=0, le=1)
    tune_share: float | None = Field(default=None, gt=0, lt=1)
    tune_seed: int = Field(default=0, ge=0)

    def cut(self, source: S) -> S:
        """A data set with the tune split that is asked for."""
        if self.tune_share is None:
            return source
        entries = with_tune_split(source.entries, self.train_split, self.tune_share, self.tune_seed)
        return replace(source, entries=entries)

    @abstractmethod
    def open(self) -> Source:
        """The data set.

        Raises:
            FileNotFoundError: if there is none at ``path``.
        """

    @abstractmethod
    def check(self, augment: Sequence[Any], mix3d_p: float) -> None:
        """Raises ValueError for settings of the training that this kind cannot follow."""

    def check_scenes(self, store: Any, names: Sequence[str]) -> list[str]:
        """Look at members before the first step, as far as that is quick; what the user ought to know.

        Raises:
            ValueError: naming one that cannot be used, which would end a training only when it is its turn.
        """
        return []

    @abstractmethod
    def build_reader(self, store: Any, names: Sequence[str], *, seed: int) -> SceneReader:
        """What loader workers do with the data set that :meth:`open` gave.

        Raises:
            ValueError: for options that this data set cannot follow.
        """

    @abstractmethod
    def build_pipeline(
        self,
        label_space: LabelSpace,
        device: torch.device | str,
        *,
        augment: Sequence[Any] = (),
        mix3d_p: float = 0.0,
    ) -> Pipeline:
        """What makes batches on a device."""

    @abstractmethod
    def read_file(self, path: Path, *, unit: str | None = None, want_labels: bool = False) -> DataFile:
        """A single file, with what the network wants to see of it.

        Args:
            path: the file.
            unit: unit of the positions, for kinds that have some; what the file says if None.
            want_labels: whether its labels are wanted too, where a file of this kind may have some.

        Raises:
            FileNotFoundError: if there is none.
            ValueError: if it cannot be read, or a unit is given and nothing has one.
        """

    @abstractmethod
    def labelled_suffixes(self, source: Path) -> tuple[str, ...]:
        """What a file with the predicted classes of this one may end with, the usual one first."""

    @abstractmethod
    def write_submission(
        self,
        path: Path,
        store: Any,
        names: Sequence[str],
        label_space: LabelSpace,
        predicted: Iterable[tuple[Any, ScenePrediction]],
        description: bytes | None = None,
    ) -> SubmissionCheck:
        """Write the zip that the data set's test server takes, and check what was written.

        Args:
            path: the zip file.
            store: what :meth:`open` gave.
            names: the members that it must hold.
            label_space: the classes of the predictions.
            predicted: each of these members with its prediction, consumed one by one, with the
                :meth:`submitted_ranks` most probable classes.
            description: text on the method, for servers that take one in the zip.

        Raises:
            ValueError: if the data have other classes than the predictions, or the server takes no
                description.
        """

    def submitted_ranks(self, label_space: LabelSpace) -> int:
        """How many classes of every row the test server takes, the most probable one first."""
        return 1

    def check_file_name(self, path: Path) -> None:
        """Raises ValueError for a file that is none of this kind by its name."""
        if path.is_dir():
            raise ValueError(f"{path}: this is a folder; give one file of {self.kind}.")
        if path.suffix.lower() not in self.file_suffixes:
            raise ValueError(
                f"{path}: this run was trained on {self.kind} and cannot read "
                f"{path.suffix or 'a file without suffix'}; can {', '.join(self.file_suffixes)}."
            )
