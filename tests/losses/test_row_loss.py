"""What losses of logits and labels share: layouts, the ignore index, nothing to learn from."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from pointseg.losses.dice import DiceLoss
from pointseg.losses.eqlv2 import EqualizationLossV2
from pointseg.losses.focal import FocalLoss
from pointseg.losses.ldam import LDAM
from pointseg.losses.logit_adjustment import LogitAdjustedCrossEntropy
from pointseg.losses.lovasz import LovaszSoftmax
from pointseg.losses.recall import RecallLoss
from pointseg.losses.row_loss import RowLoss
from pointseg.losses.seesaw import SeesawLoss
from pointseg.losses.top_k import TopKCrossEntropy

COUNTS = torch.tensor([900.0, 90.0, 9.0, 1.0])
IMAGES = torch.randn(2, 4, 3, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LABELS = torch.arange(30).reshape(2, 3, 5) % 4


@pytest.fixture(
    params=[
        lambda ignore: FocalLoss(ignore_index=ignore),
        lambda ignore: TopKCrossEntropy(0.5, ignore_index=ignore),
        lambda ignore: LDAM(COUNTS, ignore_index=ignore),
        lambda ignore: LogitAdjustedCrossEntropy(COUNTS, ignore_index=ignore),
        lambda ignore: SeesawLoss(4, ignore_index=ignore),
        lambda ignore: EqualizationLossV2(4, ignore_index=ignore),
        lambda ignore: DiceLoss(ignore_index=ignore),
        lambda ignore: RecallLoss(ignore_index=ignore),
        lambda ignore: LovaszSoftmax(ignore_index=ignore),
    ],
    ids=["focal", "top_k", "ldam", "logit_adjustment", "seesaw", "eqlv2", "dice", "recall", "lovasz"],
)
def make(request: pytest.FixtureRequest) -> type[RowLoss]:
    made: type[RowLoss] = request.param
    return made


def rows_of(images: Tensor) -> Tensor:
    return images.permute(0, 2, 3, 1).reshape(-1, images.shape[1])


def test_images_and_rows_give_one_loss(make: type[RowLoss]) -> None:
    torch.testing.assert_close(make(-100)(IMAGES, LABELS), make(-100)(rows_of(IMAGES), LABELS.flatten()))


def test_rows_with_the_ignore_index_do_not_count(make: type[RowLoss]) -> None:
    ignored = LABELS.masked_fill(LABELS == 1, 255)
    keep = LABELS.flatten() != 1
    expected = make(-100)(rows_of(IMAGES)[keep], LABELS.flatten()[keep])
    torch.testing.assert_close(make(255)(IMAGES, ignored), expected)


def test_nothing_labelled_is_a_zero_with_a_gradient(make: type[RowLoss]) -> None:
    logits = IMAGES.clone().requires_grad_()
    loss = make(-100)(logits, torch.full_like(LABELS, -100))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None and not logits.grad.any()


def test_float16_logits_are_computed_in_float32(make: type[RowLoss]) -> None:
    loss = make(-100)(IMAGES.half(), LABELS)
    assert loss.dtype == torch.float32
    torch.testing.assert_close(loss, make(-100)(IMAGES.half().float(), LABELS))


def test_a_label_that_is_no_class_is_refused(make: type[RowLoss]) -> None:
    with pytest.raises(ValueError, match=r"255.*pass it as ignore_index"):
        make(-100)(IMAGES, LABELS.masked_fill(LABELS == 1, 255))


def test_logits_of_another_number_of_classes_are_refused() -> None:
    with pytest.raises(ValueError, match="made for 4 classes, but the logits have 3"):
        LDAM(COUNTS)(torch.zeros(2, 3), torch.tensor([0, 1]))


def test_float64_is_kept(make: type[RowLoss]) -> None:
    assert make(-100)(IMAGES, LABELS).dtype == torch.float64


def test_ordinary_cross_entropy_is_the_limit_of_several() -> None:
    expected = F.cross_entropy(IMAGES, LABELS)
    for loss in (FocalLoss(0.0), TopKCrossEntropy(1.0), LDAM(COUNTS, max_margin=0), SeesawLoss(4, p=0, q=0)):
        torch.testing.assert_close(loss(IMAGES, LABELS), expected)


def test_every_public_name_of_the_package_is_there() -> None:
    import pointseg.losses

    for name in pointseg.losses.__all__:
        assert getattr(pointseg.losses, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        _ = pointseg.losses.Nothing
