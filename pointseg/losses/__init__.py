"""Training losses: one method per file. Each sees labelled rows only, so 2D and 3D share them.

The classes named here also work in anybody's training loop, on logits (N, K) with labels (N,) or (B, K, H, W)
with (B, H, W), with ignore index -100 unless told otherwise.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointseg.core.simplex import simplex_etf
    from pointseg.losses.adaptive import PixelAdaptive
    from pointseg.losses.ceco import CenterCollapse
    from pointseg.losses.suppression import ClassSuppression
    from pointseg.losses.tilted import TiltedCrossEntropy

#: Public name -> module of pointseg that holds it.
_HOMES = {
    "CenterCollapse": "losses.ceco",
    "ClassSuppression": "losses.suppression",
    "PixelAdaptive": "losses.adaptive",
    "TiltedCrossEntropy": "losses.tilted",
    "simplex_etf": "core.simplex",
}

__all__ = ["CenterCollapse", "ClassSuppression", "PixelAdaptive", "TiltedCrossEntropy", "simplex_etf"]


def __getattr__(name: str) -> Any:
    # Loaded when first used: who needs one loss does not import all.
    if name in _HOMES:
        return getattr(import_module(f"pointseg.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'pointseg.losses' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
