"""Loads in steps, where Newton's method does not reach a minimum at once."""

import re

import pytest
import torch

from simlayer import (
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    NeoHookean,
    NewtonSolver,
    RolloutModule,
    State,
    StVenantKirchhoff,
    box_mesh,
)
from simlayer.solvers.load_stepping import ReducedLoad
from simlayer.solvers.problem import MinimizationProblem, Residual

pytestmark = pytest.mark.usefixtures("float64_throughout")


class Spring(MinimizationProblem):
    """Components with the energy k x²/2 - f x."""

    def value(self, positions):
        return (positions.square() / 2 - 3 * positions).sum((-1, -2))

    def residual(self, positions):
        return Residual(positions - 3, torch.full(positions.shape[:-2], 3.0))

    def tangent(self, positions, *, projected):
        raise AssertionError("not needed")


def test_a_problem_restrained_fully_is_in_balance_where_it_starts_and_not_at_all_is_itself():
    problem, start = Spring(), torch.randn(2, 4, 3)
    gradient = problem.residual(start).gradient
    assert not ReducedLoad(problem, start, gradient, 1.0).residual(start).gradient.any()
    free, x = ReducedLoad(problem, start, gradient, 0.0), torch.randn(2, 4, 3)
    assert torch.equal(free.residual(x).gradient, problem.residual(x).gradient)
    half = ReducedLoad(problem, start, gradient, 0.5)
    torch.autograd.gradcheck(half.value, x.requires_grad_())
    slope = torch.autograd.grad(half.value(x).sum(), x)[0]
    torch.testing.assert_close(half.residual(x).gradient, slope, rtol=0, atol=1e-14)


@pytest.fixture(scope="module")
def soft(float64_throughout):
    """A beam under a hundred times its weight, with which twenty iterations from rest do not find balance."""
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.02, 0.02))
    elastic = ElasticForce(mesh, NeoHookean(2e4, 0.45))
    step = Equilibrium(mesh, {"elastic": elastic}, gravity=(0.0, 0.0, -1e3), fixed="x_min")
    return mesh, step


class Once(NewtonSolver):
    """Newton's method, counting how often it is tried."""

    tries = 0

    def minimize(self, *arguments):
        Once.tries += 1
        return super().minimize(*arguments)


def test_an_equilibrium_that_newtons_method_misses_is_reached_in_load_steps(soft):
    mesh, step = soft
    start = State.at_rest(mesh.vertices)
    step.newton = Once(max_iterations=20)
    Once.tries = 0
    end = step(start).positions
    assert Once.tries > 1, "this scene should need load steps"
    force = step.forces["elastic"](State.at_rest(end))
    weight = step.elements.mass_product(step.density, step.gravity.expand_as(end))
    residual = step.free * (force + weight)
    assert float(residual.abs().max()) < 1e-6 * float(weight.abs().mean())
    # As by hand, with the weight as a control.
    rollout = RolloutModule(step, 8)
    path = step.gravity * torch.linspace(0.125, 1.0, 8)[:, None]
    by_hand = rollout(start, controls={"gravity": path}).positions
    torch.testing.assert_close(end, by_hand, rtol=0, atol=1e-8)


def test_load_steps_that_do_not_help_say_how_far_they_went_and_take_few_hessians(soft):
    mesh, step = soft
    step.newton = NewtonSolver(max_iterations=1)
    with pytest.raises(ConvergenceError, match=r"In load steps it went to 0.0% of the loads") as caught:
        step(State.at_rest(mesh.vertices))
    hessians = int(re.search(r"no further with (\d+) Hessians", str(caught.value))[1])
    # Two may be taken before the last load step, which takes two more: an exact and a projected one. Down to
    # a 256th of the loads there would be eight load steps.
    assert hessians <= 4


def test_cells_that_an_equilibrium_turns_inside_out_are_reported():
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.02, 0.02))
    elastic = ElasticForce(mesh, StVenantKirchhoff(2e4, 0.45))
    step = Equilibrium(mesh, {"elastic": elastic}, gravity=(-1e2, 0.0, 0.0), fixed="x_min")
    with pytest.warns(UserWarning, match="cells that are inside out"):
        step(State.at_rest(mesh.vertices))
