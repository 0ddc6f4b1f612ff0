"""The search of settings: which combinations are tried, and which one a method is run with."""

from __future__ import annotations

import csv
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pointseg.config.load import search_space
from pointseg.core.durable import write_text
from pointseg.core.seeds import derived_seed
from pointseg.study.definition import SearchSpace, StudyConfig
from pointseg.study.results import cell
from pointseg.study.state import Progress

#: Columns of tune.csv.
_COLUMNS = ("method", "chosen", "settings", "miou", "head", "common", "tail", "steps", "seconds", "code_hash")


def combinations(space: SearchSpace, trials: int, seed: int) -> list[dict[str, Any]]:
    """What a method is tried with: as it stands, and then other combinations of its values, drawn without
    repetition; all of them where there are no more than ``trials`` together.

    Args:
        space: values by dotted key.
        trials: most combinations, the method as it stands among them.
        seed: of the draw.
    """
    grid = (
        [dict(zip(space, values, strict=True)) for values in itertools.product(*space.values())]
        if space
        else []
    )
    order = np.random.default_rng(seed).permutation(len(grid))
    if len(grid) <= trials - 1:
        order = np.arange(len(grid))
    return [{}, *(grid[position] for position in order[: trials - 1])]


def trials_of(study: StudyConfig, method: str) -> list[dict[str, Any]]:
    """The combinations of one method: its file's values, the study's for it, and those common to all."""
    tune = study.tune
    assert tune is not None
    own = study.methods[method]
    if not own.searched:
        return [{}]
    space = dict(tune.search)
    for word in own.method or ():
        space |= search_space(word)
    space |= own.search
    # Methods with the same space are tried with other combinations: none is lucky for all.
    seed = derived_seed(tune.seed, *method.encode())
    return combinations(space, tune.trials, seed)


def choose(study: StudyConfig, trials: Sequence[Progress]) -> dict[str, dict[str, Any]]:
    """For each method the settings of its best trial; of equals the first, so the method as it stands."""
    assert study.tune is not None
    best: dict[str, tuple[float, dict[str, Any]]] = {}
    for one in trials:
        if one.facts is None or one.run.purpose != "trial":
            continue
        score = one.facts[study.tune.metric]
        score = -1.0 if score is None else score
        if one.run.method not in best or score > best[one.run.method][0]:
            best[one.run.method] = score, dict(one.run.tuned)
    return {method: settings for method, (_, settings) in best.items()}


def write_trials(path: Path, trials: Sequence[Progress], chosen: Mapping[str, Mapping[str, Any]]) -> None:
    """tune.csv: one row for each trial, the chosen ones marked."""
    text = io.StringIO()
    writer = csv.DictWriter(text, _COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for one in trials:
        if one.facts is not None and one.run.purpose == "trial":
            is_chosen = chosen.get(one.run.method) == one.run.tuned
            row = {**one.facts, "chosen": int(is_chosen), "settings": json.dumps(dict(one.run.tuned))}
            writer.writerow({name: cell(row.get(name)) for name in _COLUMNS})
    write_text(path, text.getvalue())
