"""Lumped and consistent masses of implicit steps."""

import math

import pytest
import torch
from support.meshes import ELEMENTS, wavy

from simlayer import (
    BackwardEuler,
    ElasticForce,
    LinearElastic,
    Newmark,
    PointMass,
    RolloutModule,
    State,
    box_mesh,
    check_gradients,
)

pytestmark = pytest.mark.usefixtures("float64_throughout")

E = "forces.elastic.material.log_youngs_modulus"


def bar(kind, *, element="hex20", cells=(2, 1, 1), dt=1e-3, **options):
    mesh = box_mesh(cells=cells, size=(0.4, 0.1, 0.1), element=element)
    elastic = ElasticForce(mesh, LinearElastic(1e5, 0.0))
    options = {"density": 1000.0, "fixed": "x_min", "mass_matrix": "consistent"} | options
    return mesh, kind(mesh, {"elastic": elastic}, dt=dt, **options)


@pytest.mark.parametrize("element", ELEMENTS)
def test_a_consistent_mass_moves_its_blocks_and_all_of_its_mass(element):
    mesh = wavy(element)
    step = BackwardEuler(mesh, {}, dt=1.0, density=1000 * (1 + torch.rand(len(mesh.cells))), fixed=None)
    vectors = torch.randn(3, len(mesh.vertices), 3)
    found = step.elements.mass_product(step.density, vectors)
    expected = torch.zeros_like(found)
    blocks = step.elements.mass_blocks(step.density)
    for cell, block in zip(mesh.cells, blocks, strict=True):
        expected[:, cell] += block @ vectors[:, cell]
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12 * float(expected.abs().max()))
    total = step.elements.mass_product(step.density, torch.ones_like(mesh.vertices))[:, 0].sum()
    assert total.item() == pytest.approx(float((step.density * step.elements.volumes).sum()), rel=1e-12)


@pytest.mark.parametrize("kind", [BackwardEuler, Newmark])
def test_a_body_with_a_consistent_mass_falls_like_any_other(kind):
    mesh, step = bar(kind, fixed=None, gravity=(0.0, 0.0, -9.81))
    _, lumped = bar(kind, fixed=None, gravity=(0.0, 0.0, -9.81), mass_matrix="lumped")
    ends = [RolloutModule(s, 5)(State.at_rest(mesh.vertices)).positions for s in (step, lumped)]
    torch.testing.assert_close(*ends, rtol=0, atol=1e-12)


@pytest.mark.parametrize(("mass_matrix", "error"), [("consistent", 5e-4), ("lumped", 5e-2)])
def test_a_bar_swings_along_itself_in_its_period(mass_matrix, error):
    # The lowest mode sin(pi x / 2 L) with the period 4 L sqrt(rho/E), on two quadratic cells of length h:
    # of the order of (k h)^4 off, with k h = pi / 4, and of (k h)^2 if lumped.
    period, steps = 4 * 0.4 * math.sqrt(1000.0 / 1e5), 200
    mesh, step = bar(Newmark, dt=period / steps, mass_matrix=mass_matrix)
    start = mesh.vertices.clone()
    start[:, 0] += 1e-3 * torch.sin(math.pi * mesh.vertices[:, 0] / 0.8)
    tips = (
        RolloutModule(step, steps // 3)
        .trajectory(State.at_rest(start))
        .positions[:, mesh.vertex_sets["x_max"], 0]
    )
    moved = tips.mean(1) - 0.4
    # The first zero, at a quarter of the period, by the secant.
    first = int((moved < 0).nonzero()[0])
    zero = first - 1 + float(moved[first - 1] / (moved[first - 1] - moved[first]))
    measured = abs(zero / (steps / 4) - 1)
    assert measured < error


@pytest.mark.parametrize("element", ["hex20", "tet4"])
def test_gradients_through_a_consistent_mass_are_central_differences(element):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.4, 0.1, 0.1), element=element)
    masses = {"weight": PointMass(mesh, "x_max", mass=0.5)}
    density = 1000 * (1 + torch.rand(len(mesh.cells)))
    _, step = bar(
        Newmark, element=element, dt=0.01, density=density, masses=masses, gravity=(0.0, 0.0, -9.81)
    )
    start = State(mesh.vertices + 1e-3 * torch.randn_like(mesh.vertices), torch.randn_like(mesh.vertices))
    weights = torch.randn_like(mesh.vertices)
    names = [E, "log_density", "masses.weight.log_mass", "gravity", "positions", "velocities"]
    report = check_gradients(
        RolloutModule(step, 5),
        start,
        lambda s: (s.positions * weights).sum(),
        names,
        steps=(1e-3, 1e-4, 1e-5),
    )
    assert report.passed, f"\n{report}"


@pytest.mark.parametrize("name", ["consistant", "at rest"])
def test_a_mass_matrix_that_does_not_exist_is_refused(name):
    with pytest.raises(ValueError, match="mass_matrix must be one of"):
        bar(Newmark, mass_matrix=name)
