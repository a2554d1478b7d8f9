"""Pressures in cavities: their volume, their resultants, and surfaces that are refused."""

import pytest
import torch
from support.materials import rotations
from support.meshes import ELEMENTS, hollow

from simlayer import CavityPressure, ElasticForce, Equilibrium, MeshError, StableNeoHookean, State
from simlayer.fem.enclosed_volume import EnclosedVolume
from simlayer.mesh.geometry import signed_volumes

pytestmark = pytest.mark.usefixtures("float64")

every_element = pytest.mark.parametrize("element", ELEMENTS)


@every_element
def test_the_volume_is_what_the_body_lacks_of_what_its_outside_encloses_on_curved_faces_too(element):
    mesh = hollow(element)
    inside = torch.zeros(len(mesh.vertices), dtype=torch.bool)
    inside[mesh.vertex_sets["cavity"]] = True
    faces = mesh.boundary_faces
    outside = EnclosedVolume(mesh, faces[~inside[faces].all(1)])
    # Moved away, where positions have lost two digits.
    x = mesh.vertices + 0.02 * torch.randn_like(mesh.vertices) + 1e2
    cavity = CavityPressure(mesh, "cavity").volume(x)
    solid = signed_volumes(x, mesh.cells).sum()
    assert cavity.item() == pytest.approx(float(-outside(x) - solid), rel=1e-11)


@every_element
def test_an_affine_map_multiplies_the_volume_by_its_determinant(element):
    mesh = hollow(element, 0.0)
    cavity, A = CavityPressure(mesh, "cavity"), torch.randn(20, 3, 3)
    volumes = cavity.volume(mesh.vertices @ A.mT + torch.randn(20, 1, 3))
    assert torch.allclose(volumes, torch.linalg.det(A) / 27, rtol=1e-12, atol=1e-15)


@every_element
def test_forces_and_torques_of_a_pressure_add_up_to_zero_and_turn_with_the_body(element):
    mesh = hollow(element)
    cavity = CavityPressure(mesh, "cavity", pressure=3.0)
    x, R = mesh.vertices + 0.03 * torch.randn(20, *mesh.vertices.shape), rotations(20)
    f = cavity(State.at_rest(x))
    assert f.sum(-2).abs().max() < 1e-13
    assert torch.linalg.cross(x, f).sum(-2).abs().max() < 1e-13
    turned = cavity(State.at_rest(x @ R.mT + 5 * torch.randn(20, 1, 3)))
    assert torch.allclose(turned, f @ R.mT, atol=1e-13)


def test_a_wall_is_pressed_outwards_by_pressure_times_area_after_it_has_moved():
    # The middles of quadratic sides take all of the force; bilinear ones are enough here.
    mesh = hollow("hex8", 0.0)
    x = mesh.vertices * torch.tensor([2.0, 3.0, 0.5])
    f = CavityPressure(mesh, "cavity", pressure=7.0)(State.at_rest(x))
    side = mesh.vertex_sets["cavity"][mesh.vertices[mesh.vertex_sets["cavity"], 0] > 0.5]
    assert f[side].sum(0)[0].item() == pytest.approx(7.0 * 3.0 * 0.5 / 9, rel=1e-13)


def test_it_works_by_its_pressure_times_the_change_of_volume():
    mesh = hollow("tet4")
    elastic = ElasticForce(mesh, StableNeoHookean(1e4, 0.4))
    volumes, energies = [], []
    pressures = torch.linspace(0, 2e3, 21)
    for pressure in pressures:
        cavity = CavityPressure(mesh, "cavity", pressure=float(pressure))
        step = Equilibrium(mesh, {"elastic": elastic, "cavity": cavity}, fixed="x_min")
        x = step(State.at_rest(mesh.vertices)).positions
        volumes.append(cavity.volume(x))
        energies.append(elastic.energy(x))
    volumes = torch.stack(volumes)
    assert (volumes.diff() > 0).all()
    # The trapezoidal rule of a nearly straight curve.
    work = torch.trapezoid(volumes, pressures)
    assert float(energies[-1]) == pytest.approx(float(pressures[-1] * volumes[-1] - work), rel=1e-3)


@every_element
def test_its_stiffness_is_the_derivative_of_its_forces_which_is_symmetric_as_the_cavity_is_closed(element):
    mesh = hollow(element)
    cavity = CavityPressure(mesh, "cavity", pressure=3.0)
    x = mesh.vertices + 0.03 * torch.randn_like(mesh.vertices)
    blocks, nodes = cavity.hessian_blocks(x), cavity.connectivity
    rows = (3 * nodes[..., None] + torch.arange(3)).flatten(1)
    stiffness = torch.zeros(x.numel(), x.numel())
    pairs = rows[:, :, None].expand_as(blocks), rows[:, None, :].expand_as(blocks)
    stiffness.index_put_(pairs, blocks, accumulate=True)
    by_forces = -torch.autograd.functional.jacobian(lambda y: cavity(State.at_rest(y)), x)
    by_forces = by_forces.reshape(x.numel(), -1)
    assert torch.allclose(by_forces, by_forces.T, atol=1e-14)
    assert torch.allclose(stiffness, by_forces, atol=1e-13)


@pytest.mark.parametrize(
    ("surface", "message"),
    [
        (
            lambda mesh, x: x[:, 2] < 0.6,
            r"must be closed, got 4 edges at its rim, from \[0.3333, 0.3333, 0.3333\] to",
        ),
        (lambda mesh, x: torch.ones(len(x), dtype=torch.bool), "got faces around 0.963 m³ of the body"),
        (lambda mesh, x: mesh.vertex_sets["cavity"][:2], "none of the faces on the surface"),
        (lambda mesh, x: "chamber", "surface: the mesh has no vertex set 'chamber'"),
    ],
)
def test_a_surface_that_encloses_no_cavity_is_refused(surface, message):
    mesh = hollow("hex8", 0.0)
    chosen = surface(mesh, mesh.vertices)
    if isinstance(chosen, torch.Tensor) and chosen.dtype == torch.bool and not chosen.all():
        inside = torch.zeros_like(chosen)
        inside[mesh.vertex_sets["cavity"]] = True
        chosen = chosen & inside
    with pytest.raises(ValueError, match=message):
        CavityPressure(mesh, chosen)
    assert issubclass(MeshError, ValueError)
