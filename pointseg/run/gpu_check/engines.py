"""TEMPORARY until the seam lands."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from unittest import mock

from pointseg.sparse.backends.reference import ReferenceBackend
from pointseg.sparse.backends.triton.backend import TritonBackend


@contextlib.contextmanager
def use_engine(name: str) -> Iterator[None]:
    backend = TritonBackend() if name == "triton" else ReferenceBackend()
    with mock.patch("pointseg.sparse.ops.choose_backend", lambda device: backend):
        yield
