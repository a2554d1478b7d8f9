"""Arguments: what numbers, whole numbers, choices and arrays may be given as, and what is refused by name."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch

from simlayer.quantities.arguments import (
    checked_choice,
    checked_flag,
    checked_integer,
    checked_number,
    checked_parts,
    checked_several,
)
from simlayer.quantities.arrays import checked_floats, checked_integers, checked_numbers
from simlayer.state import State

GRAD = torch.tensor(1.0, requires_grad=True)
NO_NUMBER = [
    *("1", None, {}, [1], 1j, True, torch.ones(2), torch.ones(1, 1), np.ones(1), torch.tensor(True), GRAD),
    *(object(), max),
]


@pytest.mark.parametrize(
    "value",
    [2, 2.0, np.float32(2), np.int8(2), np.array(2.0), torch.tensor(2), torch.tensor([2.0]), Fraction(2)],
)
def test_a_number_of_any_kind_becomes_a_float(value):
    number = checked_number("dt", value, above=0)
    assert type(number) is float
    assert number == 2.0


@pytest.mark.parametrize("value", NO_NUMBER)
def test_what_is_no_number_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^dt must be a positive finite number in s[,;]"):
        checked_number("dt", value, above=0, unit="s")


@pytest.mark.parametrize(
    ("value", "limits"),
    [
        (0, {"above": 0}),
        (-1e-9, {"least": 0}),
        (1, {"below": 1}),
        (1.1, {"most": 1}),
        (math.nan, {}),
        (math.inf, {}),
        (10**400, {}),
        (torch.tensor(math.nan), {"above": 0}),
    ],
)
def test_a_number_out_of_range_is_refused_with_name_range_and_value(value, limits):
    with pytest.raises(ValueError, match=r"^dt must be a .*finite number.*got "):
        checked_number("dt", value, **limits)


@pytest.mark.parametrize(
    "value", [3, np.int64(3), np.uint8(3), np.array(3), torch.tensor(3), torch.tensor([3])]
)
def test_a_whole_number_of_any_kind_becomes_an_int(value):
    number = checked_integer("substeps", value, least=1)
    assert type(number) is int
    assert number == 3


@pytest.mark.parametrize("value", [*NO_NUMBER, 3.0, torch.tensor(3.0), np.array([3])])
def test_what_is_no_whole_number_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^substeps must be an int, at least 1, got"):
        checked_integer("substeps", value, least=1)


@pytest.mark.parametrize("value", [0, -3, 10])
def test_a_whole_number_out_of_range_is_refused_by_name(value):
    with pytest.raises(ValueError, match=f"substeps must be an int, at least 1 and at most 9, got {value}"):
        checked_integer("substeps", value, least=1, most=9)


@pytest.mark.parametrize("value", [10**30, -(2**63) - 1])
def test_a_whole_number_that_no_tensor_can_hold_is_refused_by_name(value):
    assert checked_integer("substeps", 2**63 - 1) == 2**63 - 1
    with pytest.raises(ValueError, match=f"substeps must be an int, and fit into 64 bits, got {value}"):
        checked_integer("substeps", value)


@pytest.mark.parametrize("value", [[0.0], np.zeros((2, 1)), torch.zeros(2, 1)])
def test_several_numbers_have_one_axis_of_their_count(value):
    assert checked_several("bounds", torch.tensor([0.0, 1.0]), 2, checked_number) == (0.0, 1.0)
    with pytest.raises(ValueError, match=r"^bounds must be 2 values, got"):
        checked_several("bounds", value, 2, checked_number)


@pytest.mark.parametrize(
    ("name", "reason"), [("", "not empty"), ("a.b", "it has a dot"), ("keys", "attribute of that name")]
)
def test_a_name_that_no_module_can_have_is_refused(name, reason):
    assert checked_parts("forces", {"elastic": torch.nn.Identity()}, torch.nn.Module, "Force").keys()
    with pytest.raises(ValueError, match=reason):
        checked_parts("forces", {name: torch.nn.Identity()}, torch.nn.Module, "Force")


def test_names_of_what_is_no_module_may_have_dots():
    assert checked_parts("vertex_sets", {"PART-1.keys": 1, "keys": 2}, object, "'tip'").keys()


@pytest.mark.parametrize("value", ["ful", 1, None, torch.ones(2), True])
def test_what_is_none_of_the_choices_is_refused_with_all_of_them(value):
    assert checked_choice("quadrature", "full", ("full", "reduced")) == "full"
    with pytest.raises(ValueError, match=r"quadrature must be one of 'full', 'reduced', got "):
        checked_choice("quadrature", value, ("full", "reduced"))


def test_a_choice_that_is_misspelt_is_answered_with_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'reduced'"):
        checked_choice("quadrature", "redused", ("full", "reduced"))


@pytest.mark.parametrize("value", [1, "yes", None, torch.tensor(True)])
def test_a_flag_is_true_or_false(value):
    assert checked_flag("validate", np.bool_(True)) is True
    with pytest.raises(TypeError, match="validate must be True or False, got"):
        checked_flag("validate", value)


@pytest.mark.parametrize(
    "value",
    [
        [1, 2],
        (1.0, 2),
        range(1, 3),
        np.array([1, 2], dtype=np.uint8),
        np.array([1, 2], dtype=">f4"),
        np.array([2.0, 1.0])[::-1],
        np.array([1.0, 0.0, 2.0])[::2],
        [np.float32(1), 2],
        [torch.tensor(1), 2.0],
        [torch.tensor(1.0), np.float64(2)],
        *(
            torch.tensor([1, 2]).to(dtype)
            for dtype in (torch.int8, torch.uint16, torch.bfloat16, torch.float64)
        ),
        torch.tensor([1.0, 9.0, 2.0])[::2],
    ],
)
def test_an_array_of_any_kind_becomes_a_new_tensor(value):
    tensor = checked_numbers("gravity", value)
    assert tensor.dtype == torch.float64
    assert tensor.tolist() == [1.0, 2.0]
    tensor.zero_()
    assert float(value[0]) == 1.0


def test_numbers_may_be_nested():
    assert checked_numbers("loads", [[torch.tensor(1.0), 2], (3, 4)]).tolist() == [[1, 2], [3, 4]]
    assert checked_numbers("modulus", 3).shape == ()


@pytest.mark.parametrize(
    "value",
    [
        *("1", b"1", None, {}, {"a": 1.0}, {1.0, 2.0}, 1j, [1j], True, [True], ["a"], [None], [1, "a"], max),
        *(np.array(["a"]), np.datetime64("2020-01-01"), np.ones(2, dtype=bool), iter([1.0]), [[1], {}]),
        State(torch.ones(2, 3), torch.ones(2, 3)),
    ],
)
def test_what_is_no_array_of_numbers_is_refused_by_name(value):
    with pytest.raises((TypeError, ValueError), match=r"^gravity must be a number or an array.*got"):
        checked_numbers("gravity", value)


@pytest.mark.parametrize(
    ("value", "kind"),
    [
        (torch.ones(2, dtype=torch.complex64), "complex"),
        (torch.ones(2, dtype=torch.bool), "boolean"),
        (torch.ones(2).to_sparse(), "sparse"),
        (torch.ones(2, device="meta"), "meta"),
    ],
)
def test_a_tensor_without_plain_real_values_is_refused_by_its_kind(value, kind):
    with pytest.raises(ValueError, match=f"^gravity must be a plain tensor of real numbers.*{kind}"):
        checked_numbers("gravity", value)


@pytest.mark.parametrize(
    "value", [torch.arange(3).to_sparse(), torch.ones(3, device="meta", dtype=torch.int64)]
)
def test_integers_without_plain_values_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^cells must be a plain tensor.*(sparse|meta)"):
        checked_integers("cells", value)


@pytest.mark.parametrize("value", [[1, [2, 3]], [[1, 2], [3]], [torch.ones(2), torch.ones(3)]])
def test_ragged_rows_are_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^gravity must be .*of one shape"):
        checked_numbers("gravity", value)


@pytest.mark.parametrize("value", [[], torch.empty(0, 3), np.empty((2, 0))])
def test_nothing_is_refused_by_name(value):
    with pytest.raises(ValueError, match=r"^gravity must hold at least one number"):
        checked_numbers("gravity", value)


def test_what_a_masked_array_hides_is_no_number():
    assert checked_numbers("gravity", np.ma.masked_array([1, 2], [False, True])).isnan().tolist() == [
        False,
        True,
    ]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_tensor_of_floats_is_returned_as_it_is(dtype):
    value = torch.ones(2, 3, dtype=dtype, requires_grad=True)
    assert checked_floats("positions", value) is value


@pytest.mark.parametrize(
    "value",
    [
        *(torch.ones(3, dtype=t) for t in (torch.float16, torch.bfloat16, torch.int64, torch.bool)),
        *(torch.ones(3, dtype=torch.complex64), torch.ones(3).to_sparse(), torch.ones(3, device="meta")),
        *([1.0], 1.0, np.ones(3), None),
    ],
)
def test_what_is_no_plain_tensor_of_floats_is_refused_by_name(value):
    with pytest.raises((TypeError, ValueError), match=r"^positions must be a .*tensor of .*, got "):
        checked_floats("positions", value)
