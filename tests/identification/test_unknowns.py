"""Unknowns: physical values in, stored parameters out, and everything as it was after a time with others."""

import re

import pytest
import torch
from support.observed import DAMPING, NU, E, beam_mesh, observed_beam
from support.scenes import free_box

from simlayer import ElasticForce, Mesh, Muscle, StableNeoHookean, SymplecticEuler
from simlayer.identification.unknowns import assigned, quantities_of, select_trainable, select_unknowns

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def candidates():
    return observed_beam().quantities_by_name()


def test_every_quantity_of_a_scene_is_known_by_its_physical_name(candidates):
    assert set(candidates) == {
        E, NU, DAMPING, "density", "gravity", "vertex_gravity", "prescribed_velocities", "rest_positions",
        "forces.load.forces",
        "initial.displacements", "initial.velocities", "release_time",
    }  # fmt: skip
    assert [candidates[name].unit for name in (E, NU, DAMPING, "release_time")] == ["Pa", "1", "1/s", "s"]


def test_a_prefix_stands_before_the_names_of_its_module_only():
    found = quantities_of({"": free_box(), "other": StableNeoHookean(1e5, 0.3)})
    assert found["other.youngs_modulus"].name == "other.youngs_modulus"
    assert found["forces.elastic.material.youngs_modulus"].module is not found["other.youngs_modulus"].module


@pytest.mark.parametrize(
    ("name", "value", "stored"),
    [
        (E, 2e5, "log_youngs_modulus"),
        (NU, 0.25, "logit_poissons_ratio"),
        ("release_time", 0.1, "scaled_release_time"),
    ],
)
def test_a_value_is_read_back_as_it_was_assigned_and_the_parameter_stays_the_same_object(
    candidates, name, value, stored
):
    unknown = candidates[name]
    parameter = unknown.parameter
    assert parameter is dict(unknown.module.named_parameters())[stored]
    unknown.assign(value)
    assert unknown.parameter is parameter
    assert float(unknown.value) == pytest.approx(value, rel=1e-14)
    assert not unknown.value.requires_grad


def test_one_number_fills_a_field_and_a_field_can_be_assigned_to_one_number(candidates):
    unknown = candidates[E]
    field = torch.linspace(1e5, 2e5, 18)
    unknown.assign(field)
    torch.testing.assert_close(unknown.value, field, rtol=1e-13, atol=0)
    unknown.assign(3e5)
    assert unknown.parameter.shape == (18,)
    torch.testing.assert_close(unknown.value, torch.full((18,), 3e5), rtol=1e-13, atol=0)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (E, -1.0, "youngs_modulus must be positive, got -1"),
        (NU, 0.5, "poissons_ratio must lie in (-1, 0.5), got 0.5"),
        ("release_time", float("nan"), "release_time must be finite, got NaN"),
        (E, [1e5, 2e5], "youngs_modulus has shape (2,)"),
        ("gravity", [1.0, 2.0], "gravity has shape (2,)"),
        ("initial.velocities", torch.zeros(5, 3), "velocities has shape (5, 3)"),
    ],
)
def test_an_impossible_value_is_refused(candidates, name, value, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        candidates[name].assign(value)


@pytest.mark.parametrize(
    ("name", "over", "shape"),
    [
        (E, "cells", (18,)),
        (E, "regions", (18,)),
        ("density", "cells", (18,)),
        ("initial.velocities", "vertices", (16, 3)),
        ("initial.displacements", "vertices", (16, 3)),
        ("prescribed_velocities", "vertices", (16, 3)),
    ],
)
def test_an_expanded_quantity_has_one_value_everywhere_and_the_same_parameter(candidates, name, over, shape):
    unknown = candidates[name]
    value, parameter = unknown.value, unknown.parameter
    unknown.expand(over)
    assert unknown.parameter is parameter
    assert unknown.value.shape == shape
    assert torch.equal(unknown.value, value.expand(shape))
    unknown.parameter.data[0] += 1.0
    assert torch.equal(unknown.value[1:], value.expand(shape)[1:])
    before = unknown.value
    unknown.expand(over)
    assert torch.equal(unknown.value, before)


def test_with_a_material_by_region_a_field_has_a_value_per_region():
    box = beam_mesh()
    regions = (box.vertices[box.cells].mean(1)[:, 0] > 0.1).long()
    mesh = Mesh(box.vertices, box.cells, cell_regions=regions, region_names=("left", "right"))
    force = ElasticForce.by_region(mesh, StableNeoHookean(1e5, 0.4))
    unknown = quantities_of({"": SymplecticEuler(mesh, {"elastic": force}, dt=1e-3)})[E]
    unknown.expand("regions")
    assert unknown.value.shape == (2,)


@pytest.mark.parametrize(
    ("name", "over"),
    [
        (E, "vertices"),
        (E, "components"),
        (E, "everything"),
        ("density", "vertices"),
        ("gravity", "components"),
        ("gravity", "vertices"),
        (DAMPING, "cells"),
        ("release_time", "uniform"),
        ("release_time", "vertices"),
        ("initial.velocities", "cells"),
    ],
)
def test_a_quantity_is_expanded_only_over_what_it_runs_over(candidates, name, over):
    shape = candidates[name].parameter.shape
    with pytest.raises(ValueError, match=f"{name} cannot be expanded over {over!r}; it runs over"):
        candidates[name].expand(over)
    assert candidates[name].parameter.shape == shape


def test_unknowns_come_in_the_order_of_their_names_and_a_misspelt_one_is_named(candidates):
    assert [unknown.name for unknown in select_unknowns(candidates, [NU, E])] == [NU, E]
    ends = ["material.poissons_ratio", "youngs_modulus", "coefficient"]
    assert [unknown.name for unknown in select_unknowns(candidates, ends)] == [NU, E, DAMPING]
    with pytest.raises(KeyError, match=E):
        select_unknowns(candidates, ["forces.elastic.material.young_modulus"])


def test_other_values_are_taken_for_a_time_only(candidates):
    before = {name: unknown.value.clone() for name, unknown in candidates.items()}
    values = {E: torch.linspace(1e5, 2e5, 18), "density": 500.0, "initial.velocities": torch.ones(16, 3)}
    with assigned(candidates, values):
        assert candidates[E].value.shape == (18,)
        assert float(candidates["density"].value) == pytest.approx(500.0)
        assert torch.equal(candidates["initial.velocities"].value, torch.ones(16, 3))
        assert torch.equal(candidates[NU].value, before[NU])
    for name, unknown in candidates.items():
        assert unknown.value.shape == before[name].shape
        assert torch.equal(unknown.value, before[name])


def test_values_are_restored_after_an_exception_and_after_a_value_that_is_refused(candidates):
    before = {name: unknown.value.clone() for name, unknown in candidates.items()}
    with pytest.raises(ZeroDivisionError), assigned(candidates, {E: 1.0}):
        raise ZeroDivisionError
    with (
        pytest.raises(ValueError, match="poissons_ratio must lie in"),
        assigned(candidates, {E: 1.0, NU: 2.0}),
    ):
        pass
    with pytest.raises(ValueError, match="has shape"), assigned(candidates, {"density": 1.0, E: [1.0, 2.0]}):
        pass
    with pytest.raises(KeyError, match="density"), assigned(candidates, {E: 1.0, "densty": 1.0}):
        pass
    for name, unknown in candidates.items():
        assert torch.equal(unknown.value, before[name])


def test_a_fit_does_not_start_at_an_end_of_a_range():
    mesh = beam_mesh()
    muscle = Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=1e3)
    found = quantities_of({"": SymplecticEuler(mesh, {"muscle": muscle}, dt=1e-3)})
    with pytest.raises(ValueError, match=r"forces.muscle.activation is at an end of its range"):
        select_trainable(found, ["activation"])
    muscle.activation = 0.5
    assert [u.name for u in select_trainable(found, ["activation", "activation"])] == [
        "forces.muscle.activation"
    ]
