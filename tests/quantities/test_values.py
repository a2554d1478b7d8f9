"""Values of a tree of modules: computed once, from what is given, and again where something changes."""

import math

import pytest
import torch
from support.quantities import Pair, Spring

from simlayer import PhysicalModule, Quantity, derived_quantity
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.values import derived_values, physical_values, updated_values

pytestmark = pytest.mark.usefixtures("float64")

EPS = torch.finfo(torch.float64).eps


def complete_values(named, given):
    physical = physical_values(named, given)
    return physical | derived_values(named, physical)


def test_a_derived_value_follows_its_quantities():
    spring = Spring(2.0, direction=(3.0, 0.0, 4.0))
    assert spring.pull.item() == pytest.approx(10.0, rel=1e-15)
    spring.stiffness = 4.0
    assert spring.pull.item() == pytest.approx(20.0, rel=1e-15)


def test_all_values_of_a_tree_are_computed_from_its_own_and_from_what_is_given():
    named = NamedTensors(Pair())
    values = complete_values(named, {"left.stiffness": torch.tensor(3.0)})
    assert values["left.stiffness"].item() == 3.0
    assert values["left.pull"].item() == pytest.approx(3.0 * math.sqrt(5), rel=1e-15)
    assert values["right.pull"].item() == pytest.approx(2.0 * math.sqrt(5), rel=1e-15)
    assert "left.weight" not in values


def test_what_changes_with_a_value_is_the_value_and_what_derives_from_it():
    named = NamedTensors(Pair())
    values = complete_values(named, {})
    changed = updated_values(named, values, {"right.stiffness": torch.tensor(4.0)})
    assert set(changed) == {"right.stiffness", "right.pull"}
    assert changed["right.pull"].item() == pytest.approx(4.0 * math.sqrt(5), rel=1e-15)


class Chain(PhysicalModule):
    """A derived value of a derived value."""

    length = Quantity("m", positive=True)

    def __init__(self) -> None:
        super().__init__()
        self.length, self.computed = 2.0, 0

    @derived_quantity
    def area(self):
        self.computed += 1
        return self.length**2

    @derived_quantity
    def volume(self):
        return self.area * self.length


def test_what_others_derive_from_is_computed_once_and_nothing_stays_substituted():
    chain = Chain()
    values = complete_values(NamedTensors(chain), {})
    assert {name: value.item() for name, value in values.items()} == pytest.approx(
        {"length": 2.0, "area": 4.0, "volume": 8.0}, rel=4 * EPS
    )
    assert chain.computed == 1
    assert chain.substitutes == {}


def test_what_a_call_around_has_substituted_does_not_enter_derived_values():
    pair = Pair()
    named = NamedTensors(pair)
    outer = complete_values(named, {})
    with named.substituted(outer):
        inner = complete_values(named, {"left.stiffness": torch.tensor(3.0)})
        assert inner["left.pull"].item() == pytest.approx(3.0 * math.sqrt(5), rel=1e-15)
        assert pair.left.pull is outer["left.pull"]
