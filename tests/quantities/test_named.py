"""Tensors by name: finding quantities by any of their names, and substituting values for a time."""

import math

import pytest
import torch
from support.quantities import Pair, Spring
from torch import nn

from simlayer import PhysicalModule, Quantity
from simlayer.quantities.named import NamedTensors

pytestmark = pytest.mark.usefixtures("float64")

EPS = torch.finfo(torch.float64).eps


def everything(module):
    """The own physical values, and what is substituted."""
    return {name: getattr(module, name).clone() for name in Spring.quantities()}, dict(module.substitutes)


def substituted(root, values):
    return NamedTensors(root).substituted(values)


# Names


def test_quantities_and_plain_parameters_of_a_tree_are_distinguished_by_full_name():
    named = NamedTensors(Pair())
    assert set(named.quantities) == {
        f"{side}.{name}" for side in ("left", "right") for name in ("stiffness", "fraction", "direction")
    }
    assert set(named.weights) == {"left.weight", "right.weight"}
    assert set(named.values()) >= {"left.weight", "left.stiffness", "left.pull", "right.direction"}


@pytest.mark.parametrize(
    ("name", "full", "stored"),
    [
        ("left.stiffness", "left.stiffness", False),
        ("left.log_stiffness", "left.stiffness", True),
        ("left.direction", "left.direction", True),
        ("left.weight", "left.weight", True),
    ],
)
def test_a_quantity_is_found_by_its_physical_and_by_its_stored_name(name, full, stored):
    match = NamedTensors(Pair()).find(name)
    assert (match.name, match.is_stored) == (full, stored)


def test_the_end_of_a_name_is_enough_where_it_is_the_only_one():
    single = torch.nn.ModuleDict({"inner": torch.nn.ModuleDict({"spring": Spring()})})
    for end in ("stiffness", "spring.stiffness", "log_stiffness", "weight"):
        assert NamedTensors(single).find(end).name.startswith("inner.spring.")


def test_the_end_of_several_names_is_refused_with_all_of_them():
    with pytest.raises(KeyError, match=r"'stiffness'.*left\.stiffness.*right\.stiffness"):
        NamedTensors(Pair()).find("stiffness")
    # A part of a word is not the end of a name.
    with pytest.raises(KeyError, match="no quantity is named 'iffness'"):
        NamedTensors(Pair()).find("iffness")


def test_the_value_of_a_name_is_physical_or_stored_as_the_name_says():
    named = NamedTensors(Pair())
    assert named.value("right.stiffness").item() == pytest.approx(2.0, rel=4 * EPS)
    assert named.value("right.log_stiffness").item() == pytest.approx(math.log(2.0), rel=4 * EPS)


# Substitution


def test_what_is_substituted_is_read_in_place_of_the_modules_own():
    spring = Spring()
    stored = spring.log_stiffness
    tensors = [torch.tensor(5.0), torch.tensor(6.0), torch.full((2,), 7.0), torch.full((3,), 8.0)]
    values = dict(zip(["stiffness", "pull", "weight", "offset"], tensors, strict=True))
    with substituted(spring, values):
        for name, value in values.items():
            assert getattr(spring, name) is value
        assert spring.log_stiffness is stored
        assert spring.computed == 0, "a substituted derived value is not computed"
    assert spring.pull.item() != 6.0


@pytest.mark.parametrize("fails", [False, True])
def test_substitution_restores_what_there_was(fails):
    spring = Spring()
    before, weight, offset = everything(spring), spring.weight, spring.offset
    names = ("stiffness", "pull", "weight", "offset")
    try:
        with substituted(spring, {name: torch.rand(1) for name in names}):
            if fails:
                raise LookupError
    except LookupError:
        assert fails
    after = everything(spring)
    assert after[1] == before[1] == {}
    assert all(torch.equal(after[0][name], value) for name, value in before[0].items())
    assert spring.weight is weight
    assert spring.offset is offset
    assert isinstance(spring.weight, torch.nn.Parameter)


def test_where_one_name_has_no_module_nothing_is_substituted():
    pair = Pair()
    with (
        pytest.raises(KeyError),
        substituted(pair, {"left.stiffness": torch.rand(1), "top.q": torch.rand(1)}),
    ):
        pass
    assert pair.left.substitutes == {}


def test_substitutions_nest_and_the_inner_one_wins():
    spring = Spring(1.0)
    named, own = NamedTensors(spring), spring.stiffness
    with named.substituted({"stiffness": torch.tensor(2.0)}):
        with named.substituted({"stiffness": torch.tensor(3.0), "fraction": torch.tensor(0.1)}):
            assert (spring.stiffness.item(), spring.fraction.item()) == (3.0, 0.1)
        assert spring.stiffness.item() == 2.0
        assert spring.fraction.item() == pytest.approx(0.3, rel=8 * EPS)
    assert torch.equal(spring.stiffness, own)


def test_substitution_reaches_modules_by_their_path():
    pair = Pair()
    with substituted(pair, {"left.stiffness": torch.tensor(9.0)}):
        assert pair.left.stiffness.item() == 9.0
        assert pair.right.stiffness.item() == pytest.approx(2.0, rel=4 * EPS)


def test_gradients_flow_to_what_is_substituted():
    spring = Spring()
    value = torch.tensor(9.0, requires_grad=True)
    with substituted(spring, {"stiffness": value}):
        pull = spring.pull
    (gradient,) = torch.autograd.grad(pull, value)
    assert gradient.item() == pytest.approx(math.sqrt(5), rel=1e-15)


def test_a_quantity_that_was_given_no_value_is_named_with_the_remedy():
    class Forgetful(PhysicalModule):
        stiffness = Quantity("N/m", positive=True)

    message = "stiffness of Forgetful has no value: assign it in the constructor"
    with pytest.raises(ValueError, match=message):
        _ = Forgetful().stiffness
    with pytest.raises(ValueError, match=message):
        _ = NamedTensors(nn.ModuleDict({"part": Forgetful()})).quantities
