"""An exported model: weights in safetensors with their manifest beside them, and nothing of a training.

    weights.safetensors   matrices and kernels in float16, vectors (norms, biases, running means) in float32
    config.yaml           the resolved experiment, without places of the machine that trained it
    label_space.json      its classes
    class_statistics.json class counts of the training split, where the run has kept them
    data.json             what else is known of the training data, so that other data can be compared with it
    model.json            sealed: hash of each of these files, step, and the facts of the model card
    README.md             the model card

It lies in a folder like a RUN and is opened by the same door; see :mod:`pointseg.runs.door`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from pointseg.core.durable import write_bytes
from pointseg.formats.sealed import read_sealed_json, write_sealed_json
from pointseg.formats.text import unreadable

MANIFEST = "model.json"
WEIGHTS = "weights.safetensors"
#: Files whose hash the manifest has to hold; it may hold that of class_statistics.json too.
REQUIRED = (WEIGHTS, "config.yaml", "label_space.json")
COVERED = (*REQUIRED, "class_statistics.json", "data.json")
#: Version of the layout.
FORMAT = 1


def rounded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as they are written: what has two or more dimensions in float16, all else as it is.

    Vectors are a hundredth of a network, and running variances may lie outside of what float16 can hold.

    Raises:
        ValueError: for a weight that is not finite, or becomes so.
    """
    result = {}
    for name, tensor in weights.items():
        small = tensor.detach().cpu().contiguous()
        if tensor.is_floating_point() and tensor.ndim >= 2:
            small = small.to(torch.float16)
        if small.is_floating_point() and not bool(small.isfinite().all()):
            raise ValueError(f"{name}: holds values that are not finite in {small.dtype}; train again.")
        result[name] = small
    return result


def write_exported(folder: Path, weights: Mapping[str, Tensor], facts: Mapping[str, Any]) -> None:
    """Write the weights, and last the manifest; the other files lie in the folder already.

    Args:
        folder: of the model.
        weights: as :func:`rounded` gives them.
        facts: ``step`` and what else the manifest is to say.
    """
    write_bytes(folder / WEIGHTS, save(dict(weights)))
    files = {name: _sha256(folder / name) for name in COVERED if (folder / name).is_file()}
    write_sealed_json(folder / MANIFEST, {"format": FORMAT, **facts, "files": files})


def read_manifest(folder: Path) -> dict[str, Any]:
    """The facts of an exported model.

    Raises:
        FileNotFoundError: if there is no manifest.
        ValueError: if it is damaged, of another format, or not a manifest.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise FileNotFoundError(
            f"{folder / WEIGHTS}: expected its manifest {MANIFEST} beside it, as `pointseg export` writes "
            "it. Public weights become a RUN by `pointseg convert FILE --from ... -o RUN`."
        )
    manifest = read_sealed_json(path)
    found = manifest.get("format") if isinstance(manifest, dict) else None
    if found != FORMAT:
        newer = isinstance(found, int) and found > FORMAT
        raise ValueError(
            f"{path}: expected the manifest of an exported model, format {FORMAT}; got format {found}."
            + (" Update pointseg." if newer else "")
        )
    files, step = manifest.get("files"), manifest.get("step")
    if not isinstance(files, dict) or not set(REQUIRED) <= set(files) or not isinstance(step, int):
        raise ValueError(f"{path}: expected `step` and the hashes of {', '.join(REQUIRED)} under `files`.")
    return manifest


def read_exported(path: Path, device: torch.device | str = "cpu") -> dict[str, Any]:
    """``step`` and ``weights`` of an exported model; no code is loaded, and every file is checked.

    Args:
        path: its weights.safetensors.
        device: where the weights go.

    Raises:
        FileNotFoundError: if a file is missing.
        ValueError: if a file is not the one that the manifest speaks of, or holds no tensors.
    """
    manifest = read_manifest(path.parent)
    content = b""
    for name, digest in manifest["files"].items():
        file = path.parent / name
        if name not in COVERED:
            raise ValueError(f"{path.parent / MANIFEST}: speaks of {name!r}, which is no file of a model.")
        if not file.is_file():
            raise FileNotFoundError(f"{file}: missing; the manifest {MANIFEST} beside it speaks of it.")
        read = file.read_bytes()
        if hashlib.sha256(read).hexdigest() != digest:
            raise ValueError(
                f"{file}: does not fit its manifest {MANIFEST}: it was cut, damaged, edited, or belongs to "
                "another model. Copy the whole folder again."
            )
        content = read if name == WEIGHTS else content
    try:
        weights = load(content)
    except (SafetensorError, ValueError, KeyError, MemoryError, OverflowError) as error:
        raise unreadable(path, "safetensors", error) from None
    return {
        "step": manifest["step"],
        "weights": {name: tensor.to(device) for name, tensor in weights.items()},
    }


def _sha256(path: Path) -> str:
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()
