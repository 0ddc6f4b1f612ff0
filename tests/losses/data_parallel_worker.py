"""What each process of test_data_parallel.py computes: every loss, its gradients and state, on its share.

As a script, ``data_parallel_worker.py FOLDER WORLD...`` starts so many processes, one world after the other,
and leaves what process R of W has found in FOLDER/W/R.pt. They are forked: loading torch takes longer than
all the rest.
"""

import multiprocessing
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from losses.conftest import line_table
from torch import Tensor

from pointseg.core.labels import LabelSpace, distinct_colors
from pointseg.core.rows import Branch, Supervised, drop_unlabelled
from pointseg.core.statistics import ClassStatistics
from pointseg.experiment import LOSSES
from pointseg.losses import TiltedCrossEntropy
from pointseg.losses.base import BranchTerms, LossTerm
from pointseg.losses.objective import Objective
from pointseg.models import ClassSuppressionHead

K, D, ROWS = 6, 7, 30
SPACE = LabelSpace("six", (1, 2, 3, 4, 5, 6), tuple("abcdef"), ("",) * K, distinct_colors(K))
STATISTICS = ClassStatistics(torch.tensor([900, 90, 9, 30, 4, 1]), torch.tensor([10, 9, 3, 5, 2, 1]), 10)

#: Each row of LOSSES with its defaults, and options that take another way; without noise and dropout, which
#: are drawn by place in a batch.
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    **{name: (name, {}) for name in LOSSES if name not in ("blv", "ceco", "tilted")},
    "blv without noise": ("blv", {"sigma": 0.0}),
    "weighted": ("cross_entropy", {"class_weights": {"power": -0.5}}),
    "smoothed": ("cross_entropy", {"label_smoothing": 0.1, "class_weights": "log"}),
    "ceco": ("ceco", {"projection": "none", "dropout": 0.0}),
    "ceco frozen": ("ceco", {"dropout": 0.0}),
    "ceco learned": ("ceco", {"projection": "learned", "prior": "none", "dropout": 0.0}),
    "ceco of scenes": ("ceco", {"projection": "none", "center_scope": "scene", "dropout": 0.0}),
    "tilted": ("tilted", {}),
    "tilted annealed": ("tilted", {"t": 2.0, "anneal": 1.0}),
    "tilted frequency": ("tilted", {"t": 2.0, "exponent": 1.0}),
    "no tilt": ("tilted", {"t": 0.0}),
    "tilted running": ("tilted", {"solver": "running_weights"}),
    "tilted row": ("tilted", {"t": 2.0, "level": "row"}),
    "tilted row annealed": ("tilted", {"t": 2.0, "level": "row", "anneal": 1.0}),
    "tilted row running": ("tilted", {"t": 2.0, "level": "row", "solver": "running_weights"}),
    "tilted scene": ("tilted", {"t": -2.0, "level": "scene"}),
    "tilted scene running": ("tilted", {"level": "scene", "solver": "running_weights"}),
    "tilted hierarchical": ("tilted", {"level": "hierarchical", "within_t": -3.0}),
    "tilted sampled": ("tilted", {"solver": "group_sampling", "sampled_classes": 2}),
    "tilted pat": ("tilted", {"row_loss": "pat"}),
    "class mean of the root": ("class_mean", {"exponent": 0.5, "counts": "points"}),
    "pat rows": ("pat", {"homogenize": "none"}),
    "pat mean": ("pat", {"homogenize": "mean", "exponent": 0.5}),
    "dice of first powers": ("dice", {"exponent": 1}),
    "ldam reweighted": ("ldam", {"drw_start": 0.0}),
    "regions of samples": ("region_classifier", {"scope": "sample", "smoothing": 0.1}),
    "sparse rows": ("spatial_class_balanced", {"context": "density", "count": "points"}),
    "few anchors": ("pixel_contrast", {"embedding_dim": 4, "temperature": 0.5}),
    "hard rows": ("top_k", {"threshold": 0.7}),
    "tilted alone": ("tilted", {"synchronize": False}),
}
#: Their value is the mean of those of the shares with a labelled row.
LOCAL = {"lovasz", "pixel_contrast", "few anchors", "top_k", "hard rows", "tilted alone"}
#: Which rows have a label: all but some; none of the last share; none at all.
LABELLED = ("most", "not the last", "none")

Results = dict[str, dict[str, Tensor]]


def shares(world: int) -> list[slice]:
    """Uneven shares of the rows, whole scenes each; of three the middle one has no row at all."""
    cuts = {1: [0, ROWS], 2: [0, 20, ROWS], 3: [0, 20, 20, ROWS]}[world]
    return [slice(a, b) for a, b in pairwise(cuts)]


def leaves(share: slice) -> tuple[Tensor, ...]:
    """Two sets of logits and the features of a share."""
    generator = torch.Generator().manual_seed(0)
    found = [2 + 3 * torch.randn(ROWS, size, dtype=torch.float64, generator=generator) for size in (K, K, D)]
    return tuple(values[share].clone().requires_grad_() for values in found)


def supervised(share: slice, labelled: str, inputs: tuple[Tensor, ...]) -> Supervised:
    """The labelled rows of a share; class 5 is absent, 4 and 3 are in one share alone."""
    labels = torch.arange(ROWS) % 4
    labels[:20][labels[:20] == 3] = 4
    labels[::9] = -100
    if labelled == "not the last":
        labels[20:] = -100
    if labelled == "none":
        labels[:] = -100
    generator = torch.Generator().manual_seed(5)
    plain, further, features = inputs
    sample = (torch.arange(ROWS) // 5)[share] - (share.start // 5 if len(labels[share]) else 0)
    return drop_unlabelled(
        (Branch(plain, 0.75), Branch(further, 0.25, torch.tensor([1]))),
        labels[share],
        sample,
        num_samples=max(1, -(-len(labels[share]) // 5)),
        features=features,
        classifier_weight=torch.randn(K, D, dtype=torch.float64, generator=generator).requires_grad_(),
        progress=0.5,
        table=line_table(sample),
    )


def objective_of(case: str) -> Objective:
    """The loss of a case, one for each of the two branches where it is one of classification."""
    name, options = CASES[case]
    config = LOSSES[name](**options)

    def build() -> LossTerm:
        torch.manual_seed(0)
        return config.build(STATISTICS, label_space=SPACE, feature_channels=D)

    term = BranchTerms([build(), build()]) if config.trains_classifier else build()
    return Objective({"only": term}, {"only": 1.0}).double()


def results_of(case: str, share: slice, labelled: str) -> dict[str, Tensor]:
    """Loss, gradient of the inputs and of the parameters, and state after two batches."""
    objective = objective_of(case)
    for _ in range(2):
        inputs = leaves(share)
        torch.manual_seed(3)
        objective.zero_grad()
        loss, _parts = objective(supervised(share, labelled, inputs))
        loss.backward()
    found = {"loss": loss.detach()}
    for name, leaf in zip(("plain", "further", "features"), inputs, strict=True):
        found[f"gradient {name}"] = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    for name, parameter in objective.named_parameters():
        assert parameter.grad is not None, f"{case}: {name} is not connected"
        found[f"parameter {name}"] = parameter.grad
    return found | {f"state {name}": buffer.clone() for name, buffer in objective.named_buffers()}


def cases() -> Iterator[tuple[str, str]]:
    for labelled in LABELLED:
        for case in CASES:
            yield case, labelled


def dropped_by(sample_from: str, share: slice, rank: int) -> dict[str, Tensor]:
    """Marks (20, K) of the classes dropped in 20 forwards, from random numbers of this process's own."""
    head = ClassSuppressionHead(D, K, num_dropped=2, sample_from=sample_from)  # type: ignore[arg-type]
    labels = torch.arange(ROWS) % 4
    labels[:20][labels[:20] == 3] = 4
    features = torch.ones(ROWS, D)[share]
    torch.manual_seed(rank)
    marks = torch.zeros(20, K, dtype=torch.int64)
    for i in range(20):
        ignored = head(features, labels[share], 0.8).branches[1].ignored
        marks[i, [] if ignored is None else ignored] = 1
    return {"dropped": marks}


def everything(share: slice, rank: int) -> Results:
    found = {f"{case}, {labelled}": results_of(case, share, labelled) for case, labelled in cases()}
    for sample_from in ("all", "present"):
        found[f"dropped of {sample_from}"] = dropped_by(sample_from, share, rank)
    torch.manual_seed(rank)
    sampled = TiltedCrossEntropy(0.1, solver="group_sampling", sampled_classes=2)
    (logits, *_), labels = leaves(share), (torch.arange(ROWS) % 4)[share]
    found["drawn"] = {"loss": torch.stack([sampled(logits, labels).detach() for _ in range(10)])}
    return found


def work(folder: Path, world: int, rank: int) -> None:
    store = (folder / "store").as_uri()
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=world)
    torch.save(everything(shares(world)[rank], rank), folder / f"{rank}.pt")
    dist.destroy_process_group()


if __name__ == "__main__":
    context = multiprocessing.get_context("fork")
    for number in map(int, sys.argv[2:]):
        its_folder = Path(sys.argv[1]) / str(number)
        its_folder.mkdir()
        started = [context.Process(target=work, args=(its_folder, number, rank)) for rank in range(number)]
        for process in started:
            process.start()
        for process in started:
            process.join()
        if any(process.exitcode for process in started):
            sys.exit(f"exit codes of {number} processes: {[process.exitcode for process in started]}")
