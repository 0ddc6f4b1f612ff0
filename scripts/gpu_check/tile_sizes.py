"""Where the check lets tile sizes be measured, and where it takes the first: each candidate is compiled."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

_VARIABLE = "POINTSEG_TUNE"


@contextlib.contextmanager
def tuning(is_on: bool) -> Iterator[None]:
    """Measure tile sizes, or do not; where the user has turned it off it stays off.

    A MinkUNet34C takes 37 kernels in one type, and 113 with all candidates, at half a second each: in all
    four types that would take half of the time that the check has.
    """
    before = os.environ.get(_VARIABLE)
    if not is_on:
        os.environ[_VARIABLE] = "0"
    try:
        yield
    finally:
        if not is_on:
            os.environ.pop(_VARIABLE)
            if before is not None:
                os.environ[_VARIABLE] = before
