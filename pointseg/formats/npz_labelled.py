"""NPZ files with new labels: the arrays that were there come along byte for byte."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.core.durable import writing
from pointseg.core.extras import Column


def write_labelled_npz(
    source: Path | None,
    target: Path,
    label: npt.NDArray[np.int32],
    columns: Sequence[Column] = (),
    *,
    arrays: Mapping[str, npt.NDArray[Any]] | None = None,
) -> None:
    """Arrays of a cloud with array ``label``.

    Args:
        source: the NPZ file whose arrays come along, or None.
        target: the file to write.
        label: (P,) int32 raw ids.
        columns: further arrays, (P,) or (P, n); where the n are classes, NAME_label has their raw ids.
        arrays: what else to write.

    Raises:
        OSError: if it cannot be written.
    """
    new: dict[str, npt.NDArray[Any]] = {**(arrays or {}), "label": label}
    for column in columns:
        new[column.name] = column.values
        if column.raw_ids is not None:
            new[f"{column.name}_label"] = column.raw_ids
    with writing(target) as stream, zipfile.ZipFile(stream, "w") as archive:
        compression = zipfile.ZIP_STORED
        if source is not None:
            with zipfile.ZipFile(source) as old:
                for info in old.infolist():
                    compression = info.compress_type
                    if info.filename.removesuffix(".npy").lower() in new:
                        continue
                    # Copied without a look inside: what is an array of Python objects runs no code this way.
                    copy = zipfile.ZipInfo(info.filename, info.date_time)
                    copy.compress_type = info.compress_type
                    with old.open(info) as content, archive.open(copy, "w", force_zip64=True) as handle:
                        shutil.copyfileobj(content, handle)
        for name, values in new.items():
            member = zipfile.ZipInfo(f"{name}.npy")
            member.compress_type = compression
            with archive.open(member, "w", force_zip64=True) as handle:
                np.lib.format.write_array(handle, np.ascontiguousarray(values), allow_pickle=False)
