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
    StVenantKirchhoff,
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


@pytest.mark.parametrize("width", [0.1, 0.002])
@pytest.mark.parametrize("modulus", [2e3, 2e11])
def test_what_bends_or_is_fixed_is_not_blamed_for_having_no_stiffness(modulus, width):
    mesh = box_mesh(cells=(8, 1, 1), size=(1.0, width, width), element="hex20")
    elastic = ElasticForce(mesh, StVenantKirchhoff(modulus, 0.3))
    load = NodalLoad(mesh, 1e-3 * modulus * width**2 * torch.randn_like(mesh.vertices))
    newton = NewtonSolver(max_iterations=1)
    step = Equilibrium(mesh, {"elastic": elastic, "load": load}, fixed="x_min", newton=newton)
    with pytest.raises(ConvergenceError) as error:
        step(State.at_rest(mesh.vertices))
    assert "without any energy" not in str(error.value)
