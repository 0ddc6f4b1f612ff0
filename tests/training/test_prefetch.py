"""Batches made ahead are the same batches, and their thread ends when it has to."""

import threading

import pytest
import torch

from pointseg.core.batch import Labels, SceneBatch
from pointseg.core.held import held_tensors
from pointseg.training.prefetch import prefetch

CPU = torch.device("cpu")


def batch(number):
    empty = torch.empty(0)
    return SceneBatch(empty, torch.tensor([float(number)]), empty, (str(number),))


@pytest.mark.parametrize("threaded", [True, False])
def test_batches_come_whole_and_in_order(threaded):
    made = prefetch(lambda: map(batch, range(20)), CPU, threaded=threaded)
    assert [item.names[0] for item in made] == [str(number) for number in range(20)]


@pytest.mark.parametrize("threaded", [True, False])
def test_an_error_arrives_after_the_batches_before_it(threaded):
    def batches():
        yield batch(0)
        raise ValueError("scene7: broken")

    made = prefetch(batches, CPU, threaded=threaded)
    assert next(made).names == ("0",)
    with pytest.raises(ValueError, match="scene7: broken"):
        next(made)


def test_the_next_batch_is_made_while_this_one_is_used():
    second_is_made = threading.Event()

    def batches():
        yield batch(0)
        second_is_made.set()
        yield batch(1)

    made = prefetch(batches, CPU, threaded=True)
    next(made)
    assert second_is_made.wait(timeout=30)
    made.close()


def test_leaving_early_ends_the_thread_and_reads_at_most_three_batches():
    before, read = threading.active_count(), []

    def batches():
        for number in range(1000):
            read.append(number)
            yield batch(number)

    made = prefetch(batches, CPU, threaded=True)
    next(made)
    made.close()
    assert threading.active_count() == before
    assert len(read) <= 3


def test_the_tensors_of_other_heads_are_handed_over_too():
    numbers = [torch.full((1,), float(i)) for i in range(6)]
    others = {"parts": Labels(numbers[4], rows=numbers[5]), "colours": Labels(numbers[3])}
    batch = SceneBatch(*numbers[:3], names=("hall",), others=others)
    assert sorted(tensor.item() for tensor in held_tensors(batch)) == [0, 1, 2, 3, 4, 5]
