"""Training losses: one method per file. Each sees labelled rows only, so 2D and 3D share them.

The classes named here also work in anybody's training loop, on logits (N, K) with labels (N,) or (B, K, H, W)
with (B, H, W), with ignore index -100 unless told otherwise.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointseg.core.simplex import simplex_etf
    from pointseg.core.surroundings import Surroundings
    from pointseg.losses.adaptive import PixelAdaptive
    from pointseg.losses.auc import SquareAUC
    from pointseg.losses.base import LossTerm
    from pointseg.losses.blv import BalancingLogitVariation
    from pointseg.losses.ceco import CenterCollapse
    from pointseg.losses.class_mean import ClassMeanCrossEntropy
    from pointseg.losses.class_prior import ClassPrior
    from pointseg.losses.dice import DiceLoss
    from pointseg.losses.dot_regression import DotRegression
    from pointseg.losses.eqlv2 import EqualizationLossV2
    from pointseg.losses.facts import BatchFacts
    from pointseg.losses.focal import FocalLoss
    from pointseg.losses.ldam import LDAM
    from pointseg.losses.logit_adjustment import LogitAdjustedCrossEntropy
    from pointseg.losses.lovasz import LovaszSoftmax
    from pointseg.losses.pixel_contrast import PixelContrast
    from pointseg.losses.recall import RecallLoss
    from pointseg.losses.region_classifier import RegionClassifier
    from pointseg.losses.row_loss import RowMean
    from pointseg.losses.seesaw import SeesawLoss
    from pointseg.losses.spatial_balance import SpatialClassBalanced
    from pointseg.losses.suppression import ClassSuppression
    from pointseg.losses.tilted import TiltedCrossEntropy
    from pointseg.losses.top_k import TopKCrossEntropy

#: Public name -> module of pointseg that holds it.
_HOMES = {
    "BalancingLogitVariation": "losses.blv",
    "DiceLoss": "losses.dice",
    "DotRegression": "losses.dot_regression",
    "EqualizationLossV2": "losses.eqlv2",
    "FocalLoss": "losses.focal",
    "LDAM": "losses.ldam",
    "LogitAdjustedCrossEntropy": "losses.logit_adjustment",
    "LovaszSoftmax": "losses.lovasz",
    "RecallLoss": "losses.recall",
    "SquareAUC": "losses.auc",
    "RegionClassifier": "losses.region_classifier",
    "SeesawLoss": "losses.seesaw",
    "TopKCrossEntropy": "losses.top_k",
    "CenterCollapse": "losses.ceco",
    "ClassMeanCrossEntropy": "losses.class_mean",
    "ClassPrior": "losses.class_prior",
    "ClassSuppression": "losses.suppression",
    "PixelAdaptive": "losses.adaptive",
    "PixelContrast": "losses.pixel_contrast",
    "SpatialClassBalanced": "losses.spatial_balance",
    "Surroundings": "core.surroundings",
    "TiltedCrossEntropy": "losses.tilted",
    "simplex_etf": "core.simplex",
    # What a loss of one's own is made of.
    "BatchFacts": "losses.facts",
    "LossTerm": "losses.base",
    "RowMean": "losses.row_loss",
}

__all__ = [
    "LDAM",
    "BalancingLogitVariation",
    "BatchFacts",
    "CenterCollapse",
    "ClassMeanCrossEntropy",
    "ClassPrior",
    "ClassSuppression",
    "DiceLoss",
    "DotRegression",
    "EqualizationLossV2",
    "FocalLoss",
    "LogitAdjustedCrossEntropy",
    "LossTerm",
    "LovaszSoftmax",
    "PixelAdaptive",
    "PixelContrast",
    "RecallLoss",
    "RegionClassifier",
    "RowMean",
    "SeesawLoss",
    "SpatialClassBalanced",
    "SquareAUC",
    "Surroundings",
    "TiltedCrossEntropy",
    "TopKCrossEntropy",
    "simplex_etf",
]


def __getattr__(name: str) -> Any:
    # Loaded when first used: who needs one loss does not import all.
    if name in _HOMES:
        return getattr(import_module(f"pointseg.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pointseg.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
