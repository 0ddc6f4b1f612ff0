"""What each process of test_data_parallel.py computes: losses, gradients and state on its share of the rows.

As a script, ``data_parallel_worker.py RANK WORLD STORE OUT`` joins the other processes by the file STORE.
"""

import sys
from collections.abc import Callable
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Tensor, nn

from pointseg.losses import CenterCollapse, PixelAdaptive, TiltedCrossEntropy
from pointseg.losses.class_sums import class_means
from pointseg.models import ClassSuppressionHead

K, D, ROWS = 6, 7, 24
#: Rows of the first process; the second one has the rest.
FIRST = 14

Results = dict[str, dict[str, Tensor]]


def rows(share: slice, labelled: str) -> tuple[Tensor, Tensor, Tensor]:
    """Values (R, D), labels and scenes of a share of the joined batch; class 5 is absent.

    ``labelled``: ``both``, or ``first``, where the second process has no labelled row.
    """
    generator = torch.Generator().manual_seed(0)
    values = 2 + 3 * torch.randn(ROWS, D, dtype=torch.float64, generator=generator)
    labels = torch.arange(ROWS) % 4
    labels[:FIRST][labels[:FIRST] == 3] = 4  # class 4 in the first process only, class 3 in the second
    labels[::9] = -100
    if labelled == "first":
        labels[FIRST:] = -100
    return values[share], labels[share], (torch.arange(ROWS) // 7)[share]


MODULES: dict[str, Callable[[], nn.Module]] = {
    "ceco": lambda: CenterCollapse(K, D),
    "ceco frozen": lambda: CenterCollapse(K, D, projection="frozen"),
    "ceco learned": lambda: CenterCollapse(K, D, projection="learned", prior=torch.arange(1.0, K + 1)),
    "ceco of scenes": lambda: CenterCollapse(K, D, scope="scene"),
    "tilted class": lambda: TiltedCrossEntropy(2.0),
    "tilted row": lambda: TiltedCrossEntropy(2.0, level="row"),
    "tilted scene": lambda: TiltedCrossEntropy(-2.0, level="scene"),
    "tilted hierarchical": lambda: TiltedCrossEntropy(2.0, level="hierarchical", within_t=-3.0),
    "tilted running": lambda: TiltedCrossEntropy(2.0, prior="frequency", stochastic=True),
    "tilted running row": lambda: TiltedCrossEntropy(2.0, level="row", stochastic=True),
    "pat rows": lambda: PixelAdaptive(homogenize="none"),
    "pat mean": lambda: PixelAdaptive(),
    "pat gradient_norm": lambda: PixelAdaptive(homogenize="gradient_norm", num_classes=D),
}


def results_of(name: str, share: slice, labelled: str) -> dict[str, Tensor]:
    """Loss, gradient of the values and of the parameters, and state after two batches."""
    values, labels, sample = rows(share, labelled)
    values.requires_grad_()
    module = MODULES[name]().double()
    takes_sample = not isinstance(module, PixelAdaptive)
    for _ in range(2):
        loss = module(values, labels, sample) if takes_sample else module(values, labels)
    loss.backward()
    assert values.grad is not None
    found = {"loss": loss.detach(), "gradient": values.grad}
    found |= {f"gradient of {key}": p.grad for key, p in module.named_parameters() if p.grad is not None}
    return found | {f"state {key}": buffer for key, buffer in module.named_buffers()}


def class_means_of(share: slice) -> dict[str, Tensor]:
    values, labels, _ = rows(share, "both")
    means, counts = class_means(values, labels, K, synchronize=True)
    return {"means": means, "counts": counts}


def dropped_by(sample_from: str, share: slice, rank: int) -> dict[str, Tensor]:
    """Marks (20, K) of the classes dropped in 20 forwards, from random numbers of this process's own."""
    head = ClassSuppressionHead(D, K, num_dropped=2, sample_from=sample_from)  # type: ignore[arg-type]
    values, labels, _ = rows(share, "both")
    torch.manual_seed(rank)
    marks = torch.zeros(20, K, dtype=torch.int64)
    for i in range(20):
        suppressed = head(values.float(), labels, 0.8).suppressed
        assert suppressed is not None
        marks[i, suppressed.dropped] = 1
    return {"dropped": marks}


def everything(share: slice, rank: int) -> Results:
    found = {
        f"{name}, {labelled}": results_of(name, share, labelled)
        for labelled in ("both", "first")
        for name in MODULES
    }
    found["class means"] = class_means_of(share)
    for sample_from in ("all", "present"):
        found[f"dropped of {sample_from}"] = dropped_by(sample_from, share, rank)
    torch.manual_seed(rank)
    sampled = TiltedCrossEntropy(0.1, sampled_classes=2)
    values, labels, _ = rows(share, "both")
    found["tilted sampled"] = {"loss": torch.stack([sampled(values, labels) for _ in range(10)])}
    return found


if __name__ == "__main__":
    rank, world = int(sys.argv[1]), int(sys.argv[2])
    store, out = Path(sys.argv[3]), Path(sys.argv[4])
    dist.init_process_group("gloo", init_method=store.as_uri(), rank=rank, world_size=world)
    torch.save(everything(slice(0, FIRST) if rank == 0 else slice(FIRST, ROWS), rank), out)
    dist.destroy_process_group()
