"""What rounding leaves of a residual, and when corrections end."""

import pytest
import torch

from simlayer import ElasticForce, Equilibrium, Potential, StableNeoHookean, State, box_mesh
from simlayer.solvers.rounding import Corrections, rounding_level


def problem_of(offset, **forces):
    mesh = box_mesh(cells=(3, 2, 2), size=(0.06, 0.03, 0.03), element="tet10")
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e8, 0.4))} | forces
    step = Equilibrium(mesh, forces, fixed="x_min")
    positions = mesh.vertices + offset
    return step.problem(step._data(State.at_rest(positions))), positions


@pytest.mark.parametrize("offset", [0.0, 1.0, 30.0])
def test_the_level_is_above_what_rounding_does_to_a_gradient_and_not_far_above(offset):
    problem, positions = problem_of(offset)
    # Without loads the gradient at rest is rounding and nothing else.
    found = problem.residual(positions).gradient.abs()
    level = rounding_level(problem.tangent(positions, projected=False).double(), positions)
    assert bool((found <= level).all())
    # The level is a bound, of terms that mostly cancel, with a margin of four.
    assert float(found.max()) > 1e-3 * float(level.max())


class Spring(Potential):
    """Springs of 1 GN/m from every vertex to the origin."""

    def energy(self, positions):
        return 5e8 * positions.square().sum((-1, -2))


def test_a_potential_without_hessian_blocks_counts():
    problem, positions = problem_of(1.0, spring=Spring())
    tangent = problem.tangent(positions, projected=False).double()
    free = problem.step.free.bool()
    eps = torch.finfo(torch.float32).eps
    assert float(rounding_level(tangent, positions)[free].min()) > 1e9 * eps


def exhausted(lengths, *, at_rounding=True, by_hessian=True):
    corrections = Corrections(torch.zeros(1, 1, 3))
    rounded, steps = torch.tensor([at_rounding]), [torch.tensor([[[x, 0.0, 0.0]]]) for x in lengths]
    return [bool(corrections.exhausted(step, rounded, by_hessian=by_hessian)) for step in steps]


def test_corrections_that_get_shorter_or_go_on_in_one_direction_are_progress_and_others_are_none():
    assert not any(exhausted([1.0, -0.4, 0.15, -0.05, 0.01]))
    assert not any(exhausted([1.0, 0.9, 0.8, 0.7]))
    assert exhausted([1.0, -0.9, 0.8]) == [False, False, True]


def test_corrections_do_not_end_above_rounding_or_by_directions_that_are_not_newtons():
    lengths = [1.0, -1.0, 1.0, -1.0]
    assert not any(exhausted(lengths, at_rounding=False))
    assert not any(exhausted(lengths, by_hessian=False))
