"""Arguments that are objects and texts: what is refused by name."""

import math

import pytest
import torch
from torch import nn

from simlayer.quantities.objects import checked_function, checked_names, checked_parameters, checked_text


def test_names_whose_order_matters_are_no_set():
    assert set(checked_names("names", {"a", "b"})) == {"a", "b"}
    assert checked_names("names", ["b", "a"], ordered=True) == ("b", "a")
    with pytest.raises(TypeError, match=r"^names must be in order, as in a list, got .*set"):
        checked_names("names", {"a", "b"}, ordered=True)


def test_a_text_that_is_empty_is_refused_by_name():
    assert checked_text("source", "body") == "body"
    with pytest.raises(ValueError, match=r"^source must be a text that is not empty, got ''"):
        checked_text("source", "")


@pytest.mark.parametrize("value", [None, 1, b"body", ["body"]])
def test_what_is_no_text_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^source must be of class str, got"):
        checked_text("source", value)


def test_a_function_that_cannot_take_so_many_arguments_is_refused_by_name():
    assert checked_function("loss", math.sqrt, arguments=1) is math.sqrt
    assert checked_function("loss", print, arguments=3) is print
    with pytest.raises(TypeError, match=r"^loss must be a function of 2 arguments, got .*sqrt"):
        checked_function("loss", math.sqrt, arguments=2)


def test_a_module_is_a_function_of_what_its_forward_takes():
    layer = nn.Linear(2, 2)
    assert checked_function("observe", layer, arguments=1) is layer
    with pytest.raises(
        TypeError, match=r"^closure must be a function of no arguments, got a Linear: .*input"
    ):
        checked_function("closure", layer, arguments=0)
    with pytest.raises(TypeError, match=r"^closure must be a function, got a Module"):
        checked_function("closure", nn.Module(), arguments=0)


def test_parameters_are_listed_in_their_order():
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(()))
    assert checked_parameters("params", (part for part in (second, first))) == [second, first]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "params must hold at least one parameter, got none"),
        ({nn.Parameter(torch.ones(1))}, "params must be a list of parameters, got .*set"),
        (torch.ones(3), "params must be a list of parameters, got Tensor of shape"),
        ([torch.ones(1), 1.0], r"params\[1\] must be a tensor of float32 or float64, got 1.0"),
        ([torch.zeros(0)], r"params\[0\] must hold at least one number"),
        (
            [2 * nn.Parameter(torch.ones(1))],
            r"params\[0\] must be a parameter, got a tensor that was computed",
        ),
        ([nn.Parameter(torch.ones(1))] * 2, r"params\[1\] must be another parameter than those before"),
    ],
)
def test_what_are_no_parameters_is_refused_by_name(value, message):
    with pytest.raises((TypeError, ValueError), match=f"^{message}"):
        checked_parameters("params", value)
