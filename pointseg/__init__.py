"""pointseg: semantic segmentation of 3D point clouds with long-tailed classes."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointseg.api import (
        Callback,
        ConfigError,
        Confusion,
        Evaluation,
        Experiment,
        LabelSpace,
        Report,
        Scene,
        ScenePrediction,
        StepReport,
        Store,
        TrainedRun,
        TrainingResult,
        Validation,
        evaluate,
        load_experiment,
        load_label_space,
        load_run,
        load_scene,
        predict_scene,
        predict_scenes,
        read_ply,
        show_scene,
        train,
        write_ply,
    )

__version__ = "0.1.0"

__all__ = [
    "Callback",
    "ConfigError",
    "Confusion",
    "Evaluation",
    "Experiment",
    "LabelSpace",
    "Report",
    "Scene",
    "ScenePrediction",
    "StepReport",
    "Store",
    "TrainedRun",
    "TrainingResult",
    "Validation",
    "evaluate",
    "load_experiment",
    "load_label_space",
    "load_run",
    "load_scene",
    "predict_scene",
    "predict_scenes",
    "read_ply",
    "show_scene",
    "train",
    "write_ply",
]


def __getattr__(name: str) -> Any:
    # Torch takes a second to import; it is loaded when the first name is used, not for `pointseg --help`.
    if name in __all__:
        from pointseg import api

        return getattr(api, name)
    raise AttributeError(f"module 'pointseg' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
