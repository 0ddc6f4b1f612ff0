"""Networks: backbones, which map a sparse tensor to features, and the segmenter, which classifies them."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pointseg.models.suppression import ClassSuppressionHead

__all__ = ["ClassSuppressionHead"]


def __getattr__(name: str) -> Any:
    # Loaded when first used, as in pointseg.losses.
    if name in __all__:
        from pointseg.models import suppression

        return getattr(suppression, name)
    raise AttributeError(f"module 'pointseg.models' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
