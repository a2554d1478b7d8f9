"""A traced function split into what runs forward and what backward."""

import pytest
import torch

from simlayer.autodiff.partition import is_sum, split
from simlayer.autodiff.tracing import trace

pytestmark = pytest.mark.usefixtures("float64")


def test_of_sums_that_are_only_added_up_a_split_keeps_the_total():
    def joint(x, index, cotangent):
        zeros = x.new_zeros(4)
        total = zeros.index_add(0, index, x.sin()) + zeros.index_add(0, index.flip(0), x)
        return total.cos(), -total.sin() * cotangent

    x, index, cotangent = torch.randn(6), torch.tensor([0, 1, 2, 3, 0, 1]), torch.randn(4)
    forward, backward = split(trace(joint, x, index, cotangent), 2, 1, keep=is_sum)
    output, *kept = forward(x, index)
    (gradient,) = backward(x, index, *kept, cotangent)
    assert len(kept) == 1
    expected = joint(x, index, cotangent)
    assert torch.equal(output, expected[0])
    assert torch.equal(gradient, expected[1])


def test_a_sum_of_the_components_of_vectors_is_not_kept():
    def joint(x, cotangent):
        square = (x * x).sum(0)
        return square.cos(), -square.sin() * cotangent

    x, cotangent = torch.randn(3, 4), torch.randn(4)
    forward, _ = split(trace(joint, x, cotangent), 1, 1, keep=is_sum)
    assert len(forward(x)) == 1
