"""Quantities: how they are stored, read, refused and saved."""

import copy
import io
import math
import pickle

import numpy as np
import pytest
import torch
from support.quantities import Spring

from simlayer import (
    ElasticForce,
    NodalLoad,
    PhysicalModule,
    Quantity,
    StableNeoHookean,
    box_mesh,
    to_physical,
    to_stored,
)
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.quantity import check_own_axes

pytestmark = pytest.mark.usefixtures("float64")

EPS = torch.finfo(torch.float64).eps


# Storage


def test_a_quantity_is_stored_under_a_name_that_tells_its_transform():
    assert set(dict(Spring().named_parameters())) == {
        "log_stiffness",
        "logit_fraction",
        "direction",
        "weight",
    }


def test_the_stored_value_is_the_logarithm_or_the_logit_of_the_position_between_the_bounds():
    spring = Spring(200.0, 0.3)
    position = (0.3 + 1) / 1.5
    assert spring.log_stiffness.item() == pytest.approx(math.log(200.0), rel=EPS)
    assert spring.logit_fraction.item() == pytest.approx(math.log(position / (1 - position)), rel=1e-14)
    assert spring._parameters["direction"].tolist() == [1.0, 0.0, -2.0]


@pytest.mark.parametrize("value", [1e-9, 1e-3, 1.0, 123.456, 1e5, 2.1e11])
def test_a_positive_value_is_read_back_to_the_rounding_of_its_logarithm(value):
    read = Spring(value).stiffness.item()
    # Half a last bit of log(value) is a relative error of log(value) eps / 2, and exp rounds once more.
    assert abs(read / value - 1) <= (abs(math.log(value)) / 2 + 1) * EPS


@pytest.mark.parametrize("value", [-0.999999, -0.5, 0.0, 0.3, 0.49, 0.4999999999])
def test_a_bounded_value_is_read_back_to_a_few_roundings_of_the_interval(value):
    assert Spring(1.0, value).fraction.item() == pytest.approx(value, rel=0, abs=4 * EPS)


def test_an_unconstrained_value_is_read_back_to_the_last_bit():
    assert torch.equal(Spring().direction, torch.tensor([1.0, 0.0, -2.0]))


def test_a_value_near_its_bound_keeps_its_distance_to_it():
    # 1 - 2 nu is what stiffness depends on: an error of eps in nu is 5e-9 of 1 - 2 nu here, no more.
    nu = 0.5 - 1e-7
    assert 0.5 - Spring(1.0, nu).fraction.item() == pytest.approx(1e-7, rel=1e-8)


def test_a_value_that_is_read_back_as_its_bound_is_refused():
    # Moduli divide by the distance to it.
    with pytest.raises(ValueError, match=r"fraction is 0.4999.* cannot hold: too near to a bound"):
        Spring(1.0, math.nextafter(0.5, 0.0))


def test_what_a_parameter_cannot_hold_is_refused_in_its_own_precision():
    spring = Spring().float()
    with pytest.raises(ValueError, match=r"fraction is 0.49999999999, which torch.float32 cannot hold"):
        spring.fraction = 0.49999999999
    with pytest.raises(ValueError, match=r"stiffness is 1e\+300, which torch.float32 cannot hold: too large"):
        spring.stiffness = 1e300
    assert spring.fraction.item() == pytest.approx(0.3)


def test_any_stored_number_is_a_valid_value():
    spring = Spring()
    with torch.no_grad():
        for number in (-30.0, 0.0, 30.0):
            spring.log_stiffness.fill_(number)
            spring.logit_fraction.fill_(number)
            assert spring.stiffness.item() > 0
            assert -1 < spring.fraction.item() < 0.5


def test_values_of_any_numeric_kind_are_taken_in_the_default_precision():
    torch.set_default_dtype(torch.float32)
    for value in (3, np.int8(3), torch.tensor(3, dtype=torch.int16), [3.0], np.array([9, 3])[::-1][:1]):
        spring = Spring(value)
        assert spring.log_stiffness.dtype == torch.float32
        # One rounding of the logarithm in single precision.
        assert spring.stiffness.item() == pytest.approx(3.0, rel=2.4e-7)


def test_a_quantity_takes_no_memory_of_the_value_it_was_given():
    value = torch.tensor([1.0, 0.0, 0.0])
    spring = Spring(direction=value)
    value.zero_()
    assert spring.direction.tolist() == [1.0, 0.0, 0.0]


# Assignment


def test_quantities_are_frozen_until_they_are_named_trainable():
    spring = Spring()
    assert not any(spring._parameters[q.stored_name].requires_grad for q in Spring.quantities().values())
    assert spring.weight.requires_grad


def test_assignment_changes_the_value_of_the_same_parameter():
    spring = Spring()
    before = {name: parameter for name, parameter in spring.named_parameters()}
    before["log_stiffness"].requires_grad_()
    spring.stiffness, spring.fraction, spring.direction = 7.0, -0.2, torch.ones(3)
    assert all(parameter is before[name] for name, parameter in spring.named_parameters())
    assert spring.log_stiffness.requires_grad
    assert spring.stiffness.item() == pytest.approx(7.0, rel=4 * EPS)
    assert spring.fraction.item() == pytest.approx(-0.2, rel=8 * EPS)
    assert torch.equal(spring.direction, torch.ones(3))


def test_an_optimizer_goes_on_with_a_parameter_whose_value_was_assigned():
    spring = Spring(1.0)
    optimizer = torch.optim.SGD([spring.log_stiffness.requires_grad_()], lr=1.0)
    spring.stiffness = 3.0
    spring.stiffness.log().backward()
    optimizer.step()
    # The gradient of log k in log k is one.
    assert spring.stiffness.item() == pytest.approx(3.0 / math.e, rel=1e-14)


def test_assignment_keeps_the_precision_of_the_module():
    spring = Spring().float()
    spring.stiffness = 5.0
    assert spring.log_stiffness.dtype == torch.float32


@pytest.mark.parametrize(
    "value", [torch.tensor(1.0, requires_grad=True), torch.nn.Parameter(torch.tensor(1.0))]
)
def test_a_tensor_that_requires_grad_is_refused_by_name_with_the_remedy(value):
    spring = Spring(4.0)
    with pytest.raises(
        ValueError, match=r"stiffness was assigned a tensor that requires grad.*supply it per call"
    ):
        spring.stiffness = value
    assert spring.stiffness.item() == pytest.approx(4.0, rel=4 * EPS)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("stiffness", 0.0, r"stiffness must be positive, got 0\."),
        ("stiffness", [1.0, -3.0], r"stiffness must be positive, got -3\."),
        ("stiffness", math.nan, r"stiffness must be positive, got NaN\."),
        ("fraction", 0.5, r"fraction must lie in \(-1, 0\.5\), got 0\.5\."),
        ("fraction", -1.5, r"fraction must lie in \(-1, 0\.5\), got -1\.5\."),
        ("direction", [0.0, math.inf, 0.0], r"direction must be finite, got inf\."),
        ("direction", [0.0, math.nan, 0.0], r"direction must be finite, got NaN\."),
    ],
)
def test_an_invalid_value_is_refused_with_name_value_and_rule_and_changes_nothing(name, value, message):
    spring = Spring()
    before = {key: parameter.clone() for key, parameter in spring.named_parameters()}
    with pytest.raises(ValueError, match=message):
        setattr(spring, name, value)
    assert all(torch.equal(parameter, before[key]) for key, parameter in spring.named_parameters())


@pytest.mark.parametrize("value", ["2e5", None, {}, 1j, True, [1.0, None], torch.ones(2).to_sparse()])
def test_what_is_no_number_is_refused_by_name_and_changes_nothing(value):
    spring = Spring(4.0)
    with pytest.raises((TypeError, ValueError), match=r"^stiffness must be .*got"):
        spring.stiffness = value
    assert spring.stiffness.item() == pytest.approx(4.0, rel=4 * EPS)


def test_a_value_with_too_few_axes_is_refused_where_it_is_assigned():
    with pytest.raises(ValueError, match=r"direction has shape \(\); its last axis is its own: expected"):
        Spring(direction=9.81)
    with pytest.raises(ValueError, match=r"fraction has shape \(5,\)"):
        Spring().fraction = torch.full((5,), 0.1)
    force = make_force()
    with pytest.raises(ValueError, match=r"youngs_modulus has shape \(5,\)"):
        force.material.youngs_modulus = torch.ones(5)


@pytest.mark.parametrize(
    "options",
    [
        {"over": "cell"},
        {"positive": "yes"},
        {"bounds": (1.0, 0.0)},
        {"scale": 0.0},
        {"positive": True, "bounds": (0.0, 1.0)},
        {"nonzero": True, "over": "cells"},
        {"closed": True},
        {"closed": True, "scale": 1.0},
    ],
)
def test_a_declaration_that_means_nothing_is_refused(options):
    with pytest.raises((TypeError, ValueError), match=next(iter(options))):
        Quantity("m", **options)


def test_the_gradient_of_the_stored_value_is_the_chain_rule():
    spring = Spring(200.0, 0.3)
    spring.requires_grad_()
    (spring.stiffness * 5 + spring.fraction * 7).backward()
    # d exp(s) = exp(s), d (a + (b - a) sigmoid(s)) = (x - a)(b - x) / (b - a).
    assert spring.log_stiffness.grad.item() == pytest.approx(5 * 200.0, rel=1e-14)
    assert spring.logit_fraction.grad.item() == pytest.approx(7 * 1.3 * 0.2 / 1.5, rel=1e-14)


class Muscle(PhysicalModule):
    """Quantities whose ranges have their ends."""

    activation = Quantity("1", over="cells", bounds=(0.0, 1.0), closed=True)
    tension = Quantity("N", positive=True, closed=True)

    def __init__(self, activation=0.0, tension=0.0):
        super().__init__()
        self.activation, self.tension = activation, tension


@pytest.mark.parametrize("activation", [0.0, 1.0, [0.0, 0.25, 1.0]])
def test_a_closed_range_has_its_ends(activation):
    muscle = Muscle(activation)
    assert muscle.activation.tolist() == activation
    assert muscle.tension.item() == 0.0
    assert to_stored(muscle, "tension", 0.0).item() == -math.inf
    assert to_physical(muscle, "log_tension", torch.tensor(-math.inf)).item() == 0.0


def test_beyond_a_closed_range_is_refused_by_its_rule():
    with pytest.raises(ValueError, match=r"activation must lie in \[0, 1\], got 1.1"):
        Muscle(1.1)
    with pytest.raises(ValueError, match=r"tension must be zero or positive, got -1"):
        Muscle(tension=-1.0)
    with pytest.raises(ValueError, match=r"tension must be zero or positive and finite, got inf"):
        Muscle(tension=math.inf)
    # Zero is what single precision makes of it.
    with pytest.raises(ValueError, match=r"tension is 1e-50, which torch.float32 cannot hold"):
        Muscle().to(torch.float32).tension = 1e-50


def test_the_class_gives_the_declaration_and_a_subclass_has_those_of_its_base():
    class Torsion(Spring):
        twist = Quantity("rad")

    assert Spring.stiffness.unit == "N/m"
    assert list(Torsion.quantities()) == ["stiffness", "fraction", "direction", "twist"]
    assert Torsion.derived_names() == ("pull",)


def test_a_printed_module_tells_name_value_unit_shape_and_what_is_trained():
    spring = Spring(torch.tensor([100.0, 200.0, 250.0, 300.0]))
    spring.logit_fraction.requires_grad_()
    text = repr(spring)
    assert "stiffness = 100 to 300 N/m, shape (4,), stored as log_stiffness" in text
    assert "fraction = 0.3, shape (), stored as logit_fraction, trainable" in text


# Shapes

EXTENTS = {"components": 3, "cells": 6, "vertices": 8}
CELLS, VECTORS = Quantity("Pa", over="cells"), Quantity("N", over="vertex vectors")
COMPONENTS, UNIFORM = Quantity("m", over="components"), Quantity("s")


@pytest.mark.parametrize(
    ("quantity", "shape"),
    [
        (UNIFORM, ()),
        (UNIFORM, (1,)),
        (UNIFORM, (5, 1)),
        (CELLS, ()),
        (CELLS, (1,)),
        (CELLS, (6,)),
        (CELLS, (5, 1)),
        (CELLS, (4, 5, 6)),
        (COMPONENTS, (3,)),
        (COMPONENTS, (5, 3)),
        (VECTORS, (8, 3)),
        (VECTORS, (1, 3)),
        (VECTORS, (5, 8, 3)),
    ],
)
def test_a_last_axis_that_is_the_quantitys_own_is_accepted(quantity, shape):
    check_own_axes(quantity, torch.ones(shape), EXTENTS, name="q")


@pytest.mark.parametrize(
    ("quantity", "shape", "rule"),
    [
        (UNIFORM, (5,), r"\(\*batch, 1\)"),
        (UNIFORM, (5, 6), r"\(\*batch, 1\)"),
        (CELLS, (5,), r"\(\*batch, 1\) or \(\*batch, 6\) \(one value for all, or over 6 cells\)"),
        (CELLS, (6, 5), r"\(\*batch, 1\) or \(\*batch, 6\) \(one value for all, or over 6 cells\)"),
        (COMPONENTS, (), r"\(\*batch, 3\)"),
        (COMPONENTS, (1,), r"\(\*batch, 3\)"),
        (VECTORS, (3,), r"\(\*batch, 8, 3\) or \(\*batch, 1, 3\)"),
        (VECTORS, (7, 3), r"\(\*batch, 8, 3\) or \(\*batch, 1, 3\)"),
        (VECTORS, (8, 1), r"\(\*batch, 8, 3\) or \(\*batch, 1, 3\)"),
    ],
)
def test_a_last_axis_that_is_not_the_quantitys_own_is_refused_with_name_shape_and_rule(quantity, shape, rule):
    expected = rf"q has shape \({', '.join(map(str, shape))},?\); its last axis is its own: expected {rule}"
    with pytest.raises(ValueError, match=expected):
        check_own_axes(quantity, torch.ones(shape), EXTENTS, name="q")


def test_one_value_per_sample_in_place_of_one_per_cell_is_answered_with_the_right_shape():
    with pytest.raises(ValueError, match=r"one value per sample is shape \(5, 1\)"):
        check_own_axes(CELLS, torch.ones(5), EXTENTS, name="q")


@pytest.mark.parametrize(("shape", "fits"), [((4, 3), True), ((4, 2, 3), True), ((3,), False), ((4,), False)])
def test_a_control_has_an_axis_of_time_before_its_own(shape, fits):
    if fits:
        check_own_axes(COMPONENTS, torch.ones(shape), EXTENTS, name="q", steps=4)
        return
    message = rf"q has shape \({shape[0]},\); .* expected \(4, \*batch, 3\)"
    with pytest.raises(ValueError, match=message):
        check_own_axes(COMPONENTS, torch.ones(shape), EXTENTS, name="q", steps=4)


def test_a_material_of_another_mesh_is_refused():
    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match=r"youngs_modulus has shape \(5,\)"):
        ElasticForce(mesh, StableNeoHookean(torch.ones(5), 0.3))
    regions = torch.tensor([0, 0, 1, 1, 2, 2])
    with pytest.raises(ValueError, match=r"poissons_ratio has shape \(2,\)"):
        ElasticForce(mesh, StableNeoHookean(torch.ones(3), torch.tensor([0.3, 0.4])), regions=regions)


# Saving


def make_force():
    mesh = box_mesh(cells=(1, 1, 1))
    return ElasticForce(mesh, StableNeoHookean(torch.linspace(1.0, 2.0, 6), 0.3))


COPIES = {
    "pickle": lambda module: pickle.loads(pickle.dumps(module)),
    "deepcopy": copy.deepcopy,
    "torch.save": lambda module: _saved(module),
}


def _saved(module):
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    return torch.load(file, weights_only=False)


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_a_copy_has_equal_values_and_shares_none(duplicate):
    spring = Spring(torch.tensor([1.0, 2.0]))
    spring.log_stiffness.requires_grad_()
    other = duplicate(spring)
    assert torch.equal(other.stiffness, spring.stiffness)
    assert other.log_stiffness.requires_grad
    assert not other.logit_fraction.requires_grad
    other.stiffness = 9.0
    assert spring.stiffness.tolist() == pytest.approx([1.0, 2.0], rel=4 * EPS)
    with NamedTensors(other).substituted({"stiffness": torch.tensor(3.0)}):
        assert spring.stiffness.shape == (2,)


@pytest.mark.parametrize("duplicate", COPIES.values(), ids=COPIES)
def test_a_copied_force_gives_the_same_forces(duplicate):
    force = make_force()
    x = box_mesh(cells=(1, 1, 1)).vertices + 0.1 * torch.rand(8, 3)
    assert torch.equal(duplicate(force).energy(x), force.energy(x))


def test_a_state_dict_carries_all_quantities_to_another_module():
    spring, other = Spring(5.0, 0.1, (1.0, 2.0, 3.0)), Spring()
    other.load_state_dict(spring.state_dict())
    assert all(torch.equal(getattr(other, name), getattr(spring, name)) for name in Spring.quantities())


def test_a_state_dict_of_a_force_holds_its_quantities_and_nothing_of_the_mesh():
    assert set(make_force().state_dict()) == {"material.log_youngs_modulus", "material.logit_poissons_ratio"}
    mesh = box_mesh(cells=(1, 1, 1))
    assert set(NodalLoad(mesh, torch.zeros(1, 3)).state_dict()) == {"forces"}


def test_a_value_assigned_to_a_module_in_double_precision_is_kept_in_double_precision():
    module = StableNeoHookean(1e5, 0.4).double()
    module.youngs_modulus = 3e5
    # The logarithm, 12.6, is rounded to its last place, and so the value to some 12.6 eps.
    assert float(module.youngs_modulus) == pytest.approx(3e5, rel=1e-14)


def test_a_control_over_cells_is_answered_with_its_axis_of_time():
    with pytest.raises(
        ValueError, match=r"q has shape \(4, 5\); .* expected \(4, \*batch, 1\) or \(4, \*batch, 6\)"
    ):
        check_own_axes(CELLS, torch.ones(4, 5), EXTENTS, name="q", steps=4)
