"""data_prep/nyu40.py: the HDF5 file of MATLAB, columns first, becomes pairs of PNG with 40 classes."""

from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from pointseg.core.labels import IGNORE
from pointseg.images.dataset import ImageSet

h5py = pytest.importorskip("h5py")

HEIGHT, WIDTH, COUNT = 3, 5, 4
#: 894 raw classes, 22 or 23 to each of the 40.
MAPPING = 1 + np.arange(894) % 40


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


class Files:
    """The three files with four images of random colours and labels."""

    def __init__(self, path: Path) -> None:
        self.path, random = path, np.random.default_rng(0)
        # As MATLAB sees them: H x W x 3 x N and H x W x N.
        self.images = random.integers(0, 256, (HEIGHT, WIDTH, 3, COUNT)).astype(np.uint8)
        self.labels = random.integers(0, 895, (HEIGHT, WIDTH, COUNT)).astype(np.uint16)
        self.labels[0, 0], self.labels[0, 1] = 0, 894
        self.write(images=self.images, labels=self.labels)
        self.splits([3, 1], [2])
        self.mapping(MAPPING)

    def write(self, **arrays: np.ndarray) -> None:
        with h5py.File(self.path / "labeled.mat", "w") as file:
            for name, values in arrays.items():
                # MATLAB writes its columns first; HDF5 sees the axes turned round.
                file.create_dataset(name, data=values.transpose(), compression="gzip")

    def splits(self, train: list[int], test: list[int]) -> None:
        columns = {"trainNdxs": np.array([train]).T, "testNdxs": np.array([test]).T}
        savemat(self.path / "splits.mat", columns)

    def mapping(self, values: np.ndarray) -> None:
        names = np.array([[f"class {i}" for i in range(40)]], object)
        savemat(self.path / "mapping.mat", {"mapClass": values[None], "className": names})

    def arguments(self) -> list[str]:
        names = ("labeled.mat", "mapping.mat", "splits.mat")
        return [*(str(self.path / name) for name in names), "-o", str(self.path / "out")]


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def test_images_stand_upright_and_labels_are_of_40_classes(nyu40: ModuleType, files: Files) -> None:
    assert nyu40.main(files.arguments()) == 0
    out = files.path / "out"
    written = sorted(str(p.relative_to(out)) for p in out.rglob("*.png"))
    assert written == [
        "train/images/0001.png",
        "train/images/0003.png",
        "train/labels/0001.png",
        "train/labels/0003.png",
        "val/images/0002.png",
        "val/labels/0002.png",
    ]
    to_class = {0: 0} | {raw: int(MAPPING[raw - 1]) for raw in range(1, 895)}
    for split, number in (("train", 1), ("train", 3), ("val", 2)):
        with Image.open(out / split / "images" / f"{number:04d}.png") as image:
            assert np.array_equal(np.array(image), files.images[..., number - 1])
        with Image.open(out / split / "labels" / f"{number:04d}.png") as label:
            assert label.mode == "P"
            raw = files.labels[..., number - 1]
            assert np.array(label).tolist() == [[to_class[int(value)] for value in row] for row in raw]


def test_training_reads_the_folder(nyu40: ModuleType, files: Files) -> None:
    nyu40.main(files.arguments())
    opened = ImageSet.open(files.path / "out", "nyu40", "train", (8, 8))
    assert opened.splits() == {"train": ["0001", "0003"], "val": ["0002"]}
    raw = opened.load("0002").raw_label
    assert raw is not None
    encoded = opened.label_space.encode(raw)
    assert encoded[0] == IGNORE and encoded[1] == MAPPING[893] - 1


def test_a_stopped_run_continues_and_keeps_what_is_written(
    nyu40: ModuleType, files: Files, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    save, saved = nyu40.save_png, []

    def stops(path: Path, picture: Image.Image) -> None:
        if len(saved) == 3:
            raise KeyboardInterrupt
        saved.append(path)
        save(path, picture)

    monkeypatch.setattr(nyu40, "save_png", stops)
    assert nyu40.main(files.arguments()) == 130
    # Image 3 has no label yet. What is there of image 1 is kept, whatever it is, and read at the end.
    (files.path / "out/train/images/0001.png").write_bytes(b"mine")
    monkeypatch.setattr(nyu40, "save_png", save)
    assert nyu40.main(files.arguments()) == 2
    assert (files.path / "out/train/images/0001.png").read_bytes() == b"mine"
    assert "cannot be read as an image" in capsys.readouterr().err.replace("\n", " ")
    assert nyu40.main([*files.arguments(), "--overwrite"]) == 0
    assert nyu40.main(files.arguments()) == 0
    assert "written 0, there already 3" in capsys.readouterr().err
    assert not list((files.path / "out").rglob(".*"))


def wrong(change: Callable[[Files], Any], message: str) -> Any:
    return pytest.param(change, message, id=message)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        wrong(lambda f: f.write(images=f.images), "expected an array 'labels'"),
        wrong(lambda f: f.write(images=f.images[..., :2], labels=f.labels), "expected images (N, 3, W, H)"),
        wrong(
            lambda f: f.write(images=f.images.transpose(1, 0, 2, 3), labels=f.labels),
            "expected images (N, 3, W, H) and labels (N, W, H)",
        ),
        wrong(lambda f: f.write(images=f.images / 255.0, labels=f.labels), "expected images of bytes"),
        wrong(lambda f: (f.path / "labeled.mat").write_bytes(b"MATLAB 5.0"), "cannot be read as HDF5"),
        wrong(lambda f: (f.path / "labeled.mat").unlink(), "labeled.mat: no such file"),
        wrong(lambda f: f.mapping(1 + np.arange(894) % 13), "mapClass must lead to classes up to 40"),
        wrong(lambda f: f.mapping(MAPPING[:100]), "the mapping knows 0..100"),
        wrong(lambda f: f.splits([0, 1], [2]), "image numbers must lie in 1..4"),
        wrong(lambda f: f.splits([1, 2], [2, 5]), "image numbers must lie in 1..4"),
        wrong(lambda f: f.splits([1, 2], [2, 3]), "images [2] are listed twice"),
        wrong(lambda f: savemat(f.path / "splits.mat", {"x": 1}), "expected the variable trainNdxs"),
        wrong(lambda f: (f.path / "splits.mat").write_bytes(b""), "splits.mat: cannot be read as a MATLAB"),
    ],
)
def test_wrong_files_are_explained(
    nyu40: ModuleType,
    files: Files,
    capsys: pytest.CaptureFixture[str],
    change: Callable[[Files], Any],
    message: str,
) -> None:
    change(files)
    assert nyu40.main(files.arguments()) == 2
    assert message in capsys.readouterr().err.replace("\n", " ")


def test_a_link_to_another_file_is_not_followed(
    nyu40: ModuleType, files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    (files.path / "labeled.mat").rename(files.path / "other.mat")
    with h5py.File(files.path / "labeled.mat", "w") as file:
        for name in ("images", "labels"):
            file[name] = h5py.ExternalLink(str(files.path / "other.mat"), name)
    assert nyu40.main(files.arguments()) == 2
    assert "expected an array 'images'" in capsys.readouterr().err
