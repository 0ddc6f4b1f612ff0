"""StudyConfig: what a study file says, and nothing of how it is carried out."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from pointseg.config import Config, load_config
from pointseg.config.yaml_file import read_mapping
from pointseg.study.compose import located

#: Values that a search tries, by dotted key.
SearchSpace = dict[str, list[Any]]


class StartConfig(Config):
    """Start from the weights of a run of another method of the study, of the same seed.

    Args:
        method: the method whose run it is.
        share: None: the finished run of the same budget, so that both trainings together are longer than the
            budget. A number in 0..1: a run of its own of this share of the budget's steps, after which the
            method trains for the rest of them, so that both together are the budget.
    """

    method: str
    share: float | None = Field(default=None, gt=0, lt=1)


class MethodConfig(Config):
    """How one method is run.

    Args:
        method: name of a shipped method or path of a file from the study's folder, or several that are laid
            over one another; the key in the study if None.
        overrides: settings laid over recipe and method, by dotted key.
        budgets: names of the budgets it is run with; all if None.
        seeds: seeds of its own; the study's if None.
        start: begin from another run's weights.
        search: values to try for this method, by dotted key, beside those that its method file names.
        searched: False for one that runs with its settings as they stand, such as a combination whose parts
            were settled elsewhere.
    """

    method: str | tuple[str, ...] | None = None
    overrides: dict[str, Any] = Field(default={})
    budgets: tuple[str, ...] | None = None
    seeds: tuple[int, ...] | None = None
    start: StartConfig | None = None
    search: SearchSpace = Field(default={})
    searched: bool = True


class TuneConfig(Config):
    """The search of settings, by the same number of trials for every method.

    Trials train on a part of the training scenes and are compared on the rest of these; the validation split
    is never looked at. Without ``tune`` in a study, methods run with the settings of their files, and so does
    a method that has nothing to search for.

    Args:
        trials: combinations tried for each method; the first is always the method as it stands.
        budget: name of the budget of a trial.
        steps: optimiser steps of a trial; those of its budget if None.
        share: share of the training scenes that is set apart to compare on.
        seed: of the cut, of the drawn combinations and of the trials' training.
        search: values that every method may try, by dotted key, such as optimizer.lr.
        metric: what the best trial is best in, on the scenes set apart: mean IoU of the classes present, or
            of the tail's.
    """

    trials: int = Field(ge=2)
    budget: str
    steps: int | None = Field(default=None, ge=1)
    share: float = Field(default=0.25, gt=0, lt=1)
    seed: int = Field(default=0, ge=0)
    search: SearchSpace = Field(default={})
    metric: Literal["miou", "tail"] = "miou"


class StudyConfig(Config):
    """A grid of methods, budgets and seeds over one recipe.

    Args:
        name: of the study; a plain file name.
        recipe: the experiment that every method is laid over: a shipped name, or a file from the study's
            folder.
        overrides: settings laid over the recipe for every run, by dotted key.
        budgets: name -> optimiser steps.
        seeds: one run for each.
        methods: name -> how it is run.
        validations: validations during a run, evenly spaced, the last one at its end.
        tune: the search of settings, or None.
        baseline: method that the others are compared with.
        reweighting: plain re-weightings; the strongest one of a budget is the second thing compared with.
        highlight: methods that have a colour of their own in the figures; all if empty, as far as they can be
            told apart.
    """

    name: str = Field(pattern=r"^\w[\w.-]*$")
    recipe: str
    overrides: dict[str, Any] = Field(default={})
    budgets: dict[str, int] = Field(min_length=1)
    seeds: tuple[int, ...] = Field(min_length=1)
    methods: dict[str, MethodConfig] = Field(min_length=1)
    validations: int = Field(default=4, ge=1)
    tune: TuneConfig | None = None
    baseline: str = "cross_entropy"
    reweighting: tuple[str, ...] = ("weighted", "class_mean")
    highlight: tuple[str, ...] = ()

    @field_validator("budgets")
    @classmethod
    def _have_steps(cls, value: dict[str, int]) -> dict[str, int]:
        if any(steps < 1 for steps in value.values()):
            raise ValueError(f"give each budget at least one step; got {value}")
        return value

    @model_validator(mode="after")
    def _names_are_known(self) -> StudyConfig:
        wanted = {
            "budgets": [b for m in self.methods.values() for b in m.budgets or ()]
            + ([self.tune.budget] if self.tune else []),
            "methods": [m.start.method for m in self.methods.values() if m.start is not None],
        }
        for kind, names in wanted.items():
            known = getattr(self, kind)
            if missing := sorted(set(names) - set(known)):
                raise ValueError(f"{', '.join(missing)}: not among the study's {kind} ({', '.join(known)})")
        for name, method in self.methods.items():
            if method.start is not None and self.methods[method.start.method].start is not None:
                raise ValueError(
                    f"methods.{name}.start: {method.start.method} starts from another method itself; start "
                    "from one that begins with fresh weights"
                )
        return self


def read_study(path: Path) -> StudyConfig:
    """A study file, its recipe and methods named as they can be found from here.

    Raises:
        ConfigError: naming the key, if it is no study.
        OSError: if it cannot be read.
    """
    data = read_mapping(path)
    if isinstance(given := data.get("methods"), dict):
        # A method without options is a bare key, whose null would otherwise mean that there is none.
        data["methods"] = {name: {} if options is None else options for name, options in given.items()}
    study = load_config(StudyConfig, None, data=data, source=str(path))
    methods = {
        name: method.model_copy(
            update={"method": tuple(located(word, path.parent) for word in _words(name, method))}
        )
        for name, method in study.methods.items()
    }
    return study.model_copy(update={"recipe": located(study.recipe, path.parent), "methods": methods})


def _words(name: str, method: MethodConfig) -> tuple[str, ...]:
    if method.method is None:
        return (name,)
    return (method.method,) if isinstance(method.method, str) else method.method
