"""Implicit steps of slender and of stiff bodies in single precision, torch's default, against double."""

import copy

import pytest

from simlayer import (
    BDF2,
    BackwardEuler,
    ConjugateGradients,
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    LinearElastic,
    NeoHookean,
    Newmark,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    StVenantKirchhoff,
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


STIFF = [
    # What moves these bodies is less than the rounding of their elastic forces, or of their energies.
    (Newmark, "hex20", StableNeoHookean(5e6, 0.3), 3e-3, None),
    (BDF2, "tet4", NeoHookean(5e6, 0.3), 2e-2, None),
    (BDF2, "hex8", NeoHookean(5e6, 0.3), 1e-2, "x_min"),
    (BackwardEuler, "tet10", StableNeoHookean(3e8, 0.49), 4e-3, "x_min"),
    (BackwardEuler, "hex20", LinearElastic(1e9, 0.3), 5e-3, None),
    (Equilibrium, "hex20", StableNeoHookean(2e7, 0.3), 1.0, "x_min"),
    (Equilibrium, "tet4", StableNeoHookean(8e8, 0.45), 1.0, "x_min"),
    (Equilibrium, "hex8", StVenantKirchhoff(2e11, 0.3), 1.0, "x_min"),
    (Equilibrium, "tet10", StVenantKirchhoff(2e11, 0.3), 1.0, "x_min"),
]


@pytest.mark.parametrize(("kind", "element", "material", "dt", "fixed"), STIFF)
def test_stiff_bodies_converge_in_single_precision(kind, element, material, dt, fixed):
    mesh = box_mesh(cells=(4, 2, 2), size=(0.1, 0.03, 0.03), element=element)
    elastic = ElasticForce(mesh, copy.deepcopy(material))
    step = kind(mesh, {"elastic": elastic}, dt=dt, gravity=(0.0, 0.0, -1.0), fixed=fixed)
    rollout = RolloutModule(step, 1 if kind is Equilibrium else 3)
    state = State.at_rest(mesh.vertices)
    exact = copy.deepcopy(rollout).double()(State.at_rest(mesh.vertices.double())).positions
    found = rollout(state).positions.double()
    # A few numbers of single precision, 1e-8 m at the far end, in each step.
    assert float((found - exact).abs().max()) < max(1e-2 * float((exact - mesh.vertices).abs().max()), 1e-7)


def test_a_body_far_from_the_origin_falls_though_it_hardly_moves_in_a_step():
    mesh = box_mesh(cells=(3, 1, 1), size=(0.03, 0.01, 0.01), element="hex8")
    elastic = ElasticForce(mesh, NeoHookean(3e5, 0.45))
    step = Newmark(mesh, {"elastic": elastic}, dt=2.7e-3, gravity=(0.0, 0.0, -0.1))
    start = mesh.vertices + 1
    moved = RolloutModule(step, 10)(State.at_rest(start)).positions - start
    # g t²/2, but for the resolution of positions near 1 m, in every step.
    assert moved[:, 2].mean().item() == pytest.approx(-0.05 * 0.027**2, abs=10 * 1.2e-7)


def test_where_rounding_hides_what_moves_a_body_the_error_names_the_precision():
    mesh = box_mesh(cells=(4, 1, 1), size=(0.04, 0.01, 0.01), element="hex20")
    elastic = ElasticForce(mesh, StVenantKirchhoff(1e10, 0.3))
    step = Newmark(mesh, {"elastic": elastic}, dt=0.05, gravity=(0.0, 0.0, -1.0))
    state = State.at_rest(mesh.vertices + 30)
    with pytest.raises(ConvergenceError, match=r"torch\.float32.* rounded .* rollout\.double\(\)"):
        step(step.start(state))
    exact = copy.deepcopy(step).double()
    exact(exact.start(State.at_rest(state.positions.double())))
