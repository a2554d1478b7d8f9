"""Paths of a search along which cells rotate."""

import pytest
import torch

from simlayer import (
    BackwardEuler,
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    NewtonSolver,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
    check_gradients,
)
from simlayer.fem import FiniteElements
from simlayer.solvers.block_matrix import Assembly
from simlayer.solvers.line_search import STRAIGHT
from simlayer.steps.rotating_paths import RotatingPaths

pytestmark = pytest.mark.usefixtures("float64_throughout")


def paths_of(mesh, free):
    elements = FiniteElements(mesh)
    return RotatingPaths(elements, free, Assembly([mesh.cells], free, mesh.vertices).pattern)


@pytest.fixture(scope="module", params=["tet4", "hex20"])
def bar(request, float64_throughout):
    return box_mesh(cells=(4, 1, 1), size=(0.1, 0.02, 0.02), element=request.param)


def test_a_path_begins_in_its_direction_and_keeps_what_is_fixed(bar):
    free = torch.ones_like(bar.vertices)
    free[bar.vertex_sets["x_min"]] = 0
    free[bar.vertex_sets["z_min"], 2] = 0  # rollers: axes differ in what is fixed
    direction = 0.01 * torch.randn(2, *free.shape) * free
    positions = bar.vertices + 1e-3 * torch.randn(2, *free.shape)
    path, longest = paths_of(bar, free).along(positions, direction)
    assert bool(((longest > 0) & (longest <= 1)).all())
    h = 1e-3
    near, far = (path(torch.full((2,), length)) for length in (h, 2 * h))
    # One-sided differences, whose error is of the order of h² times the square of rotations of some 3 rad.
    slope = (4 * near - far - 3 * positions) / (2 * h)
    torch.testing.assert_close(slope, direction, rtol=0, atol=1e-4 * 0.01)
    assert torch.equal((1 - free) * path(longest), (1 - free) * positions)


def test_a_rotation_goes_on_as_one(bar):
    arms = bar.vertices - bar.vertices.mean(0)
    axis = torch.tensor([0.3, -0.5, 0.8])
    direction = torch.linalg.cross(axis.expand_as(arms), arms)
    path, _ = paths_of(bar, torch.ones_like(arms)).along(bar.vertices, direction)
    end = path(torch.tensor(1.0))
    # Distances stay, beside the shift of the Laplacian of 1e-8, and the turn is by the length of the axis.
    torch.testing.assert_close(torch.cdist(end, end), torch.cdist(arms, arms), rtol=0, atol=1e-6 * 0.1)
    cosine = 1 + 2 * torch.cos(axis.norm())
    F = FiniteElements(bar).deformation_gradient(end)
    torch.testing.assert_close(F.trace(), cosine.expand_as(F.trace()), rtol=0, atol=1e-5)


def test_a_move_without_rotation_is_a_straight_line(bar):
    direction = bar.vertices * torch.tensor([0.5, -0.2, 0.1])
    path, longest = paths_of(bar, torch.ones_like(direction)).along(bar.vertices, direction)
    assert float(longest) == 1
    assert torch.equal(path(torch.tensor(0.5)), bar.vertices + 0.5 * direction)


def tail(kind=Equilibrium, **options):
    """A silicone tail, fifty times as long as it is thick, that hangs from where it is clamped."""
    mesh = box_mesh(cells=(50, 1, 1), size=(0.1, 0.002, 0.002))
    elastic = ElasticForce(mesh, StableNeoHookean(5e4, 0.45))
    gravity = (0.0, 0.0, -9.81)
    return mesh, kind(mesh, {"elastic": elastic}, gravity=gravity, fixed="x_min", **options)


class Straight(Equilibrium):
    paths = STRAIGHT


def test_a_thin_tail_comes_to_rest_in_one_search_where_straight_lines_do_not():
    newton = NewtonSolver(max_iterations=25)
    mesh, step = tail(newton=newton)
    start = State.at_rest(mesh.vertices)
    end = step.newton.minimize(step.problem(step._data(start)), start.positions, step.solver, step.paths)
    force = step.forces["elastic"](State.at_rest(end))
    weight = step.elements.mass_product(step.density, step.gravity.expand_as(end))
    residual = step.free * (force + weight)
    assert float(residual.abs().max()) < 1e-6 * float(weight.abs().mean())
    with pytest.raises(ConvergenceError, match="after 25 iterations"):
        step.newton.minimize(step.problem(step._data(start)), start.positions, step.solver, STRAIGHT)


def test_a_search_along_other_paths_ends_at_the_same_equilibrium():
    mesh, step = tail()
    _, straight = tail(Straight, newton=NewtonSolver(max_iterations=400))
    start = State.at_rest(mesh.vertices)
    torch.testing.assert_close(step(start).positions, straight(start).positions, rtol=0, atol=1e-8)


def test_gradients_of_a_tail_at_rest_are_central_differences():
    mesh, step = tail()
    report = check_gradients(
        RolloutModule(step, 1),
        State.at_rest(mesh.vertices),
        lambda state: state.positions[..., 2].mean(),
        ["forces.elastic.material.log_youngs_modulus", "log_density"],
        steps=(1e-3, 1e-4, 1e-5),
    )
    assert report.passed, f"\n{report}"


def test_a_large_body_steps_along_such_paths_to_where_straight_lines_end():
    mesh = box_mesh(cells=(40, 4, 4), size=(0.2, 0.02, 0.02))
    elastic = ElasticForce(mesh, StableNeoHookean(5e4, 0.45))

    class StraightStep(BackwardEuler):
        paths = STRAIGHT

    ends = []
    for kind in (BackwardEuler, StraightStep):
        step = kind(mesh, {"elastic": elastic}, dt=2e-2, gravity=(0.0, 0.0, -9.81), fixed="x_min")
        assert isinstance(step.paths, RotatingPaths) == (kind is BackwardEuler)
        ends.append(RolloutModule(step, 3)(State.at_rest(mesh.vertices)).positions)
    torch.testing.assert_close(*ends, rtol=0, atol=1e-9)
