"""take_rows gives what indexing gives, forward and backward, and adds nothing up."""

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from pointseg.core.take import take_rows

ROWS = torch.tensor([4, 0, 3])


class Names(TorchDispatchMode):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        self.seen.add(function.overloadpacket.__name__)
        return function(*args, **(kwargs or {}))


def test_rows_and_gradients_are_those_of_indexing():
    values = torch.arange(12.0).reshape(6, 2).requires_grad_()
    taken = take_rows(values, ROWS)
    assert taken.tolist() == [[8.0, 9.0], [0.0, 1.0], [6.0, 7.0]]
    taken.backward(torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]))
    assert values.grad.tolist() == [[3, 4], [0, 0], [0, 0], [5, 6], [1, 2], [0, 0]]


def test_first_and_second_derivatives_are_right():
    values = torch.randn(6, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda v: take_rows(v, ROWS) ** 2, values)
    assert torch.autograd.gradgradcheck(lambda v: take_rows(v, ROWS) ** 2, values)


def test_the_backward_pass_writes_rows_and_adds_none():
    values = torch.randn(6, 2, requires_grad=True)
    out = take_rows(values, ROWS).sum()
    with Names() as names:
        out.backward()
    assert "index_copy_" in names.seen
    assert not names.seen & {"index_put", "index_put_", "_index_put_impl_", "index_add", "index_add_"}


def test_no_rows_are_none():
    values = torch.randn(6, 2, requires_grad=True)
    taken = take_rows(values, ROWS[:0])
    assert taken.shape == (0, 2)
    taken.sum().backward()
    assert not values.grad.any()
