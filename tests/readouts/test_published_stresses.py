"""Stresses of two published problems, on meshes that a test can afford."""

import math

import pytest
import torch

from simlayer import (
    DistributedLoad,
    ElasticForce,
    Equilibrium,
    LinearElastic,
    Mesh,
    State,
    box_mesh,
    readouts,
)
from simlayer.fem.surface import facets_within

pytestmark = pytest.mark.usefixtures("float64")


def mapped(cells, mapping):
    """A box of hex20 cells that is mapped to another shape."""
    box = box_mesh(cells=cells, size=(1.0, 1.0, 1.0), element="hex20")
    return Mesh(mapping(box.vertices), box.cells, vertex_sets=box.vertex_sets)


def fixed(mesh, **axes):
    """Which components are fixed: the axes of each vertex set by its name."""
    mask = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for name, components in axes.items():
        for axis in components:
            mask[mesh.vertex_sets[name], axis] = True
    return mask


def at_vertices(step, state):
    return readouts.project_to_vertices(step, readouts.cauchy_stress(step, state))


def kirsch_displacement(points, *, radius, traction, shear_modulus, poissons_ratio):
    """The exact displacement around a hole in an infinite body under tension along x, plane strain.

    Kirsch 1898; Muskhelishvili 1953 with kappa = 3 - 4 nu.
    """
    x, y = points[:, 0], points[:, 1]
    r, t, kappa = torch.hypot(x, y), torch.atan2(y, x), 3 - 4 * poissons_ratio
    a, scale = radius, traction * radius / (8 * shear_modulus)
    ux = scale * (
        r / a * (kappa + 1) * t.cos()
        + 2 * a / r * ((1 + kappa) * t.cos() + (3 * t).cos())
        - 2 * (a / r) ** 3 * (3 * t).cos()
    )
    uy = scale * (
        r / a * (kappa - 3) * t.sin()
        + 2 * a / r * ((1 - kappa) * t.sin() + (3 * t).sin())
        - 2 * (a / r) ** 3 * (3 * t).sin()
    )
    return torch.stack([ux, uy, torch.zeros_like(ux)], -1)


def test_the_stress_at_a_circular_hole_is_three_times_that_far_away():
    def quarter(unit):
        radius = 5.0 ** unit[:, 0]  # cells grow with the distance from the hole
        angle = math.pi / 2 * unit[:, 1]
        return torch.stack([radius * angle.cos(), radius * angle.sin(), 0.2 * unit[:, 2]], -1)

    mesh = mapped((8, 8, 1), quarter)
    material = LinearElastic(1e5, 0.3)
    far = kirsch_displacement(
        mesh.vertices,
        radius=1.0,
        traction=100.0,
        shear_modulus=float(material.mu),
        poissons_ratio=0.3,
    )
    mask = fixed(mesh, y_min=(1,), y_max=(0,), z_min=(2,), z_max=(2,), x_max=(0, 1))
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, material, quadrature="reduced")}, fixed=mask)
    with torch.no_grad():
        state = step(State.at_rest(torch.where(mask, mesh.vertices + far, mesh.vertices)))
        stress = at_vertices(step, state)
    hole = mesh.vertex_sets["x_min"]
    assert float(stress[hole][:, 0, 0].max()) == pytest.approx(300.0, rel=0.01)
    # Across the ligament, sigma_xx = sigma/2 (2 + (a/r)² + 3 (a/r)⁴), Kirsch 1898.
    above = mesh.vertex_sets["y_max"]
    ratio = 1 / mesh.vertices[above, 1]
    exact = 50 * (2 + ratio**2 + 3 * ratio**4)
    torch.testing.assert_close(stress[above][:, 0, 0], exact, rtol=0.025, atol=1.0)


def test_the_stress_of_the_thick_plate_of_nafems_is_the_published_one():
    """LE10 of NAFEMS 1990, "The standard NAFEMS benchmarks": sigma_yy = -5.38 MPa at D."""

    def plate(unit):
        angle, outward = math.pi / 2 * unit[:, 1], unit[:, 0]
        inner = torch.stack([2.0 * angle.cos(), 1.0 * angle.sin()], -1)
        outer = torch.stack([3.25 * angle.cos(), 2.75 * angle.sin()], -1)
        plane = inner + outward[:, None] * (outer - inner)
        return torch.cat([plane, 0.6 * unit[:, 2:]], -1)

    mesh = mapped((6, 8, 4), plate)
    mask = fixed(mesh, y_min=(1,), y_max=(0,), x_max=(0, 1))
    middle = mesh.vertex_sets["x_max"]
    mask[middle[(mesh.vertices[middle, 2] - 0.3).abs() < 1e-9], 2] = True
    top = facets_within(mesh, mesh.vertex_sets["z_max"], "faces")
    assert len(top) == 48
    pressure = DistributedLoad.of_traction(mesh, "z_max", traction=(0.0, 0.0, -1e6))
    elastic = ElasticForce(mesh, LinearElastic(210e9, 0.3), quadrature="reduced")
    step = Equilibrium(mesh, {"elastic": elastic, "pressure": pressure}, fixed=mask)
    with torch.no_grad():
        state = step(State.at_rest(mesh.vertices))
        stress = at_vertices(step, state)
        at_d = (mesh.vertices - torch.tensor([2.0, 0.0, 0.6])).norm(dim=-1).argmin()
        held = readouts.reaction(step, state, mask.any(-1))
    assert float(stress[at_d, 1, 1]) == pytest.approx(-5.38e6, rel=0.01)
    load = 1e6 * float(pressure.measure)
    torch.testing.assert_close(held.force, torch.tensor([0.0, 0.0, load]), rtol=1e-9, atol=1e-9 * load)
