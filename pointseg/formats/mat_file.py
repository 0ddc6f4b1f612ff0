"""Variables of MATLAB files of version 5."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from pointseg.formats.text import impostor


def read_mat(file: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Those of the named variables that the file has; what else lies in it is not read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    try:
        content = loadmat(file, variable_names=list(names))
    except FileNotFoundError:
        raise FileNotFoundError(f"{file}: no such file.") from None
    # NotImplementedError: a file of version 7.3, which is HDF5. What it raises for a file that was cut
    # or changed is whatever its parser stumbles over.
    except (
        MatReadError, NotImplementedError, TypeError, ValueError, OSError, EOFError, KeyError, IndexError,
        OverflowError, MemoryError, AttributeError, zlib.error,
    ) as error:  # fmt: skip
        instead = impostor(Path(file))
        why = f"it is {instead}" if instead else error or type(error).__name__
        raise ValueError(f"{file}: cannot be read as a MATLAB file ({why}).") from None
    return {name: np.asarray(content[name]) for name in names if name in content}
