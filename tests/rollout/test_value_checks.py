"""Values that leave their range on the way into a rollout, by a network say, are named as what they are."""

import pytest
import torch
from support.scenes import beam, moving

from simlayer import (
    BackwardEuler,
    ElasticForce,
    RolloutModule,
    StableNeoHookean,
    State,
    UnstableStepError,
    box_mesh,
)

E, NU = "forces.elastic.material.youngs_modulus", "forces.elastic.material.poissons_ratio"


def implicit():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    step = BackwardEuler(
        mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4))}, dt=1e-3, fixed="x_min"
    )
    return step, State.at_rest(mesh.vertices)


SCENES = {"explicit": lambda: (beam(dt=1e-3), moving()), "implicit": implicit}


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("log_youngs_modulus", -1000.0, rf"{E} must be positive, got 0 in sample \(2,\)"),
        ("log_youngs_modulus", 1000.0, rf"{E} must be positive and finite, got inf in sample \(2,\)"),
        (
            "log_youngs_modulus",
            88.6,
            r"lam is inf in sample \(2,\): lam follows from youngs_modulus, poissons_ratio",
        ),
        ("log_youngs_modulus", float("nan"), rf"{E} must be positive, got NaN in sample \(2,\)"),
        ("logit_poissons_ratio", 17.0, rf"{NU} must lie in \(-1, 0.5\), got 0.5 in sample \(2,\)"),
        ("log_density", 720.0, r"density must be positive and finite, got inf in sample \(2,\)"),
        (
            "log_density",
            -97.0,
            r"inverse_masses is inf in sample \(2,\): inverse_masses follows from density",
        ),
    ],
)
def test_a_stored_value_beyond_its_range_is_named_with_its_sample(scene, name, value, message):
    step, state = scene()
    own = step.get_parameter(f"forces.elastic.material.{name}" if name != "log_density" else name).detach()
    stored = own.expand(4, 1).clone()
    stored[2] = value
    with pytest.raises(ValueError, match=message):
        RolloutModule(step, 2)(state, {name: stored})


def test_a_finite_stiffness_that_overflows_in_a_tangent_is_answered_with_a_time_step():
    with pytest.raises(UnstableStepError, match="beyond the stable time step"):
        RolloutModule(beam(), 2)(moving(), {"log_youngs_modulus": torch.tensor([87.0])})


def test_a_stored_value_of_the_module_itself_is_checked_too():
    step = beam()
    with torch.no_grad():
        step.get_parameter("log_density").fill_(-1000.0)
    with pytest.raises(ValueError, match=r"^density must be positive, got 0\.$"):
        RolloutModule(step, 2)(moving())


@pytest.mark.parametrize("scene", SCENES.values(), ids=SCENES)
@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        (
            "log_youngs_modulus",
            -1000.0,
            rf"{E} must be positive, got 0 in step 4 of its control in sample \(1,\)",
        ),
        ("youngs_modulus", -1.0, rf"{E} must be positive, got -1 in step 4 of its control in sample \(1,\)"),
        ("log_youngs_modulus", 88.6, r"lam is inf in step 4 of its control in sample \(1,\)"),
        (
            "gravity",
            float("nan"),
            r"gravity must be finite, got NaN in step 4 of its control in sample \(1,\)",
        ),
    ],
)
def test_controls_are_checked_at_all_times(scene, name, value, message):
    step, state = scene()
    axes = 3 if name == "gravity" else 1
    usual = {"log_youngs_modulus": 11.0, "youngs_modulus": 1e5, "gravity": 1.0}[name]
    control = torch.full((5, 2, axes), usual)
    control[3, 1] = value
    with pytest.raises(ValueError, match=message):
        RolloutModule(step, 5)(state, controls={name: control})


@pytest.mark.parametrize("batch", [(), (2,)])
@pytest.mark.parametrize("name", ["youngs_modulus", "density"])
def test_controls_that_make_dt_unstable_later_are_refused_before_the_first_step(name, batch):
    step = beam()
    usual, stiff = {"youngs_modulus": (1e5, 1e8), "density": (1e3, 1.0)}[name]
    control = torch.full((6, *batch, 1), usual)
    rollout = RolloutModule(step, 6, compile=False)
    rollout(moving(), controls={name: control})
    control[4] = stiff
    with pytest.raises(UnstableStepError, match=r"beyond the stable time step.*for the controls of step 5"):
        rollout(moving(), controls={name: control})


def test_controls_of_some_samples_meet_values_of_others():
    step, rollout = beam(), RolloutModule(beam(), 3, compile=False)
    moduli, gravity = torch.full((2, 1), 1e5), torch.zeros(3, 4, 1, 3)
    assert rollout(moving(), {"youngs_modulus": moduli}, {"gravity": gravity}).positions.shape[:2] == (4, 2)
    field = torch.full((3, 4, 1, step.elements.num_cells), 1e5)
    densities = torch.full((2, 1), 1e3)
    assert rollout(moving(), {"density": densities}, {"youngs_modulus": field}).positions.shape[:2] == (4, 2)
