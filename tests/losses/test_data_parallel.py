"""Two processes with half of the rows each, against one process on the joined batch."""

import os
import subprocess
import sys

import pytest
import torch
from losses import data_parallel_worker as worker

WORLD = 2
ALL = slice(0, worker.ROWS)


@pytest.fixture(scope="module")
def processes(tmp_path_factory: pytest.TempPathFactory) -> list[worker.Results]:
    """What each of two processes found."""
    folder = tmp_path_factory.mktemp("processes")
    # Gloo would look the machine's name up in the network.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    outs = [folder / f"{rank}.pt" for rank in range(WORLD)]
    started = [
        subprocess.Popen(
            [sys.executable, worker.__file__, str(rank), str(WORLD), str(folder / "store"), str(out)],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank, out in enumerate(outs)
    ]
    for process in started:
        _, errors = process.communicate(timeout=240)
        assert process.returncode == 0, errors
    return [torch.load(out, weights_only=True) for out in outs]


@pytest.mark.parametrize("labelled", ["both", "first"])
@pytest.mark.parametrize("name", worker.MODULES)
def test_loss_state_and_gradient_are_those_of_the_joined_batch(
    name: str, labelled: str, processes: list[worker.Results]
) -> None:
    joined = worker.results_of(name, ALL, labelled)
    found = [process[f"{name}, {labelled}"] for process in processes]
    for key, expected in joined.items():
        parts = [results[key] for results in found]
        if key == "gradient":
            # Data-parallel training averages over the processes: what it will do to each row's gradient.
            torch.testing.assert_close(torch.cat(parts) / WORLD, expected)
        elif key.startswith("gradient of"):
            torch.testing.assert_close(sum(parts) / WORLD, expected)
        else:
            for part in parts:
                torch.testing.assert_close(part, expected)


def test_class_means_and_counts_agree(processes: list[worker.Results]) -> None:
    expected = worker.class_means_of(ALL)
    for process in processes:
        torch.testing.assert_close(process["class means"], expected)


@pytest.mark.parametrize("sample_from", ["all", "present"])
def test_the_same_classes_are_dropped(sample_from: str, processes: list[worker.Results]) -> None:
    """Although the processes' random numbers differ, and so do the classes present."""
    first, second = (process[f"dropped of {sample_from}"]["dropped"] for process in processes)
    assert torch.equal(first, second)
    numbers = first.sum(1)
    assert set(numbers.tolist()) == {0, 2}
    dropped = first.sum(0) > 0
    # Class 4 is in the first process only, class 3 in the second; class 5 is in none.
    assert dropped[:5].all() and bool(dropped[5]) == (sample_from == "all")


def test_the_same_classes_are_drawn_by_tilt(processes: list[worker.Results]) -> None:
    first, second = (process["tilted sampled"]["loss"] for process in processes)
    assert torch.equal(first, second) and len(first.unique()) > 1
