"""Time and memory of the losses, forward and backward, relative to plain cross entropy in the same run.

    python scripts/bench_losses.py --threads 2
    OMP_WAIT_POLICY=passive python scripts/bench_losses.py --threads 2 --clock cpu

Rows, classes and features are those of a batch of ScanNet200 scenes: 200,000 rows, 200 classes of which one
row in four has the commonest, 96 features, float32. Each round times the baseline and then each loss, for the
ratio: a machine that is slow for a while is slow for both. Prints the smallest and the median ratio. On a
machine with other work, the clock `cpu` counts the processor time of all threads instead; threads that wait
must not spin then. Peak memory is that of a fresh process, beyond the inputs.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from pointseg.losses import CenterCollapse, ClassSuppression, PixelAdaptive, TiltedCrossEntropy
from pointseg.losses.softmax_rows import mean_cross_entropy
from pointseg.models import ClassSuppressionHead

ROWS, CLASSES, CHANNELS = 200_000, 200, 96
#: Rows of one class that follow one another, as the voxels of a surface do.
RUN = 50


@dataclass(frozen=True)
class Inputs:
    """Leaves of the graph: logits (N, K), features (N, D); labels (N,)."""

    logits: Tensor
    features: Tensor
    labels: Tensor

    @classmethod
    def make(cls) -> Inputs:
        generator = torch.Generator().manual_seed(0)
        frequency = torch.arange(1, CLASSES + 1).float() ** -1.3
        runs = torch.multinomial(frequency, ROWS // RUN, replacement=True, generator=generator)
        return cls(
            torch.randn(ROWS, CLASSES, generator=generator).requires_grad_(),
            torch.randn(ROWS, CHANNELS, generator=generator).relu_().requires_grad_(),
            runs.repeat_interleave(RUN),
        )


Loss = Callable[[Inputs], Tensor]


def losses() -> dict[str, tuple[str, Loss]]:
    """Name -> (name of its baseline, the loss)."""
    frozen = CenterCollapse(CLASSES, CHANNELS, projection="frozen", prior=torch.ones(CLASSES), dropout=0.1)
    # 96 features carry a simplex of at most 97 classes; the cost is that of class sums and their gradient.
    direct = CenterCollapse(97, CHANNELS)
    pat, norms = PixelAdaptive(homogenize="mean"), PixelAdaptive()
    tilted = TiltedCrossEntropy(1.0, solver="running_weights")
    head = ClassSuppressionHead(CHANNELS, CLASSES, num_dropped=10)
    classifier, criterion = head.classifier, ClassSuppression()
    # As after a last block without a ReLU.
    signs = torch.ones(CHANNELS).index_fill(0, torch.arange(0, CHANNELS, 2), -1.0)

    def plain(x: Inputs) -> Tensor:
        return F.cross_entropy(x.logits, x.labels)

    return {
        "cross_entropy of torch": ("", plain),
        "cross_entropy of pointseg": (
            "cross_entropy of torch",
            lambda x: mean_cross_entropy(x.logits, x.labels),
        ),
        "PAT, mean": ("cross_entropy of torch", lambda x: pat(x.logits, x.labels)),
        "PAT, gradient_norm": ("cross_entropy of torch", lambda x: norms(x.logits, x.labels)),
        "TCE": ("cross_entropy of torch", lambda x: tilted(x.logits, x.labels)),
        "torch's + CeCo, projection none": (
            "cross_entropy of torch",
            lambda x: plain(x) + direct(x.features, x.labels.clamp(max=96)),
        ),
        "torch's + CeCo, projection frozen": (
            "cross_entropy of torch",
            lambda x: plain(x) + frozen(x.features, x.labels),
        ),
        "pointseg's + CeCo, projection frozen": (
            "cross_entropy of torch",
            lambda x: mean_cross_entropy(x.logits, x.labels) + frozen(x.features, x.labels),
        ),
        "classifier + cross_entropy of torch": (
            "",
            lambda x: F.cross_entropy(classifier(x.features), x.labels),
        ),
        "DropClass, features >= 0": (
            "classifier + cross_entropy of torch",
            lambda x: criterion(head(x.features, x.labels, 1.0), x.labels),
        ),
        "classifier + cross_entropy, signed": (
            "",
            lambda x: F.cross_entropy(classifier(x.features * signs), x.labels),
        ),
        "DropClass, signed features": (
            "classifier + cross_entropy, signed",
            lambda x: criterion(head(x.features * signs, x.labels, 1.0), x.labels),
        ),
    }


def run(loss: Loss, inputs: Inputs) -> None:
    inputs.logits.grad = inputs.features.grad = None
    loss(inputs).backward()


def measure(rounds: int, clock: Callable[[], float]) -> dict[str, list[float]]:
    """Seconds of each loss in each round."""
    inputs, table = Inputs.make(), losses()
    for _, loss in table.values():
        run(loss, inputs)
    seconds: dict[str, list[float]] = {name: [] for name in table}
    for _ in range(rounds):
        for name, (_, loss) in table.items():
            start = clock()
            run(loss, inputs)
            seconds[name].append(clock() - start)
    return seconds


def peak_bytes(name: str) -> int:
    """Most memory in use during one forward and backward, beyond the inputs; in a process of its own."""
    inputs, (_, loss) = Inputs.make(), losses()[name]
    small = Inputs(inputs.logits[:500], inputs.features[:500], inputs.labels[:500])
    loss(small).backward()  # libraries are loaded
    inputs.logits.grad = inputs.features.grad = None
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    before = _status_bytes("VmRSS")
    run(loss, inputs)
    return _status_bytes("VmHWM") - before


def _status_bytes(key: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(key)).split()[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--peak-of", help="print the peak memory of one loss in bytes, and nothing else")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    if options.peak_of:
        print(peak_bytes(options.peak_of))
        return
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    seconds = measure(options.rounds, clock)
    print(f"{'':38}{'ms min':>8}{'median':>8}{'ratio min':>11}{'median':>8}{'peak MB':>9}")
    for name, (baseline, _) in losses().items():
        ratios = [a / b for a, b in zip(seconds[name], seconds[baseline or name], strict=True)]
        command = [sys.executable, __file__, "--threads", str(options.threads), "--peak-of", name]
        peak = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        print(
            f"{name:38}{min(seconds[name]) * 1e3:8.0f}{statistics.median(seconds[name]) * 1e3:8.0f}"
            f"{min(ratios):11.2f}{statistics.median(ratios):8.2f}{peak / 1e6:9.0f}"
        )


if __name__ == "__main__":
    main()
