"""The sections of the check, in order; what comes first matters most where time runs out."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

import torch

from gpu_check.record import FULL, SMOKE, Recorder, environment

#: Under nine minutes with what is still running when the time is up.
_BUDGET_S = 450.0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the check; 0 if everything that ran was right."""
    parser = argparse.ArgumentParser(prog="scripts/gpu_check.sh", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("gpu_check.json"), help="where the numbers go")
    parser.add_argument(
        "--smoke", action="store_true", help="tiny sizes on the CPU, kernels in Triton's interpreter"
    )
    options = parser.parse_args(arguments)
    if options.smoke:
        # Read when the kernels are imported, which happens below.
        os.environ["TRITON_INTERPRET"] = "1"
        # Tiny tensors: a second thread has nothing to do but to spin.
        torch.set_num_threads(1)
    elif not torch.cuda.is_available():
        print("No CUDA device. `scripts/gpu_check.sh --smoke` tries the script itself on a CPU.")
        return 2
    device = torch.device("cpu" if options.smoke else "cuda")
    recorder = Recorder(device, SMOKE if options.smoke else FULL, _BUDGET_S, options.out)
    for key, value in environment(device).items():
        print(f"{key:20s} {value}")
    _run(recorder)
    # Once more, with the time that it all took.
    recorder.write(options.out)
    print(f"\n{len(recorder.rows)} rows in {options.out}; {len(recorder.failures)} failures")
    for failure in recorder.failures:
        print(f"  {failure}")
    return 1 if recorder.failures else 0


def _run(recorder: Recorder) -> None:
    with recorder.section("correctness"):
        from gpu_check.correctness import check_bits, check_kernels

        check_kernels(recorder)
        check_bits(recorder)
    with recorder.section("maps and voxels"):
        from gpu_check.same_as_cpu import check_maps, check_voxels

        check_maps(recorder)
        check_voxels(recorder)
    with recorder.section("ceilings"):
        from gpu_check.ceilings import measure_ceilings

        measure_ceilings(recorder)
    with recorder.section("networks"):
        from gpu_check.networks import measure_networks

        measure_networks(recorder)
    with recorder.section("networks of others"):
        from gpu_check.peer_networks import measure_peer_networks

        measure_peer_networks(recorder)
    with recorder.section("training"):
        from gpu_check.training import measure_training

        measure_training(recorder)
    with recorder.section("points"):
        from gpu_check.points import measure_points

        measure_points(recorder)
    with recorder.section("convolutions"):
        from gpu_check.convolutions import measure_convolutions

        measure_convolutions(recorder)
    with recorder.section("endurance"):
        from gpu_check.endurance import measure_endurance

        measure_endurance(recorder)
    with recorder.section("checkpointing"):
        from gpu_check.networks import measure_checkpointing

        measure_checkpointing(recorder)
    with recorder.section("goals"):
        from gpu_check.goals import compare_with_goals

        compare_with_goals(recorder)
