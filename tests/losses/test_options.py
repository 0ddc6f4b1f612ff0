"""The options of the losses: what holds where a configuration says nothing, and what is refused."""

import inspect
from typing import Any

import pytest

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import LOSSES
from pointseg.losses.cross_entropy import PowerWeights

SPACE = LabelSpace("five", (1, 2, 3, 4, 5), tuple("abcde"), ("",) * 5, distinct_colors(5))
#: As in the papers and released codes that the classes name, beside ``weight: 1.0`` and ``head: main``.
BY_CLASS = {"exponent": 0.0, "counts": "batch"}
DEFAULTS: dict[str, dict[str, Any]] = {
    "cross_entropy": {"label_smoothing": 0.0, "class_weights": "none", "beta": 0.9999, "count": "samples"},
    "ceco": {
        "weight": 0.4,
        "projection": "frozen",
        "prior": "scene_frequency",
        "center_scope": "batch",
        "scale": 5.0,
        "dropout": 0.1,
        "synchronize": True,
    },
    "class_mean": BY_CLASS,
    "tilted": {
        **BY_CLASS,
        "t": 1.0,
        "level": "class",
        "solver": "batch",
        "rho": 0.1,
        "cap": 20.0,
        "within_t": 1.0,
        "sampled_classes": 1,
        "row_loss": "cross_entropy",
        "t_start": 0.0,
        "anneal": 0.0,
        "synchronize": True,
    },
    "pat": {
        **BY_CLASS,
        "temperature": 1.0,
        "homogenize": "gradient_norm",
        "detach": False,
        "max_weight": 100.0,
    },
    "auc": {"weight": 4.0, "margin": 1.0},
    "balanced_softmax": {"prior": "points"},
    "blv": {"sigma": 4.0, "count": "points"},
    "context_distillation": {"smooth": 0.5},
    "dice": {"exponent": 2, "smooth": 1.0},
    "dot_regression": BY_CLASS,
    "eqlv2": {"gamma": 12.0, "mu": 0.8, "alpha": 4.0},
    "focal": {"gamma": 2.0, "class_weights": "none"},
    "ignored_probability": {"alpha": 1.0},
    "ldam": {"max_margin": 0.5, "scale": 1.0, "drw_start": None, "beta": 0.9999, "count": "samples"},
    "logit_adjustment": {"tau": 1.0, "prior": "points"},
    "lovasz": {},
    "pixel_contrast": {"weight": 0.1, "embedding_dim": 256, "temperature": 0.1, "max_anchors": 1024},
    "recall": {"min_misses": 1.0},
    "region_classifier": {"prior": "sample_frequency", "scope": "batch", "smoothing": 0.0},
    "seesaw": {"p": 0.8, "q": 2.0, "min_probability": 0.01},
    "spatial_class_balanced": {"context": "boundary", "strength": 1.0, "beta": 0.9999, "count": "samples"},
    "top_k": {"fraction": 0.25, "min_rows": 1, "threshold": None},
    "weight_constraint": {},
}
#: In Python the simplest form is the default: what a configuration makes of counts is not given, nothing is
#: projected, nothing dropped.
OTHERWISE: dict[tuple[str, str], Any] = {
    ("CenterCollapse", "projection"): "none",
    ("CenterCollapse", "prior"): None,
    ("CenterCollapse", "dropout"): 0.0,
    ("ClassPrior", "counts"): None,
    ("CrossEntropy", "class_weights"): None,
    ("LDAMTerm", "drw_start"): 1.0,
    ("RegionClassifier", "prior"): None,
}
#: Options that no part keeps by their name: others are computed from them.
KEPT_OTHERWISE = {
    *(("cross_entropy", "beta"), ("ceco", "dropout"), ("ldam", "max_margin"), ("ldam", "beta")),
    ("pixel_contrast", "embedding_dim"),
}
#: (loss, option, values beyond its range, values at its ends)
RANGES: list[tuple[str, str, list[float], list[float]]] = [
    *((loss, "weight", [-0.01], [0]) for loss in DEFAULTS),
    ("cross_entropy", "label_smoothing", [-0.01, 1], [0, 0.99]),
    ("cross_entropy", "beta", [-0.01, 1], [0, 0.99]),
    ("ceco", "scale", [0], [0.01]),
    ("ceco", "dropout", [-0.01, 1], [0, 0.99]),
    ("tilted", "rho", [0, 1.01], [0.01, 1]),
    ("tilted", "cap", [0], [0.01]),
    ("tilted", "sampled_classes", [0], [1]),
    ("tilted", "anneal", [-0.01, 1.01], [0, 1]),
    ("pat", "temperature", [0], [0.01]),
    ("pat", "max_weight", [0], [0.01]),
    ("auc", "margin", [0], [0.01]),
    ("blv", "sigma", [-0.01], [0]),
    ("dice", "smooth", [-0.01], [0]),
    ("eqlv2", "gamma", [0], [0.01]),
    ("eqlv2", "alpha", [-0.01], [0]),
    ("focal", "gamma", [-0.01], [0]),
    ("ignored_probability", "alpha", [-0.01], [0]),
    ("ldam", "max_margin", [-0.01], [0]),
    ("ldam", "scale", [0], [0.01]),
    ("ldam", "drw_start", [-0.01, 1.01], [0, 1]),
    ("ldam", "beta", [-0.01, 1], [0, 0.99]),
    ("logit_adjustment", "tau", [-0.01], [0]),
    ("context_distillation", "smooth", [-0.01, 1.01], [0, 1]),
    ("pixel_contrast", "embedding_dim", [0], [1]),
    ("pixel_contrast", "temperature", [0], [0.01]),
    ("pixel_contrast", "max_anchors", [1], [2]),
    ("recall", "min_misses", [-0.01], [0]),
    ("region_classifier", "smoothing", [-0.01, 1], [0, 0.99]),
    ("seesaw", "p", [-0.01], [0]),
    ("seesaw", "q", [-0.01], [0]),
    ("seesaw", "min_probability", [0, 1.01], [0.01, 1]),
    ("top_k", "fraction", [-0.01, 1.01], [0, 1]),
    ("top_k", "min_rows", [0], [1]),
    ("top_k", "threshold", [0, 1.01], [0.01, 1]),
]


@pytest.mark.parametrize("loss", DEFAULTS)
def test_what_holds_where_nothing_is_said(loss: str) -> None:
    assert LOSSES[loss]().model_dump(exclude={"type"}) == {"weight": 1.0, "head": "main", **DEFAULTS[loss]}


def test_weights_by_a_power_count_points() -> None:
    assert PowerWeights(power=-0.5).count == "points"


@pytest.mark.parametrize(
    ("loss", "option", "beyond", "ends"), RANGES, ids=[f"{a}-{b}" for a, b, _, _ in RANGES]
)
def test_an_option_has_its_range(loss: str, option: str, beyond: list[float], ends: list[float]) -> None:
    for value in beyond:
        with pytest.raises(ValueError, match=option):
            LOSSES[loss](**{option: value})
    for value in ends:
        assert getattr(LOSSES[loss](**{option: value}), option) == value


@pytest.mark.parametrize("loss", LOSSES)
def test_a_loss_made_in_python_has_the_defaults_of_a_configuration(
    loss: str, statistics: ClassStatistics
) -> None:
    config = LOSSES[loss]()
    made = config.build(statistics, label_space=SPACE, feature_channels=6)
    for module in made.modules():
        if not type(module).__module__.startswith("pointseg.losses"):
            continue
        kind = type(module).__name__
        for name, parameter in inspect.signature(type(module)).parameters.items():
            if parameter.default is not parameter.empty and name in DEFAULTS.get(loss, {}):
                expected = OTHERWISE.get((kind, name), getattr(config, name))
                assert parameter.default == expected, f"{kind}: {name}"


@pytest.mark.parametrize(
    ("loss", "option", "value"),
    [(loss, option, end) for loss, option, _, ends in RANGES for end in ends if option != "weight"],
)
def test_an_option_reaches_what_computes(
    loss: str, option: str, value: float, statistics: ClassStatistics
) -> None:
    config = LOSSES[loss](**{option: value})
    made = config.build(statistics, label_space=SPACE, feature_channels=6)
    # Of the parts that keep it by its name; what it does is for the tests of each loss.
    kept = [
        part
        for part in made.modules()
        if type(part).__module__.startswith("pointseg.losses") and option in vars(part)
    ]
    assert all(getattr(part, option) == value for part in kept), kept
    assert kept or (loss, option) in KEPT_OTHERWISE
