"""Values and gradients of a golden file that an implementation without a line of ours has written.

K = 19 and 200; of 24 rows three are ignored, most classes are absent and four have one row.
"""

import json
from pathlib import Path

import pytest
import torch
from losses import reference

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import LOSSES
from pointseg.losses.row_loss import RowLoss

GOLDEN = json.loads((Path(__file__).parents[1] / "fixtures" / "losses.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("num_classes", [19, 200])
@pytest.mark.parametrize("name", reference.LOSSES)
def test_value_and_gradient_are_those_of_the_golden_file(name: str, num_classes: int) -> None:
    logits, labels, counts = reference.case(num_classes)
    _, kind, options = reference.LOSSES[name]
    names = tuple(map(str, range(num_classes)))
    space = LabelSpace(
        "k", tuple(range(1, num_classes + 1)), names, ("",) * num_classes, distinct_colors(num_classes)
    )
    statistics = ClassStatistics(counts.long(), torch.ones(num_classes).long(), 1)
    term = LOSSES[kind](**options).build(statistics, label_space=space, feature_channels=1)
    # LDAM stands in a term that may change it late in a training.
    loss = getattr(term, "plain", term)
    assert isinstance(loss, RowLoss)
    logits.requires_grad_()
    value = loss.double()(logits, labels)
    (gradient,) = torch.autograd.grad(value, logits)
    wanted = GOLDEN[f"{name} {num_classes}"]
    # Priors and weights of the training set are kept in float32.
    assert value.item() == pytest.approx(wanted["value"], rel=1e-7)
    expected = torch.tensor(wanted["gradient"], dtype=torch.float64)
    torch.testing.assert_close(gradient @ reference.probes(num_classes), expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", reference.LOSSES)
def test_the_golden_file_is_what_the_reference_says(name: str) -> None:
    value, gradient = reference.golden(name, 19)
    assert value == pytest.approx(GOLDEN[f"{name} 19"]["value"], rel=1e-12)
    assert gradient.flatten().tolist() == pytest.approx(
        [number for row in GOLDEN[f"{name} 19"]["gradient"] for number in row], rel=1e-9, abs=1e-12
    )
