"""Columns with names, as tables of points have them -> what each means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from pointseg.formats.columns import INSTANCE_NAMES, LABEL_NAMES, find_column, find_triple, unpack_rgb
from pointseg.formats.npz import Columns


def by_meaning(
    fields: Mapping[str, npt.NDArray[Any]], label_name: str | None, *, want_labels: bool
) -> tuple[Columns, tuple[str, ...]]:
    """Positions, colours, normals, labels and object numbers among named columns, and the names of the rest.

    Args:
        fields: name -> (P,) values.
        label_name: the column with the labels; the usual names if None.
        want_labels: False leaves labels and object numbers out.
    """
    found: dict[str, tuple[str, ...]] = {}
    for what in ("xyz", "rgb", "normal"):
        if triple := find_triple(fields, what):  # type: ignore[arg-type]
            found[what] = triple
    if want_labels:
        label = find_column(fields, LABEL_NAMES) if label_name is None else label_name
        for what, name in (("label", label), ("instance", find_column(fields, INSTANCE_NAMES))):
            if name in fields:
                found[what] = (name,)  # type: ignore[arg-type, assignment]
    columns = {
        what: fields[names[0]] if len(names) == 1 else np.stack([fields[name] for name in names], axis=-1)
        for what, names in found.items()
    }
    used = {name for names in found.values() for name in names}
    packed = find_column(set(fields) - used, ("rgb", "rgba"))
    if "rgb" not in columns and packed is not None and (rgb := unpack_rgb(fields[packed])) is not None:
        columns["rgb"] = rgb
        used.add(packed)
    return columns, tuple(sorted(set(fields) - used))
