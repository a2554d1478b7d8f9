"""Deformations that no stiffness resists."""

import pytest
import torch

from simlayer import (
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    NewtonSolver,
    NodalLoad,
    StableNeoHookean,
    State,
    box_mesh,
)
from simlayer.errors import ImplausibleWarning

pytestmark = pytest.mark.usefixtures("float64_throughout")


def test_modes_of_reduced_quadrature_without_stiffness_are_named_when_they_matter():
    mesh = box_mesh(cells=(4, 1, 1), size=(0.08, 0.02, 0.02), element="hex20")
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.4), quadrature="reduced")
    loads = NodalLoad(mesh, 0.01 * torch.randn_like(mesh.vertices))
    forces, newton = {"elastic": elastic, "load": loads}, NewtonSolver(max_iterations=1)
    with pytest.warns(ImplausibleWarning, match="4 hourglass modes"):
        step = Equilibrium(mesh, forces, fixed="x_min", newton=newton)
    with pytest.raises(
        ConvergenceError, match=r"motions of the body deform it without any energy.*'full'"
    ) as error:
        step(State.at_rest(mesh.vertices))
    assert "shorter dt" not in str(error.value)
