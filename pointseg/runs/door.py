"""The door to trained networks: whatever a RUN may be called on a command line, opened in one place.

    runs/first                          folder of a training or of `pointseg convert`
    models/tiles                        folder of `pointseg export`
    models/tiles/weights.safetensors    its weights, with the manifest beside them
    lidarhd/minkunet                    a model that comes with pointseg

A folder that exists wins over a shipped model of the same name. Nothing is fetched from anywhere.
"""

from __future__ import annotations

from pathlib import Path

from pointseg.config.shipped import did_you_mean, shipped, shipped_models
from pointseg.runs.exported import MANIFEST, WEIGHTS
from pointseg.runs.folder import RunFolder


def find_run(word: Path | str) -> RunFolder | None:
    """The run or model that a word means; None where it means none, such as the path of a store.

    Raises:
        ValueError: for a file that is part of a run or could become one, with what to give instead.
    """
    path = Path(word)
    if path.is_file():
        return _beside(path)
    if path.is_dir():
        folder = RunFolder(path)
        return folder if folder.config.is_file() else None
    place = shipped_models().get(path.as_posix())
    return None if place is None else RunFolder(place)


def open_run(word: Path | str) -> RunFolder:
    """The run or model that a word means.

    Raises:
        FileNotFoundError: if there is none, with the models that there are and the nearest of them.
        ValueError: see :func:`find_run`.
    """
    found = find_run(word)
    if found is None:
        raise no_run(word)
    return found


def no_run(word: Path | str, *, or_a: str = "") -> FileNotFoundError:
    """The error for a word that means no run.

    Args:
        word: what was given.
        or_a: what else it might have meant, such as ``a store (manifest.json)``.
    """
    path, models = Path(word), shipped_models()
    neither = f"neither a training run (config.yaml) nor {or_a}" if or_a else "not a training run"
    text = f"{word}: {neither}"
    if path.is_dir():
        text += "." if or_a else "; expected the file config.yaml."
        if path.as_posix() in models:
            text += f" This folder hides the shipped model {path.as_posix()}: go to another folder to use it."
        return FileNotFoundError(text)
    text += f", and no shipped model{did_you_mean(path.as_posix(), models)} "
    if path.as_posix() in shipped("recipe"):
        text += f"It is a recipe: `pointseg train {path.as_posix()} --out RUN` makes a run of it. "
    listed = ", ".join(models)
    return FileNotFoundError(text + (f"Shipped models: {listed}." if models else "No model is shipped."))


def _beside(path: Path) -> RunFolder:
    """The folder that a file of weights belongs to.

    Raises:
        ValueError: if it is no weights.safetensors with a manifest.
    """
    if path.name == WEIGHTS and (path.parent / MANIFEST).is_file():
        return RunFolder(path.parent)
    run = path.parent.parent
    if path.parent.name == "checkpoints" and RunFolder(run).config.is_file():
        raise ValueError(
            f"{path}: a checkpoint of the run {run}; give that folder, with --checkpoint best or last."
        )
    if path.suffix == ".safetensors":
        raise ValueError(
            f"{path}: expected {WEIGHTS} with its manifest {MANIFEST} beside it, as `pointseg export` writes "
            "them. Public weights become a RUN by `pointseg convert FILE --from ... -o RUN`."
        )
    raise ValueError(
        f"{path}: expected a RUN folder or the name of a model; this is a file. A public checkpoint becomes "
        "a RUN by `pointseg convert FILE --from ... -o RUN`."
    )
