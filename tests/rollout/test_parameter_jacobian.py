"""Derivatives by few parameters of what is computed from rollouts."""

import numpy as np
import pytest
import torch
from support.observed import observed_beam
from support.scenes import beam, moving, noise

from simlayer import (
    BackwardEuler,
    ElasticForce,
    Newmark,
    Potential,
    Quantity,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    parameter_jacobian,
)
from simlayer.rollout.parameter_jacobian import jacobian_with_aux

pytestmark = pytest.mark.usefixtures("float64")


def test_observed_points_have_derivatives_by_release_time_initial_state_and_quantities():
    times = torch.tensor([5e-3, 1e-2, 1.4e-2])
    observed = observed_beam(times=times, release_time=1e-3)
    unknowns = observed.quantities_by_name()
    names = ("release_time", "initial.velocities", "initial.displacements", "gravity")
    full = ["forces.elastic.material.youngs_modulus", *names]
    parameters = {name: unknowns[name].parameter.requires_grad_() for name in full}
    start = moving()

    def points():
        return observed(start)

    value, jacobian = parameter_jacobian(points, parameters)
    weights = noise(*value.shape)
    expected = torch.autograd.grad((points() * weights).sum(), list(parameters.values()))
    for (name, parameter), slope in zip(parameters.items(), expected, strict=True):
        found = (weights.flatten() @ jacobian[name].reshape(value.numel(), -1)).view_as(parameter)
        assert torch.allclose(found, slope, rtol=1e-10, atol=1e-12 * float(slope.abs().max())), name


def test_what_follows_a_rollout_and_what_precedes_it_may_be_a_network():
    network = torch.nn.Linear(2, 1)
    rollout = RolloutModule(beam(), 3)

    def length():
        log_modulus = 11.5 + 0.1 * network(torch.tensor([0.5, -0.5]))
        end = rollout(moving(), {"forces.elastic.material.log_youngs_modulus": log_modulus})
        return network(end.positions[..., :2]).norm()

    parameters = dict(network.named_parameters())
    value, jacobian = parameter_jacobian(length, parameters)
    expected = torch.autograd.grad(length(), list(parameters.values()))
    assert not value.requires_grad
    for found, slope in zip(jacobian.values(), expected, strict=True):
        assert torch.allclose(found, slope, rtol=1e-10)


def test_what_comes_with_a_value_is_that_of_the_same_call_and_has_no_derivatives():
    rollout = RolloutModule(beam(), 3)
    (modulus,) = rollout.train_only("youngs_modulus")
    calls = []

    def height():
        calls.append(1)
        motion = rollout.trajectory(moving())
        return motion.positions[-1, ..., 2].mean(), motion

    value, jacobian, motion = jacobian_with_aux(height, {"E": modulus})
    assert len(calls) == 1
    # Eager and traced steps round differently.
    torch.testing.assert_close(motion.positions, rollout.trajectory(moving()).positions.detach())
    assert not motion.positions.requires_grad
    assert value == motion.positions[-1, ..., 2].mean()
    assert torch.equal(jacobian["E"], parameter_jacobian(lambda: height()[0], {"E": modulus})[1]["E"])
    torch.testing.assert_close(jacobian_with_aux(height, {})[2], motion)


def test_a_function_may_read_parameters_without_a_rollout_and_ignore_others():
    read, ignored = torch.nn.Parameter(torch.tensor([1.0, 2.0])), torch.nn.Parameter(torch.ones(3))
    value, jacobian = parameter_jacobian(lambda: read**2, {"read": read, "ignored": ignored})
    assert torch.equal(value, torch.tensor([1.0, 4.0]))
    assert torch.equal(jacobian["read"], torch.diag(torch.tensor([2.0, 4.0])))
    assert torch.equal(jacobian["ignored"], torch.zeros(2, 3))


def test_parameters_and_their_gradients_stay_as_they_are():
    rollout = RolloutModule(beam(), 2)
    (modulus,) = rollout.train_only("youngs_modulus")
    before = modulus.detach().clone()
    parameter_jacobian(lambda: rollout(moving()).positions, {"youngs_modulus": modulus})
    assert torch.equal(modulus, before)
    assert modulus.grad is None
    assert modulus.requires_grad


class Counted(SparseDirect):
    """Counts how often a matrix is factorized."""

    count = 0

    def inverse(self, *arguments):
        Counted.count += 1
        return super().inverse(*arguments)


def test_implicit_steps_factorize_as_often_for_six_directions_as_for_one():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4))}
    options = {"gravity": (0.0, 0.0, -9.81), "fixed": mesh.vertex_sets["x_min"], "solver": Counted()}
    rollout = RolloutModule(BackwardEuler(mesh, forces, dt=5e-3, **options), 3)
    parameters = dict(rollout.step.named_parameters())
    counts = []
    for names in (["gravity", "density"], ["log_density"]):
        chosen = {n: p for n, p in parameters.items() if any(n.endswith(name) for name in names)}
        Counted.count = 0
        parameter_jacobian(lambda: rollout(State.at_rest(mesh.vertices)).positions, chosen)
        counts.append(Counted.count)
    assert counts[0] == counts[1]


@pytest.mark.unchecked
def test_what_is_no_function_of_tensors_is_refused():
    parameter = torch.nn.Parameter(torch.ones(()))
    with pytest.raises(TypeError, match=r"function must return a tensor of floating point, got State"):
        parameter_jacobian(lambda: RolloutModule(beam(), 1)(moving()), {"x": parameter})
    with pytest.raises(TypeError, match=r"parameters\['x'\] must be a tensor of float32 or float64, got 1.0"):
        parameter_jacobian(lambda: parameter, {"x": 1.0})


def test_a_number_has_derivatives_by_a_number():
    parameter = torch.nn.Parameter(torch.tensor(3.0))
    value, jacobian = parameter_jacobian(lambda: parameter**2, {"x": parameter})
    assert (value.item(), jacobian["x"].item()) == (9.0, 6.0)


@pytest.mark.parametrize(
    "convert",
    [torch.Tensor.numpy, np.asarray, np.sin, lambda x: x.detach().numpy()],
    ids=["numpy", "asarray", "ufunc", "detached"],
)
def test_numpy_in_the_function_is_refused_with_the_remedy(convert):
    parameter = torch.nn.Parameter(torch.ones(2))
    with pytest.raises(TypeError, match=r"function must compute with torch alone, .* NumPy outside of it"):
        parameter_jacobian(lambda: torch.as_tensor(convert(parameter * 2)), {"x": parameter})


class Anchor(Potential):
    """As in the README: one value of a quantity is squeezed, which is nothing where it has no axis."""

    stiffness = Quantity("N/m", positive=True)

    def __init__(self, place, stiffness):
        super().__init__()
        self.register_buffer("place", place)
        self.stiffness = stiffness

    def energy(self, positions):
        return 0.5 * self.stiffness.squeeze(-1) * (positions[..., 0, :] - self.place).square().sum(-1)


@pytest.mark.parametrize("kind", [SymplecticEuler, Newmark])
def test_a_potential_of_ones_own_with_a_single_value_has_derivatives_by_it(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4)),
        "anchor": Anchor(torch.zeros(3), 5.0),
    }
    rollout = RolloutModule(kind(mesh, forces, dt=1e-3, fixed="x_max"), 3, compile=False)
    (stiffness,) = rollout.train_only("stiffness")

    def height():
        return rollout(State.at_rest(mesh.vertices + 0.01)).positions[:, 2].sum()

    (expected,) = torch.autograd.grad(height(), stiffness)
    _, jacobian = parameter_jacobian(height, {"stiffness": stiffness})
    assert torch.allclose(jacobian["stiffness"], expected, rtol=1e-8)


def test_a_second_derivative_is_refused_instead_of_being_zero():
    parameter = torch.nn.Parameter(torch.ones(2))

    def jacobian():
        return parameter_jacobian(lambda: parameter**3, {"x": parameter})[1]["x"]

    with pytest.raises(RuntimeError, match=r"another parameter_jacobian; .*jacrev around torch.func.jacfwd"):
        parameter_jacobian(jacobian, {"x": parameter})
    with pytest.raises(RuntimeError, match=r"in a transform of torch.func"):
        torch.func.jacfwd(lambda x: jacobian() * x)(torch.ones(2))


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (lambda x: x, r"function must be a function of no arguments, got .*lambda"),
        (torch.nn.Linear(2, 2), r"function must be a function of no arguments, got a Linear"),
        (
            lambda: torch.arange(3),
            r"function must return a tensor of floating point, got tensor of torch.int64",
        ),
        (lambda: 1.0, r"function must return a tensor of floating point, got 1.0"),
    ],
)
def test_functions_that_cannot_be_called_or_differentiated_are_refused(function, message):
    for parameters in ({}, {"x": torch.nn.Parameter(torch.ones(()))}):
        with pytest.raises(TypeError, match=message):
            parameter_jacobian(function, parameters)
