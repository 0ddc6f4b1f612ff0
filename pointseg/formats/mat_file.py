"""Variables of MATLAB files of version 5."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.io import loadmat
from scipy.io.matlab import MatReadError


def read_mat(file: Path, names: Sequence[str]) -> dict[str, npt.NDArray[Any]]:
    """Those of the named variables that the file has; what else lies in it is not read.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it cannot be read.
    """
    try:
        content = loadmat(file, variable_names=list(names))
    # SciPy's NotImplementedError: a file of version 7.3, which is HDF5.
    except (MatReadError, NotImplementedError, TypeError, ValueError) as error:
        raise ValueError(f"{file}: cannot be read as a MATLAB file ({error}).") from None
    return {name: np.asarray(content[name]) for name in names if name in content}
