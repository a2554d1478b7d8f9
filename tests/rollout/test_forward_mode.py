"""Rollouts in forward mode equal reverse mode and differences: every step, element, force, input."""

import functools

import pytest
import torch
from support.contacts import dropped, falling, weights_like
from support.scenes import E_NAME, NU_NAME, Wind, beam, moving, noise
from torch import Tensor
from torch.autograd import forward_ad

from simlayer import (
    BDF2,
    BackwardEuler,
    CoulombFriction,
    ElasticForce,
    Equilibrium,
    KelvinVoigt,
    MassDamping,
    Newmark,
    RayleighDamping,
    RolloutModule,
    SmoothVelocityClamp,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64")

# Reverse mode of an implicit step solves its linear system to a residual of 1e-9.
AGREE = 1e-8


def assert_equal_to_reverse_mode(function, parameters):
    """Compare with the gradient of a sum that every number enters with another weight."""
    value, jacobian = parameter_jacobian(function, parameters)
    again = function()
    # The same operators, but sums over vertices may be taken in another order.
    assert torch.allclose(value, again, rtol=1e-12, atol=1e-12 * float(again.detach().abs().max()))
    weights = weights_like(value)
    gradients = torch.autograd.grad(
        (again * weights).sum(), list(parameters.values()), allow_unused=True, materialize_grads=True
    )
    assert any(bool(gradient.any()) for gradient in gradients), "nothing depends on anything"
    for (name, parameter), expected in zip(parameters.items(), gradients, strict=True):
        assert jacobian[name].shape == (*value.shape, *parameter.shape)
        found = (weights.flatten() @ jacobian[name].reshape(value.numel(), -1)).view_as(parameter)
        size = expected.abs().max()
        assert torch.allclose(found, expected, rtol=AGREE, atol=AGREE * float(size)), name


def trained(rollout: RolloutModule, *names: str) -> dict[str, Tensor]:
    return dict(zip(names, rollout.train_only(names), strict=True))


@functools.cache
def rubbing(kind) -> RolloutModule:
    """A block that falls on a sphere, slides over it, and is damped."""
    damping = {
        "friction": CoulombFriction("contact", coefficient=0.3),
        "drag": MassDamping(2.0),
        "clamp": SmoothVelocityClamp(5.0),
    }
    if kind is BDF2:  # which takes no maps of velocities
        del damping["clamp"]
    explicit = kind is SymplecticEuler
    step = dropped("sphere", kind, dissipation=damping, dt=4e-4 if explicit else 2e-3)
    return RolloutModule(step, 40 if explicit else 8)


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler, Newmark, BDF2])
def test_contact_friction_and_damping_of_every_step_equal_reverse_mode(kind):
    rollout = rubbing(kind)
    names = ["youngs_modulus", "poissons_ratio", "density", "forces.contact.stiffness", "translation"]
    names += ["friction.coefficient", "drag.coefficient", "gravity"] + ["max_speed"] * (kind is not BDF2)
    parameters = trained(rollout, *names)
    assert_equal_to_reverse_mode(lambda: rollout(falling()).positions, parameters)


@pytest.mark.parametrize("kind", [SymplecticEuler, Newmark])
def test_a_jacobian_equals_a_central_difference(kind):
    rollout = rubbing(kind)
    (coefficient,) = rollout.train_only("friction.coefficient")

    def end() -> Tensor:
        return rollout(falling()).velocities

    _, jacobian = parameter_jacobian(end, {"mu": coefficient})
    ends, before = [], coefficient.data
    with torch.no_grad():
        for change in (1e-4, -1e-4):
            coefficient.data = before + change
            ends.append(end())
    coefficient.data = before
    expected = (ends[0] - ends[1]) / 2e-4
    # The difference is wrong by the square of the change, in relative terms, and by rounding over it.
    assert torch.allclose(jacobian["mu"], expected, rtol=1e-6, atol=1e-6 * float(expected.abs().max()))


@pytest.mark.parametrize("element", ["tet4", "tet10", "hex8", "hex20"])
@pytest.mark.parametrize("kind", [SymplecticEuler, Newmark])
def test_viscosities_on_every_element_equal_reverse_mode(kind, element):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element=element)
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4)),
        "viscosity": KelvinVoigt(mesh, shear_viscosity=5.0),
        "rayleigh": RayleighDamping("elastic", coefficient=1e-4),
    }
    step = kind(mesh, forces, dt=1e-4, gravity=(0.0, 0.0, -9.81), fixed=mesh.vertices[:, 0] < 1e-9)
    rollout = RolloutModule(step, 4)
    start = State.at_rest(mesh.vertices * torch.tensor([1.02, 1.0, 0.99]))
    parameters = trained(rollout, "youngs_modulus", "shear_viscosity", "rayleigh.coefficient")
    assert_equal_to_reverse_mode(lambda: rollout(start).velocities, parameters)


def test_an_equilibrium_and_a_consistent_mass_equal_reverse_mode():
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    options = {"gravity": (0.0, 0.0, -9.81), "fixed": mesh.vertex_sets["x_min"]}
    for kind, more in ((Equilibrium, {}), (Newmark, {"dt": 5e-3, "mass_matrix": "consistent"})):
        step = kind(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4))}, **options, **more)
        rollout = RolloutModule(step, 2)
        parameters = trained(rollout, "youngs_modulus", "density", "gravity")
        assert_equal_to_reverse_mode(lambda r=rollout: r(State.at_rest(mesh.vertices)).positions, parameters)


def test_values_per_cell_per_region_and_per_sample_equal_reverse_mode():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    regions = (mesh.vertices[mesh.cells].mean(1)[:, 0] > 0.1).long()
    material = StableNeoHookean(torch.tensor([1e5, 2e5]), torch.tensor([[0.3, 0.35], [0.4, 0.2]]))
    step = SymplecticEuler(
        mesh,
        {"elastic": ElasticForce(mesh, material, regions=regions)},
        dt=1e-3,
        density=1000 * (1 + 0.1 * noise(len(mesh.cells))),
        gravity=torch.tensor([[0.0, 0.0, -9.81], [1.0, 0.0, 0.0]]),
    )
    rollout = RolloutModule(step, 5)
    parameters = trained(rollout, "youngs_modulus", "poissons_ratio", "density", "gravity")
    start = State.at_rest(mesh.vertices * torch.tensor([1.02, 1.0, 0.99]))
    assert_equal_to_reverse_mode(lambda: rollout(start).positions, parameters)


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_trajectories_with_controls_and_substeps_equal_reverse_mode(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    step = kind(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4))}, dt=1e-3, substeps=2)
    rollout = RolloutModule(step, 6, checkpoint=2)
    amplitude = torch.nn.Parameter(torch.tensor([0.0, 1.0, -9.0]))
    wave = torch.linspace(0.5, 1.0, 6)[:, None]
    start = State.at_rest(mesh.vertices * torch.tensor([1.02, 1.0, 0.99]))

    def motion() -> Tensor:
        controls = {"gravity": wave * amplitude}
        return rollout.trajectory(start, None, controls, every=2).positions

    parameters = trained(rollout, "density", "youngs_modulus") | {"amplitude": amplitude}
    assert_equal_to_reverse_mode(motion, parameters)


@pytest.mark.parametrize("options", [{}, {"compile": "eager"}, {"checkpoint": "sqrt"}])
def test_jvp_jacfwd_and_dual_numbers_agree(options):
    rollout = RolloutModule(beam(), 5, **options)
    start, direction = moving(), noise(16, 3, seed=3)

    def end(log_modulus: Tensor, positions: Tensor) -> Tensor:
        return rollout(State(positions, start.velocities), {E_NAME: log_modulus}).positions

    inputs, changes = (torch.tensor(11.5), start.positions), (torch.tensor(0.3), direction)
    _, change = torch.func.jvp(end, inputs, changes)
    with forward_ad.dual_level():
        dual = end(*(forward_ad.make_dual(x, dx) for x, dx in zip(inputs, changes, strict=True)))
        assert torch.equal(forward_ad.unpack_dual(dual).tangent, change)
    slopes = torch.func.jacfwd(end, argnums=(0, 1))(*inputs)
    sum_of_slopes = 0.3 * slopes[0] + (slopes[1] * direction).sum((-1, -2))
    assert torch.allclose(sum_of_slopes, change, rtol=1e-10, atol=1e-12 * float(change.abs().max()))


def test_samples_with_jacobians_of_their_own_equal_a_loop():
    rollout = RolloutModule(beam(), 3)

    start = moving()

    def end(log_modulus: Tensor) -> Tensor:
        return rollout(start, {E_NAME: log_modulus}).positions

    moduli = torch.tensor([11.0, 12.0])
    together = torch.func.vmap(torch.func.jacfwd(end), in_dims=0)(moduli)
    assert torch.allclose(together, torch.stack([torch.func.jacfwd(end)(m) for m in moduli]), rtol=1e-12)


def test_forward_mode_works_where_other_parameters_require_grad():
    rollout = RolloutModule(beam(), 3)
    rollout.train_only(NU_NAME)

    def end(log_modulus: Tensor) -> Tensor:
        return rollout(moving(), {E_NAME: log_modulus}).positions

    value, one = torch.tensor(11.5), torch.tensor(1.0)
    _, recorded = torch.func.jvp(end, (value,), (one,))
    with torch.no_grad():
        _, change = torch.func.jvp(end, (value,), (one,))
    assert torch.allclose(recorded.detach(), change, rtol=1e-10, atol=1e-14)


class Gust(Wind):
    """A force that decides in Python, which cannot be traced."""

    def forward(self, state: State) -> Tensor:
        sign = 1.0 if float(state.positions.detach().sum()) > 0 else -1.0
        return sign * super().forward(state)


def test_a_force_that_cannot_be_traced_has_derivatives_too():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    step = SymplecticEuler(mesh, {"elastic": elastic, "gust": Gust(0.5)}, dt=1e-3)
    rollout = RolloutModule(step, 3)
    start = State(mesh.vertices, 0.1 * torch.ones_like(mesh.vertices))
    assert_equal_to_reverse_mode(lambda: rollout(start).positions, trained(rollout, "gust.gain"))


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark, BDF2, Equilibrium])
def test_dual_numbers_go_through_implicit_steps(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03))
    elastic = ElasticForce(mesh, StableNeoHookean(2e4, 0.4))
    rollout = RolloutModule(kind(mesh, {"elastic": elastic}, dt=0.01, fixed="x_min"), 3)
    gravity = noise(3, 3, seed=5)

    def end(modulus: Tensor, gravity: Tensor) -> Tensor:
        state = State.at_rest(mesh.vertices)
        return rollout(state, {"youngs_modulus": modulus}, {"gravity": gravity}).positions

    inputs, changes = (torch.tensor([2e4]), gravity), (torch.tensor([3e2]), noise(3, 3, seed=7))
    _, change = torch.func.jvp(end, inputs, changes)
    with forward_ad.dual_level():
        dual = end(*(forward_ad.make_dual(x, dx) for x, dx in zip(inputs, changes, strict=True)))
        assert torch.allclose(forward_ad.unpack_dual(dual).tangent, change, rtol=AGREE, atol=0)
