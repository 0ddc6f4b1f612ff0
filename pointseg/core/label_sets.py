"""Which label set the user means: one that ships with the package, or the file of a run."""

from __future__ import annotations

import json
from pathlib import Path

from pointseg.core.labels import LabelSpace, load_label_space, shipped_label_sets


def find_label_space(name: str) -> LabelSpace:
    """A shipped label set by name, or any other by the path of its JSON file (RUN/label_space.json).

    Raises:
        ValueError: if it is neither, or the file holds no label set.
    """
    shipped = shipped_label_sets()
    if name in shipped:
        return load_label_space(name)
    path = Path(name)
    if not path.is_file():
        raise ValueError(
            f"Unknown label set {name!r}; expected {', '.join(shipped)} or the path of a label_space.json."
        )
    try:
        return LabelSpace.from_dict(json.loads(path.read_text(encoding="utf-8")))
    except (
        KeyError,
        TypeError,
        IndexError,
        AttributeError,
        ValueError,
        OverflowError,
        RecursionError,
    ) as error:
        raise ValueError(
            f"{path}: not the JSON of a label set ({error!r}); expected RUN/label_space.json."
        ) from None
