"""Size of the networks for images, and how long they take for an image of 512 x 512, relative to the U-Net.

    python scripts/bench_image_networks.py --threads 2 --json benchmarks/images_networks.json

One image, evaluation mode, float32, random weights. Each round times every network once, the U-Net first: a
machine that is slow for a while is slow for all, so the ratios of a round can be compared. `features` is the
network without the classifier; `pixels` goes on to the scores of 150 classes for each of the 262,144 pixels.
On a machine with other work, the clock `cpu` counts the processor time of all threads instead; set
OMP_WAIT_POLICY=passive then, since threads that wait must not spin.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch

from pointseg.core.batch import ImageBatch
from pointseg.models.backbone import BackboneConfig
from pointseg.models.deeplabv3plus import DeepLabV3PlusConfig
from pointseg.models.image_unet import ImageUNetConfig
from pointseg.models.segformer import SegformerConfig
from pointseg.models.segmenter import Segmenter
from pointseg.models.upernet import UPerNetConfig

SIDE, CLASSES = 512, 150
UNET = "image_unet"
NETWORKS: dict[str, BackboneConfig] = {
    UNET: ImageUNetConfig(),
    "segformer b0": SegformerConfig(),
    "segformer b2": SegformerConfig(variant="b2"),
    "upernet convnext tiny": UPerNetConfig(),
    "upernet swin tiny": UPerNetConfig(encoder="swin"),
    "deeplabv3plus, stride 16": DeepLabV3PlusConfig(),
    "deeplabv3plus, stride 8": DeepLabV3PlusConfig(output_stride=8),
}


def measure(segmenters: dict[str, Segmenter], rounds: int, clock: Callable[[], float]) -> dict[str, dict]:
    """Seconds of each network in each round, for ``features`` and for ``pixels``."""
    batch = ImageBatch(torch.randn(1, 3, SIDE, SIDE), torch.zeros(1, SIDE, SIDE, dtype=torch.int64), ("one",))
    seconds: dict[str, dict] = {name: {"features": [], "pixels": []} for name in segmenters}
    with torch.inference_mode():
        for number in range(rounds + 1):
            for name, segmenter in segmenters.items():
                for kind, run in (
                    ("features", lambda s=segmenter: s.backbone(batch.images)),
                    ("pixels", lambda s=segmenter: s(batch)),
                ):
                    start = clock()
                    run()
                    if number:  # the first round warms up
                        seconds[name][kind].append(clock() - start)
    return seconds


def row(segmenter: Segmenter, seconds: dict, of_unet: dict) -> dict[str, float]:
    """Size of a network, and medians over the rounds with the smallest and the largest ratio."""
    values: dict[str, float] = {
        "parameters_m": sum(p.numel() for p in segmenter.backbone.parameters()) / 1e6,
        "feature_channels": segmenter.feature_channels,
    }
    for kind, of_kind in seconds.items():
        ratios = [a / b for a, b in zip(of_kind, of_unet[kind], strict=True)]
        values[f"{kind}_ms"] = statistics.median(of_kind) * 1e3
        values[f"{kind}_ratio"] = statistics.median(ratios)
        values[f"{kind}_ratio_min"], values[f"{kind}_ratio_max"] = min(ratios), max(ratios)
    return {key: round(value, 3) for key, value in values.items()}


def show(table: dict[str, dict[str, float]]) -> None:
    print("| network | M parameters | channels | features, ratio (range) | pixels, ratio (range) |")
    print("|---|---|---|---|---|")
    for name, found in table.items():
        ratios = [
            f"{found[f'{k}_ratio']:.1f} ({found[f'{k}_ratio_min']:.1f} to {found[f'{k}_ratio_max']:.1f})"
            for k in ("features", "pixels")
        ]
        size = f"{found['parameters_m']:.1f} | {found['feature_channels']}"
        print(f"| {name} | {size} | {' | '.join(ratios)} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--clock", choices=["wall", "cpu"], default="wall")
    parser.add_argument("--json", type=Path, help="also write the numbers to this file")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    segmenters = {name: Segmenter(net.build(3), CLASSES).eval() for name, net in NETWORKS.items()}
    clock = time.perf_counter if options.clock == "wall" else time.process_time
    seconds = measure(segmenters, options.rounds, clock)
    table = {name: row(segmenter, seconds[name], seconds[UNET]) for name, segmenter in segmenters.items()}
    show(table)
    if options.json:
        made = {
            "side": SIDE,
            "classes": CLASSES,
            "threads": options.threads,
            "rounds": options.rounds,
            "clock": options.clock,
            "cpus": os.cpu_count(),
            "torch": torch.__version__,
            "networks": table,
        }
        options.json.write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
