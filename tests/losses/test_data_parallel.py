"""Every loss in two and three processes with uneven shares of the rows, against one with all of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from losses import data_parallel_worker as worker

WHOLE = slice(0, worker.ROWS)


WORLDS = (2, 3)


@pytest.fixture(scope="module")
def worlds(tmp_path_factory: pytest.TempPathFactory) -> dict[int, list[worker.Results]]:
    """Number of processes -> what each of them found."""
    folder = tmp_path_factory.mktemp("processes")
    # Gloo would look the machine's name up in the network.
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"}
    # A script has its own folder on the path, and not this one.
    tests = [str(Path(__file__).parents[1]), environment.get("PYTHONPATH", "")]
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, tests))
    command = [sys.executable, worker.__file__, str(folder), *map(str, WORLDS)]
    done = subprocess.run(
        command, env=environment, stderr=subprocess.PIPE, text=True, timeout=960, check=False
    )
    assert done.returncode == 0, done.stderr
    return {
        world: [torch.load(folder / str(world) / f"{rank}.pt", weights_only=True) for rank in range(world)]
        for world in WORLDS
    }


@pytest.fixture(params=WORLDS)
def processes(
    request: pytest.FixtureRequest, worlds: dict[int, list[worker.Results]]
) -> list[worker.Results]:
    found: list[worker.Results] = worlds[request.param]
    return found


@pytest.mark.parametrize("labelled", worker.LABELLED)
@pytest.mark.parametrize("case", [case for case in worker.CASES if case not in worker.LOCAL])
def test_loss_gradient_and_state_are_those_of_the_joined_batch(
    case: str, labelled: str, processes: list[worker.Results]
) -> None:
    expected = worker.results_of(case, WHOLE, labelled)
    world, found = len(processes), [process[f"{case}, {labelled}"] for process in processes]
    for key, value in expected.items():
        parts = [results[key] for results in found]
        if key.startswith("gradient"):
            # Data-parallel training averages over the processes: what it will do to each row's gradient.
            torch.testing.assert_close(torch.cat(parts) / world, value, msg=lambda m, k=key: f"{k}: {m}")
        elif key.startswith("parameter"):
            torch.testing.assert_close(sum(parts) / world, value, msg=lambda m, k=key: f"{k}: {m}")
        else:
            for part in parts:
                torch.testing.assert_close(part, value, msg=lambda m, k=key: f"{k}: {m}")
    if labelled == "none":
        assert not expected["loss"].any()
        fresh = dict(worker.objective_of(case).named_buffers())
        assert all(torch.equal(expected[f"state {name}"], before) for name, before in fresh.items())
    elif case != "ignored_probability":
        assert expected["loss"].any()


@pytest.mark.parametrize("labelled", worker.LABELLED)
@pytest.mark.parametrize("case", sorted(worker.LOCAL))
def test_a_local_loss_is_the_mean_of_those_of_the_shares_with_a_label(
    case: str, labelled: str, processes: list[worker.Results]
) -> None:
    world, found = len(processes), [process[f"{case}, {labelled}"] for process in processes]
    alone = [worker.results_of(case, share, labelled) for share in worker.shares(world)]
    number = {"most": 2, "not the last": 1, "none": 1}[labelled]
    for process, own in zip(found, alone, strict=True):
        torch.testing.assert_close(process["loss"], sum(other["loss"] for other in alone) / number)
        for key in ("gradient plain", "gradient further", "gradient features"):
            torch.testing.assert_close(process[key] / world, own[key] / number)


@pytest.mark.parametrize("sample_from", ["all", "present"])
def test_the_same_classes_are_dropped(sample_from: str, processes: list[worker.Results]) -> None:
    """Although the processes' random numbers differ, and so do the classes present."""
    first, *others = (process[f"dropped of {sample_from}"]["dropped"] for process in processes)
    assert all(torch.equal(first, other) for other in others)
    assert set(first.sum(1).tolist()) == {0, 2}
    dropped = first.sum(0) > 0
    # Class 4 is in the first process only, class 3 in the last; class 5 is in none.
    assert dropped[:5].all() and bool(dropped[5]) == (sample_from == "all")


def test_the_same_classes_are_drawn_by_tilt(processes: list[worker.Results]) -> None:
    first, *others = (process["drawn"]["loss"] for process in processes)
    assert all(torch.equal(first, other) for other in others) and len(first.unique()) > 1
