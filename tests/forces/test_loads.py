"""Loads spread over faces and edges: totals, moments, and that loads have no stiffness."""

import math

import pytest
import torch
from support.forces import body, deformed, forces_of
from support.meshes import ELEMENTS, twisted, wavy
from support.scenes import moving, noise, rest

from simlayer import DistributedLoad, NodalLoad, RolloutModule, State, SymplecticEuler, box_mesh
from simlayer.fem.surface import facets_within, surface_edges

pytestmark = pytest.mark.usefixtures("float64")

KINDS = ("faces", "edges")
FORCE = torch.tensor([1.0, -2.0, 3.0], dtype=torch.float64)
every_element = pytest.mark.parametrize("element", ELEMENTS)
every_kind = pytest.mark.parametrize("over", KINDS)


def box(element):
    return box_mesh(cells=(2, 3, 2), size=(1.0, 0.6, 0.8), element=element)


def edge_of(mesh):
    """The vertices on one edge of a box."""
    return (mesh.vertices[:, 0] == 1) & (mesh.vertices[:, 2] == 0)


def load(mesh, over="faces", **options):
    vertices = "x_max" if over == "faces" else edge_of(mesh)
    return DistributedLoad(mesh, vertices, over=over, **({"force": FORCE} | options))


def resultants(forces, x):
    return forces.sum(-2), torch.linalg.cross(x, forces).sum(-2)


@every_element
@every_kind
def test_the_total_and_the_moment_are_those_of_an_even_traction(element, over):
    mesh = box(element)
    x, spread = mesh.vertices, load(mesh, over)
    total, moment = resultants(spread(State.at_rest(x)), x)
    centre = torch.tensor([1.0, 0.3, 0.4 if over == "faces" else 0.0])
    assert torch.allclose(total, FORCE, rtol=1e-14)
    assert torch.allclose(moment, torch.linalg.cross(centre, FORCE), rtol=1e-13)
    assert spread.measure.item() == pytest.approx(0.48 if over == "faces" else 0.6, rel=1e-14)
    # After any affine map too: weights are those of linear fields.
    A, b = torch.randn(3, 3), torch.randn(3)
    _, moment = resultants(spread(State.at_rest(x)), x @ A.mT + b)
    assert torch.allclose(moment, torch.linalg.cross(A @ centre + b, FORCE), rtol=1e-12, atol=1e-13)


@every_element
def test_the_work_in_a_quadratic_field_is_exact_where_cells_are_quadratic(element):
    mesh = box(element)
    forces = load(mesh)(State.at_rest(mesh.vertices))
    y = mesh.vertices[:, 1:2]
    mean = float((forces * y.square()).sum() / FORCE.sum())
    exact = 0.6**2 / 3
    assert (abs(mean - exact) < 1e-14) == (element in ("tet10", "hex20"))


def test_a_face_of_a_tetrahedron_gives_a_third_to_each_corner():
    mesh = box_mesh(cells=(1, 1, 1))
    face = mesh.boundary_faces[0]
    forces = DistributedLoad(mesh, face, force=(0.0, 0.0, 3.0))(State.at_rest(mesh.vertices))
    expected = torch.zeros(8, 3)
    expected[face, 2] = 1.0
    assert torch.allclose(forces, expected, rtol=1e-14)


@every_element
def test_the_area_of_bent_faces_is_that_of_their_shape(element):
    # Every boundary face of a twisted body, whose edges are straight: a closed surface has no resultant.
    mesh = twisted(element)
    every = torch.arange(len(mesh.vertices))
    area = DistributedLoad(mesh, every, force=FORCE).measure
    corners = mesh.vertices[mesh.boundary]
    triangles = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    # Faces of hexahedra are not plane, so that triangles through their nodes have another area.
    assert float(area) == pytest.approx(float(triangles.norm(dim=-1).sum() / 2), rel=2e-2)
    if element.startswith("tet"):
        assert float(area) == pytest.approx(float(triangles.norm(dim=-1).sum() / 2), rel=1e-12)


@every_element
def test_surface_edges_are_counted_once(element):
    mesh = wavy(element, (2, 1, 1))
    edges = surface_edges(mesh)
    assert len({tuple(sorted(edge[:2].tolist())) for edge in edges}) == len(edges)
    faces, corners = len(mesh.boundary_faces), len(mesh.boundary_faces[:, :4].unique())
    if element in ("tet4", "hex8"):
        # Euler: V - E + F = 2.
        assert corners - len(edges) + faces == 2
    else:
        middles = (mesh.vertices[edges[:, 0]] + mesh.vertices[edges[:, 1]]) / 2
        assert float((middles - mesh.vertices[edges[:, 2]]).norm(dim=-1).max()) < 0.2


def test_a_face_with_a_node_outside_the_set_is_not_loaded():
    mesh = box("tet10")
    inside = mesh.vertex_sets["x_max"]
    assert (mesh.vertices[facets_within(mesh, inside, "faces")][..., 0] == 1).all()
    with pytest.raises(
        ValueError, match=r"none of the faces .* has all of its nodes among the chosen vertices, got 1: \["
    ):
        DistributedLoad(mesh, inside[:1], force=FORCE)


def test_a_traction_is_the_force_over_the_area():
    mesh = box("hex20")
    given = DistributedLoad.of_traction(mesh, "x_max", traction=(1.0, 2.0, 3.0))
    assert torch.allclose(given.force, torch.tensor([0.48, 0.96, 1.44]), rtol=1e-14)


def test_other_words_are_refused():
    with pytest.raises(Exception, match="over"):
        load(box("tet4"), over="corners")
    with pytest.raises(ValueError, match="no vertex set 'tip'"):
        DistributedLoad(box("tet4"), "tip", force=FORCE)


# Every load


def loads():
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    return {
        "on faces": DistributedLoad(mesh, "x_max", force=noise(3)),
        "on edges": DistributedLoad(mesh, "z_max", force=noise(3), over="edges"),
        "on vertices": NodalLoad(mesh, noise(16, 3)),
        "the same on every vertex": NodalLoad(mesh, noise(1, 3)),
    }


@pytest.mark.parametrize("name", ["on faces", "on edges", "on vertices", "the same on every vertex"])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_load_is_a_potential_without_stiffness(name, batch):
    given, x = loads()[name], moving((3, 1, 1), *batch).positions.requires_grad_()
    energy = given.energy(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x)
    assert energy.shape == batch
    assert torch.allclose(given(State.at_rest(x)), -gradient, rtol=0, atol=1e-14)
    assert given.connectivity.shape == (0, 1)
    for projected in (False, True):
        assert given.hessian_blocks(x, projected=projected).shape == (*batch, 0, 3, 3)
    assert torch.equal(given.hessian_product(x, x), torch.zeros_like(x))


@pytest.mark.parametrize("name", ["on faces", "on vertices", "the same on every vertex"])
def test_batches_of_loads_act_sample_by_sample(name):
    given = loads()[name]
    (quantity,) = given.quantities()
    values = noise(3, *getattr(given, quantity).shape, seed=5)
    setattr(given, quantity, values)
    x = moving((3, 1, 1), 3).positions
    together, energies = given(State.at_rest(x)), given.energy(x)
    for k in range(3):
        setattr(given, quantity, values[k])
        assert torch.allclose(given(State.at_rest(x[k])), together[k], rtol=1e-14)
        assert torch.allclose(given.energy(x[k]), energies[k], rtol=1e-12)


def test_a_distributed_force_is_learnt_through_a_rollout():
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
    step = SymplecticEuler(mesh, {"load": DistributedLoad(mesh, "x_max", force=(0.0, 0.0, 1.0))}, dt=1e-3)
    force = torch.tensor([[1.0, 2.0, 3.0], [0.0, 1.0, 0.0]], requires_grad=True)
    end = RolloutModule(step, 5)(State.at_rest(rest()), {"forces.load.force": force})
    (gradient,) = torch.autograd.grad(end.velocities.sum(), force)
    total = (step.forces["load"].shares * step.inverse_masses).sum()
    assert torch.allclose(gradient, (5e-3 * total).expand(2, 3), rtol=1e-12)
    assert math.isclose(float(step.forces["load"].shares.sum()), 1.0, rel_tol=1e-14)


# Loads on vertices


@pytest.mark.parametrize("shape", [(27, 3), (1, 3)])
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_a_load_is_the_given_force_on_every_vertex_of_every_sample(shape, batch):
    given = torch.randn(shape)
    got = forces_of(NodalLoad(body(), given), deformed(*batch))
    assert torch.equal(got, given.expand(*batch, 27, 3))


def test_a_batch_of_loads_is_applied_sample_by_sample():
    given = torch.randn(3, 27, 3)
    load = NodalLoad(body(), given[0])
    load.forces = given
    assert torch.equal(forces_of(load, deformed(3)), given)


def test_the_work_of_a_load_has_the_positions_as_its_gradient():
    load, x = NodalLoad(body(), torch.randn(27, 3)).requires_grad_(), deformed()
    (gradient,) = torch.autograd.grad((forces_of(load, x) * x).sum(), load.parameters())
    assert torch.equal(gradient, x)


def test_a_common_load_has_the_sum_over_vertices_as_its_gradient():
    load, x = NodalLoad(body(), torch.randn(1, 3)).requires_grad_(), deformed()
    (gradient,) = torch.autograd.grad((forces_of(load, x) * x).sum(), load.parameters())
    assert torch.allclose(gradient, x.sum(0, keepdim=True), rtol=1e-14, atol=0)


@pytest.mark.parametrize("shape", [(26, 3), (27, 1)])
def test_a_load_of_another_mesh_is_refused(shape):
    with pytest.raises(Exception, match=r"forces"):
        NodalLoad(body(), torch.zeros(shape))
