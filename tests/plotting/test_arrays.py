"""Pictures are drawn of numbers of any kind, and of no others."""

import numpy as np
import pytest
import torch

from simlayer.plotting.arrays import as_array, largest


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, 3),
        torch.ones(2, 3, dtype=torch.float64, requires_grad=True),
        torch.ones(3, 2).T,
        np.ones((2, 3), dtype=">f4"),
        [[1, 1, 1], [1, 1, 1]],
    ],
)
def test_numbers_become_an_array_in_double_precision(value):
    array = as_array("x", value, 2, 3)
    assert array.dtype == np.float64
    assert array.tolist() == [[1.0] * 3] * 2


def test_another_shape_and_infinite_numbers_are_refused_by_name_and_nan_is_not():
    with pytest.raises(ValueError, match=r"x must be of shape \(any, 3\), got Tensor of shape \(2, 2\)"):
        as_array("x", torch.ones(2, 2), None, 3)
    with pytest.raises(ValueError, match="x must be finite or NaN"):
        as_array("x", torch.tensor([1.0, torch.inf]), 2)
    assert np.isnan(as_array("x", torch.tensor([1.0, torch.nan]), None)[1])


def test_the_largest_size_leaves_out_what_is_missing():
    assert largest(np.array([1.0, -3.0, np.nan]), np.array([np.nan])) == 3.0
    assert largest(np.array([np.nan])) == 0.0
