"""The runs that a study consists of, each with what identifies it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from pointseg.config import ConfigError
from pointseg.data.tune import TUNE
from pointseg.experiment import Experiment, load_experiment
from pointseg.study.compose import as_overrides, command_of, is_there
from pointseg.study.definition import StudyConfig
from pointseg.study.identity import code_hash, code_of, config_hash, data_hash

#: row: counts in the results. start: trains weights that rows begin with. trial: of the search of settings.
Purpose = Literal["row", "start", "trial"]


@dataclass(frozen=True)
class PlannedRun:
    """One training of a study.

    Args:
        purpose: see :data:`Purpose`.
        method: name of its row.
        budget: name of its budget.
        seed: of everything random.
        steps: optimiser steps of this training.
        total_steps: the same with those of the run whose weights it begins with.
        experiment: what is trained.
        recipe: what it is laid over.
        command: what a person types to train the same.
        start: the run whose weights it begins with, or None.
        tuned: settings that the search has chosen, by dotted key.
        config_hash, data_hash: see ``pointseg.study.identity``.
        code: fingerprint of each module that matters.
    """

    purpose: Purpose
    method: str
    budget: str
    seed: int
    steps: int
    total_steps: int
    experiment: Experiment
    recipe: str
    command: str
    start: PlannedRun | None
    tuned: Mapping[str, Any]
    config_hash: str
    data_hash: str
    code: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of its folder: the same settings and data give the same one."""
        return f"{self.method}-{self.budget}-seed{self.seed}-{self.config_hash[:6]}{self.data_hash[:2]}"

    @property
    def code_hash(self) -> str:
        return code_hash(self.code)


class Planner:
    """Makes the runs of a study.

    Args:
        study: what the study file says.
        runs: folder of the RUN folders.
        threads: CPU threads of a training.
    """

    def __init__(self, study: StudyConfig, runs: Path, *, threads: int) -> None:
        self.study, self.runs, self.threads = study, runs, threads
        #: For each method the settings that the search has chosen.
        self.tuned: Mapping[str, Mapping[str, Any]] = {}
        self._data_hashes: dict[str, str] = {}

    def has_file(self, name: str) -> bool:
        """Whether a method, and the one that it starts from, have a method file."""
        method = self.study.methods[name]
        start = [] if method.start is None else [method.start.method]
        return all(is_there(word, "method") for n in (name, *start) for word in self._words(n))

    def _words(self, name: str) -> tuple[str, ...]:
        """The method files of a row; read_study has named them."""
        words = self.study.methods[name].method
        assert isinstance(words, tuple)
        return words

    def rows(self, methods: Iterable[str]) -> list[PlannedRun]:
        """Every run of these methods that counts, the short budgets first, then seed by seed, so that what is
        finished early can be compared.
        """
        names = list(methods)
        budgets = sorted(self.study.budgets, key=self.study.budgets.__getitem__)
        return [
            self.run(name, budget, seed, tuned=self.tuned.get(name, {}))
            for budget in budgets
            for seed in dict.fromkeys(s for name in names for s in self._seeds(name))
            for name in names
            if seed in self._seeds(name) and budget in (self.study.methods[name].budgets or budgets)
        ]

    def _seeds(self, name: str) -> tuple[int, ...]:
        return self.study.methods[name].seeds or self.study.seeds

    def run(
        self,
        name: str,
        budget: str,
        seed: int,
        *,
        tuned: Mapping[str, Any],
        purpose: Purpose = "row",
        extra: Sequence[str] = (),
        share: float = 1.0,
        budget_steps: int | None = None,
    ) -> PlannedRun:
        """One run.

        Args:
            name: of the method.
            budget: of its steps.
            seed: of everything random.
            tuned: settings that the search has chosen.
            purpose: what it is for.
            extra: settings laid over everything, as ``key=value``.
            share: share of the budget's steps that it trains for.
            budget_steps: steps in place of the budget's.

        Raises:
            ConfigError: if its settings do not fit together, naming the method.
        """
        study, method = self.study, self.study.methods[name]
        budget_steps = budget_steps or study.budgets[budget]
        steps = max(1, round(share * budget_steps))
        start, total = None, steps
        if method.start is not None:
            start = self._start(name, budget, seed, purpose=purpose, extra=extra, budget_steps=budget_steps)
            if method.start.share is not None:
                steps = max(1, budget_steps - start.steps)
            total = steps + start.total_steps
        settings = {
            "name": f"{study.name}/{name}",
            "seed": seed,
            "train.steps": steps,
            "train.val_every": max(1, steps // study.validations),
            "train.num_threads": self.threads,
        }
        if start is not None:
            settings["train.init_from"] = str(self.runs / start.name / "checkpoints" / "last.pt")
        overrides = as_overrides({**study.overrides, **settings, **method.overrides, **tuned}) + list(extra)
        words = self._words(name)
        try:
            experiment = load_experiment(study.recipe, methods=words, overrides=overrides)
        except ConfigError as error:
            raise ConfigError(f"{study.name}, method {name}: {error}") from None
        draft = PlannedRun(
            purpose=purpose,
            method=name,
            budget=budget,
            seed=seed,
            steps=steps,
            total_steps=total,
            experiment=experiment,
            recipe=study.recipe,
            command="",
            start=start,
            tuned=dict(tuned),
            config_hash=config_hash(experiment, None if start is None else start.config_hash),
            data_hash=self._data_hash(experiment),
            code=code_of(experiment),
        )
        command = command_of(study.recipe, words, self.runs / draft.name, overrides)
        return replace(draft, command=command)

    def _start(
        self,
        name: str,
        budget: str,
        seed: int,
        *,
        purpose: Purpose,
        extra: Sequence[str],
        budget_steps: int,
    ) -> PlannedRun:
        """The run whose weights a run begins with: a row of the study, or one made for this."""
        wanted = self.study.methods[name].start
        assert wanted is not None
        is_row = wanted.share is None and purpose == "row"
        return self.run(
            wanted.method,
            budget,
            seed,
            tuned={} if purpose == "trial" else self.tuned.get(wanted.method, {}),
            purpose="row" if is_row else "start",
            extra=extra,
            share=1.0 if wanted.share is None else wanted.share,
            budget_steps=budget_steps,
        )

    def trial(self, name: str, settings: Mapping[str, Any]) -> PlannedRun:
        """One trial of the search, on the scenes that are set apart for it."""
        tune = self.study.tune
        assert tune is not None
        cut = {"data.tune_share": tune.share, "data.tune_seed": tune.seed, "data.val_split": TUNE}
        return self.run(
            name,
            tune.budget,
            tune.seed,
            tuned=settings,
            purpose="trial",
            extra=as_overrides(cut),
            budget_steps=tune.steps,
        )

    def _data_hash(self, experiment: Experiment) -> str:
        key = experiment.data.model_dump_json()
        if key not in self._data_hashes:
            self._data_hashes[key] = data_hash(experiment.data.open())
        return self._data_hashes[key]


def with_starts(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """The runs, each behind the one that it starts from; none twice."""
    ordered: dict[str, PlannedRun] = {}
    for run in runs:
        for one in (run.start, run):
            if one is not None:
                kept = ordered.get(one.name)
                # A run may be a row and another's start; as a row it counts.
                if kept is None or (kept.purpose != "row" and one.purpose == "row"):
                    ordered[one.name] = one
    return list(ordered.values())
