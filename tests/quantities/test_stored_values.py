"""Physical values and stored ones, one from the other."""

import math

import pytest
import torch
from support.scenes import beam

from simlayer import RolloutModule, to_physical, to_stored

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("name", ["youngs_modulus", "forces.elastic.material.youngs_modulus"])
@pytest.mark.parametrize("root", [lambda rollout: rollout, lambda rollout: rollout.step])
def test_a_positive_quantity_is_stored_as_its_logarithm(root, name):
    module = root(RolloutModule(beam(), 2))
    assert float(to_stored(module, name, 2e5)) == pytest.approx(math.log(2e5), rel=1e-15)


@pytest.mark.parametrize(
    ("name", "value"),
    [("poissons_ratio", 0.3), ("gravity", [0.0, 0.0, -9.81]), ("density", [[900.0], [1100.0]])],
)
def test_the_two_are_inverse(name, value):
    step = beam()
    # A logarithm or logit of a number of order one to a thousand loses some units in the last place.
    assert torch.allclose(
        to_physical(step, name, to_stored(step, name, value)), torch.tensor(value), rtol=1e-13
    )


def test_a_stored_value_has_the_precision_of_its_parameter():
    step = beam().float()
    assert to_stored(step, "youngs_modulus", 2e5).dtype == torch.float32


def test_the_physical_value_is_differentiable():
    stored = to_stored(beam(), "youngs_modulus", 2e5).requires_grad_()
    to_physical(beam(), "youngs_modulus", stored).backward()
    assert float(stored.grad) == pytest.approx(2e5, rel=1e-12)


def test_what_cannot_be_stored_is_refused():
    with pytest.raises(ValueError, match=r"poissons_ratio must lie in"):
        to_stored(beam(), "poissons_ratio", 0.5)
    with pytest.raises(KeyError, match=r"youngs_moduls.*youngs_modulus"):
        to_stored(beam(), "youngs_moduls", 1e5)


@pytest.mark.unchecked
def test_a_stored_value_is_a_tensor():
    with pytest.raises(TypeError, match=r"stored must be a tensor of float32 or float64, got 11.0"):
        to_physical(beam(), "youngs_modulus", 11.0)


def test_a_physical_value_under_the_name_of_the_stored_one_is_refused():
    with pytest.raises(KeyError, match=r"'log_youngs_modulus' is .* stored.* name 'forces.*youngs_modulus'"):
        to_stored(beam(), "log_youngs_modulus", 1e5)
    # A stored value has the same meaning under both names.
    stored = torch.tensor(11.0)
    assert to_physical(beam(), "log_youngs_modulus", stored) == to_physical(beam(), "youngs_modulus", stored)


@pytest.mark.parametrize(("name", "shape"), [("density", (3,)), ("gravity", (2,)), ("youngs_modulus", (0,))])
def test_shapes_that_a_quantity_cannot_have_are_refused(name, shape):
    for convert in (to_stored, to_physical):
        with pytest.raises(ValueError, match=r"(has shape|must hold at least one number, got shape)"):
            convert(beam(), name, torch.ones(shape))


@pytest.mark.parametrize("stored", [40.0, -40.0, math.inf, math.nan])
def test_stored_values_at_a_limit_of_poissons_ratio_are_refused(stored):
    with pytest.raises(ValueError, match=r"stored stands for no physical value.*poissons_ratio must lie in"):
        to_physical(beam(), "poissons_ratio", torch.tensor(stored))
    with pytest.raises(ValueError, match=r"poissons_ratio is 0.4999.* cannot hold: too near to a bound"):
        to_stored(beam(), "poissons_ratio", math.nextafter(0.5, 0.0))


def test_the_physical_value_can_be_mapped():
    stored, step = torch.tensor([10.0, 11.0]), beam()
    mapped = torch.func.vmap(lambda x: to_physical(step, "youngs_modulus", x))(stored)
    assert torch.equal(mapped, stored.exp())
