"""PretrainedFolder: weights in the format of the library transformers, read from a folder and checked."""

from __future__ import annotations

import json
import pickle
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

#: What the library keeps of a norm that it does not need to predict.
_COUNTER = "num_batches_tracked"
_ADVICE = "set the options of model to those of the folder, or choose another folder."


@dataclass(frozen=True)
class InputRange:
    """What weights expect to see: (rgb rescale - mean) / std.

    Args:
        mean, std: one number for each channel.
        rescale: factor of colours 0..255.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    rescale: float = 1 / 255

    def from_batch(self, channels: int) -> tuple[Tensor, Tensor]:
        """(C,) scale and (C,) shift that make it of an ImageBatch, whose images are (rgb - 127.5) / 64.

        Raises:
            ValueError: if it is of another number of channels.
        """
        if len(self.mean) != channels or len(self.std) != channels:
            raise ValueError(
                f"Expected a mean and a standard deviation of each of {channels} channels; got "
                f"{len(self.mean)} and {len(self.std)}."
            )
        mean, std = (torch.tensor(v, dtype=torch.float64) for v in (self.mean, self.std))
        return (64 * self.rescale / std).float(), ((127.5 * self.rescale - mean) / std).float()


#: The mean and standard deviation of ImageNet, which most weights expect, and -1..1.
IMAGENET = InputRange((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
MINUS_ONE_TO_ONE = InputRange((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


@dataclass(frozen=True)
class PretrainedFolder:
    """A folder of weights that somebody else has made.

    The library is given our own configuration, never the folder's: that one is only compared with ours, so
    nothing in it can choose code, kernels or further files.

    Args:
        path: the folder.
        config: its config.json.
    """

    path: Path
    config: Mapping[str, Any]

    @classmethod
    def open(cls, path: Path) -> PretrainedFolder:
        """Read config.json.

        Raises:
            ValueError: if there is none, or it is not one of the library.
        """
        config = _read_json(path / "config.json")
        if config is None:
            raise ValueError(
                f"{path}: expected a folder in the format of the library transformers, config.json beside "
                "model.safetensors; there is no config.json. model.pretrained is a folder on this machine, "
                "not a name on a hub."
            )
        if not isinstance(config.get("model_type"), str):
            raise ValueError(f"{path / 'config.json'}: expected a model_type of the library transformers.")
        # The library would follow it to other weights.
        if (path / "adapter_config.json").exists():
            raise ValueError(f"{path}: holds an adapter; merge it into the weights and save them first.")
        return cls(path, config)

    @property
    def model_type(self) -> str:
        return str(self.config["model_type"])

    def refuse(self, expected: Sequence[str]) -> ValueError:
        """The error for a folder of another network."""
        return ValueError(
            f"{self.path}: expected weights of {' or '.join(expected)}; config.json says {self.model_type!r}."
        )

    def compare(self, config: Any, names: Sequence[str], found: Mapping[str, Any] | None = None) -> None:
        """Compare the folder's configuration with ours.

        Args:
            config: ours.
            names: settings that make the network what it is.
            found: the folder's, if it is not the whole of its config.json.

        Raises:
            ValueError: naming the first setting that differs.
        """
        try:
            theirs = type(config).from_dict(dict(self.config if found is None else found))
            pairs = [(name, getattr(theirs, name), getattr(config, name)) for name in names]
            channels = theirs.num_channels if hasattr(config, "num_channels") else None
        except Exception as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(f"{self.path / 'config.json'}: cannot be used ({reason}).") from None
        if channels is not None and channels != config.num_channels:
            raise ValueError(
                f"{self.path}: its network sees {channels} channels, the images have {config.num_channels}."
            )
        for name, their, our in pairs:
            if _plain(their) != _plain(our):
                raise ValueError(
                    f"{self.path}: {name} is {_plain(their)} there and {_plain(our)} here; {_ADVICE}"
                )

    def load(
        self, network: type[Any], config: Any, *, fresh: Sequence[str] = (), unused: Sequence[str] = ()
    ) -> Any:
        """The network with the folder's weights, in float32.

        Args:
            network: class of the library.
            config: our configuration.
            fresh: beginnings of names that the folder may lack, each with all of its tensors or none; they
                stay at their initial values. A classifier's may be lacking or differ in size.
            unused: beginnings of further names that the folder may hold.

        Raises:
            ValueError: if there are no weights, they cannot be read, or they are those of another network.
        """
        try:
            with _silent():
                loaded, info = network.from_pretrained(
                    self.path,
                    config=config,
                    local_files_only=True,
                    weights_only=True,
                    dtype=torch.float32,
                    ignore_mismatched_sizes=True,
                    output_loading_info=True,
                )
        except MemoryError:
            raise
        # The library promises none; safetensors has an error of its own, derived from Exception alone.
        except Exception as error:
            unsafe = isinstance(error, pickle.UnpicklingError)
            reason = "it holds more than tensors" if unsafe else str(error).strip().partition("\n")[0]
            raise ValueError(f"{self.path}: its weights cannot be read: {reason}.") from None
        self._check(loaded, info, fresh, (*unused, "classifier."))
        return loaded

    def input_range(self, default: InputRange) -> InputRange:
        """The range of preprocessor_config.json, or the default where there is none.

        Raises:
            ValueError: if that file is not as expected.
        """
        file = self.path / "preprocessor_config.json"
        found = _read_json(file)
        if found is None:
            return default
        try:
            if not found.get("do_normalize", True):
                return InputRange((0.0,) * len(default.mean), (1.0,) * len(default.std))
            mean = tuple(float(v) for v in found.get("image_mean", default.mean))
            std = tuple(float(v) for v in found.get("image_std", default.std))
            rescale = float(found.get("rescale_factor", default.rescale))
        except (TypeError, ValueError):
            raise ValueError(f"{file}: expected numbers in image_mean, image_std, rescale_factor.") from None
        if not all(v > 0 for v in std):
            raise ValueError(f"{file}: expected image_std above 0; got {list(std)}.")
        return InputRange(mean, std, rescale)

    def _check(
        self, loaded: Any, info: Mapping[str, Any], fresh: Sequence[str], unused: Sequence[str]
    ) -> None:
        names = [name for name in loaded.state_dict() if not name.endswith(_COUNTER)]
        missing = {name for name in info["missing_keys"] if not name.endswith(_COUNTER)}
        for start in fresh:
            part = {name for name in names if name.startswith(start) and not _is_classifier(name)}
            if part <= missing:
                missing -= part
        shapes = {str(name if isinstance(name, str) else name[0]) for name in info["mismatched_keys"]}
        problems = {
            "missing": [name for name in missing if not _is_classifier(name)],
            "of another shape": [name for name in shapes if not _is_classifier(name)],
            "not of this network": [n for n in info["unexpected_keys"] if not n.startswith(tuple(unused))],
        }
        told = [f"{len(found)} {what} ({min(found)})" for what, found in problems.items() if found]
        if told:
            raise ValueError(f"{self.path}: its weights do not fit, tensors {', '.join(told)}; {_ADVICE}")


def _is_classifier(name: str) -> bool:
    return ".classifier." in f".{name}"


def _plain(value: Any) -> Any:
    """Tuples and lists are the same setting."""
    return [_plain(v) for v in value] if isinstance(value, list | tuple) else value


def _read_json(file: Path) -> dict[str, Any] | None:
    if not file.is_file():
        return None
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read as JSON ({error}).") from None
    if not isinstance(found, dict):
        raise ValueError(f"{file}: expected a mapping; got {type(found).__name__}.")
    return found


@contextmanager
def _silent() -> Iterator[None]:
    """The library prints tables and bars of what it loads; what matters of them is an error here."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
