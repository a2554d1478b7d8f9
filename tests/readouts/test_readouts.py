"""What every readout must satisfy: exact derivatives, batches, values of a call, other precisions."""

import pytest
import torch
from support.scenes import noise
from torch.autograd import gradcheck

from simlayer import (
    BarrierContact,
    CoulombFriction,
    ElasticForce,
    HalfSpace,
    KelvinVoigt,
    Newmark,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
    readouts,
)

FIXED = "x_min"
E = "forces.elastic.material.youngs_modulus"


def body(element="tet4"):
    return box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element=element)


def scene(element="tet4"):
    """A viscoelastic body above the ground, near enough to touch it, held at one end."""
    mesh = body(element)
    ground = HalfSpace(point=(0.0, 0.0, -4e-3))
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3)),
        "viscous": KelvinVoigt(mesh, shear_viscosity=20.0),
        "ground": BarrierContact(mesh, ground, stiffness=1e5, activation_distance=1e-2),
    }
    rub = {"rub": CoulombFriction("ground", coefficient=0.5, threshold_speed=0.5)}
    return Newmark(mesh, forces, dt=1e-3, fixed=FIXED, gravity=(0, 0, -9.8), dissipation=rub)


def moving(element, *batch):
    x = body(element).vertices
    return State(x + 1e-3 * noise(*batch, *x.shape), 0.1 * noise(*batch, *x.shape, seed=1))


def of_contact(step, state, parameters=None):
    load = readouts.contact_loads(step, state, parameters, about=(0.1, 0.0, 0.0))["ground"]
    return torch.cat([*load.pushing, *load.rubbing, load.pressure], -1)


def of_energies(step, state, parameters=None):
    found = readouts.energies(step, state, parameters)
    return torch.stack([found.kinetic, found.gravitational, *found.potentials.values(), found.total], -1)


def of_reaction(step, state, parameters=None):
    return torch.cat(readouts.reaction(step, state, FIXED, parameters), -1)


def of_powers(step, state, parameters=None):
    return torch.stack([*readouts.powers(step, state, parameters).values()], -1)


READOUTS = {
    "deformation_gradient": readouts.deformation_gradient,
    "green_strain": readouts.green_strain,
    "logarithmic_strain": readouts.logarithmic_strain,
    "principal_stretches": readouts.principal_stretches,
    "piola_kirchhoff_stress": readouts.piola_kirchhoff_stress,
    "cauchy_stress": readouts.cauchy_stress,
    "von_mises_stress": readouts.von_mises_stress,
    "quadrature_points": readouts.quadrature_points,
    "energies": of_energies,
    "powers": of_powers,
    "reaction": of_reaction,
    "contact_loads": of_contact,
    "volume": readouts.volume,
    "centre_of_mass": readouts.centre_of_mass,
    "momentum": readouts.momentum,
    "angular_momentum": readouts.angular_momentum,
}
every_readout = pytest.mark.parametrize("read", READOUTS.values(), ids=READOUTS)


@every_readout
def test_a_readout_has_exact_derivatives_by_state_and_quantities(read, float64):
    step, state = scene(), moving("tet4")
    x, v, stiffness = (part.clone().requires_grad_() for part in (*state[:2], torch.tensor(1.2)))
    size = read(step, state).detach().abs().max()  # so that values are of order one, as gradcheck expects

    def scaled(x, v, stiffness):
        return read(step, State(x, v), {E: stiffness * 1e5}) / size

    assert gradcheck(scaled, (x, v, stiffness), eps=1e-7, atol=1e-4)


@every_readout
@pytest.mark.parametrize("element", ["tet4", "hex20"])
def test_a_batch_of_states_and_values_is_read_as_each_of_them_is(read, element, float64):
    step, state = scene(element), moving(element, 2, 3)
    values = 1e5 * (1 + 0.1 * noise(3, 1).abs())
    whole = read(step, state, {E: values})
    for i, j in ((0, 0), (1, 2)):
        alone = read(step, State(state.positions[i, j], state.velocities[i, j]), {E: values[j]})
        torch.testing.assert_close(whole[i, j], alone, rtol=1e-12, atol=1e-12 * float(alone.abs().max()))


@every_readout
def test_a_rollout_is_read_as_its_step_is(read, float64):
    step, state = scene(), moving("tet4")
    torch.testing.assert_close(read(RolloutModule(step, 3), state), read(step, state), rtol=0, atol=0)


@every_readout
def test_a_readout_in_single_precision_is_near_that_in_double_precision(read, float64):
    exact = read(scene(), moving("tet4"))
    torch.set_default_dtype(torch.float32)
    state = moving("tet4")
    found = read(scene(), state)
    assert found.dtype == torch.float32
    # Distances to the ground and strains of 1e-2 are known to 1e-5 of themselves.
    assert float((found - exact).abs().max()) < 2e-3 * float(exact.abs().max())


@every_readout
def test_what_does_not_fit_is_refused(read, float64):
    step, state = scene(), moving("tet4")
    with pytest.raises(KeyError, match="modulos"):
        read(step, state, {"youngs_modulos": torch.tensor(1e5)})
    with pytest.raises(ValueError, match="expected"):
        read(step, State.at_rest(state.positions[1:]))
    with pytest.raises(TypeError, match="simulation"):
        read("step", state)


def test_rest_positions_of_a_call_change_what_is_read(float64):
    step, mesh = scene(), body()
    stretched = mesh.vertices * torch.tensor([1.5, 1.0, 1.0])
    names = {"rest_positions": stretched}
    state = State.at_rest(stretched)
    torch.testing.assert_close(
        readouts.deformation_gradient(step, state, names),
        torch.eye(3).expand(12, 1, 3, 3),
        rtol=0,
        atol=1e-14,
    )
    assert float(readouts.volume(step, state, names)) == pytest.approx(3e-3, rel=1e-12)
    field = readouts.quadrature_points(step, state, names)[..., 0]
    projected = readouts.project_to_vertices(step, torch.ones_like(field), names)
    torch.testing.assert_close(projected, torch.ones(len(stretched)), rtol=1e-12, atol=0)
