"""Implicit steps of slender bodies in single precision, torch's default, against double precision."""

import copy

import pytest

from simlayer import (
    BDF2,
    BackwardEuler,
    ConjugateGradients,
    ElasticForce,
    Equilibrium,
    Newmark,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    box_mesh,
)

NAMES = ("youngs_modulus", "gravity")


def slender(element):
    mesh = box_mesh(cells=(6, 1, 1), size=(0.24, 0.02, 0.02), element=element)
    return mesh, ElasticForce(mesh, StableNeoHookean(1e5, 0.4))


@pytest.fixture(scope="module", params=["tet4", "tet10", "hex8", "hex20"])
def body(request):
    return slender(request.param)


def gradients(rollout, mesh):
    chosen = rollout.train_only(*NAMES)
    rollout.zero_grad()  # the body is shared by the tests
    end = rollout(State.at_rest(mesh.vertices.to(chosen[0])))
    end.positions.square().sum().backward()
    return end.positions.detach().double(), [parameter.grad.double() for parameter in chosen]


@pytest.mark.parametrize("solver", [SparseDirect(), ConjugateGradients()], ids=lambda s: type(s).__name__)
@pytest.mark.parametrize("kind", [Equilibrium, BackwardEuler, Newmark, BDF2])
def test_gradients_in_single_precision_are_those_in_double_precision(body, kind, solver):
    mesh, elastic = body
    step = kind(mesh, {"elastic": elastic}, dt=0.1, gravity=(0.0, 0.0, -1.0), fixed="x_min", solver=solver)
    rollout = RolloutModule(step, 1 if kind is Equilibrium else 2)
    exact = gradients(copy.deepcopy(rollout).double(), mesh)
    single = gradients(rollout, mesh)
    assert float((single[0] - exact[0]).norm() / (exact[0] - mesh.vertices).norm()) < 1e-3
    for found, expected in zip(single[1], exact[1], strict=True):
        assert float((found - expected).norm() / expected.norm()) < 1e-2
