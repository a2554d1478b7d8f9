"""Contact: energy, force and Hessian of one another, of ipctk, and of every obstacle; what is refused."""

import copy
import functools
import math
import pickle

import ipctk
import numpy as np
import pytest
import torch
from support.meshes import ELEMENTS, wavy
from support.obstacles import Torus
from torch import Tensor

from simlayer import (
    BarrierContact,
    Box,
    Capsule,
    Cylinder,
    HalfSpace,
    Mesh,
    Obstacle,
    Sphere,
    State,
    box_mesh,
)
from simlayer.contact.barrier import CURVES, traced_barrier
from simlayer.errors import ImplausibleWarning
from simlayer.fem.surface import surface_edges
from simlayer.linalg.rotation import rotation_matrix, rotation_vector

# Derivatives are tested on coarse bodies, too.
pytestmark = [
    pytest.mark.usefixtures("float64"),
    pytest.mark.filterwarnings("ignore:the obstacle is .* wide"),
]

KAPPA, ACTIVATION = 2e4, 0.08
TILT = (0.02, -0.03, 0.4)
# Below a body that spans (0, 1) x (0, 0.6) x (0, 0.8), so that a part of it is in contact.
OBSTACLES = {
    "half-space": lambda: HalfSpace((0.0, 0.0, -0.07), (0.02, -0.04, 1.0)),
    "sphere": lambda: Sphere(1.0, (0.5, 0.3, -1.04)),
    "box": lambda: Box((0.7, 0.8, 1.0), (0.5, 0.3, -0.56), rotation=TILT),
    "capsule": lambda: Capsule(0.5, 1.0, (0.5, 0.3, -0.56), rotation=(math.pi / 2, 0.02, 0.3)),
    "cylinder": lambda: Cylinder(0.5, 1.0, (0.5, 0.3, -0.57), rotation=TILT),
    "written by a user": lambda: Torus(0.5, 0.3, translation=(0.5, 0.3, -0.36), rotation=TILT),
}
every_obstacle = pytest.mark.parametrize("name", OBSTACLES)


def body(element: str = "tet4") -> Mesh:
    return wavy(element, cells=(3, 2, 2), amount=0.01)


def contact_with(name: str, **options) -> BarrierContact:
    # Tracing a distance takes most of a second, copying it none.
    return copy.deepcopy(_contact_with(name, **options))


@functools.cache
def _contact_with(name: str, **options) -> BarrierContact:
    options = {"stiffness": KAPPA, "activation_distance": ACTIVATION} | options
    return BarrierContact(options.pop("mesh", None) or body(), OBSTACLES[name](), **options)


def deformed(*batch: int, mesh: Mesh | None = None) -> Tensor:
    x = (mesh or body()).vertices
    return x + 5e-3 * torch.randn(*batch, *x.shape)


def forces_of(contact: BarrierContact, x: Tensor) -> Tensor:
    return contact(State.at_rest(x))


def largest(x: Tensor) -> float:
    return float(x.abs().max())


@every_obstacle
@pytest.mark.parametrize("curve", CURVES)
def test_forces_are_minus_the_gradient_of_the_energy(name, curve):
    contact, x = contact_with(name, curve=curve), deformed(2).requires_grad_()
    (gradient,) = torch.autograd.grad(contact.energy(x).sum(), x)
    forces = forces_of(contact, x.detach())
    assert largest(forces) > 1, "a part of the body is in contact"
    assert torch.allclose(forces, -gradient, rtol=0, atol=1e-13 * largest(forces))


@every_obstacle
@pytest.mark.parametrize("extended", [False, True])
def test_hessian_products_and_blocks_are_those_of_autograd(name, extended):
    contact, x, dx = (
        contact_with(name, extended=extended),
        deformed(2).requires_grad_(),
        torch.randn(2, 36, 3),
    )
    (gradient,) = torch.autograd.grad(contact.energy(x).sum(), x, create_graph=True)
    (expected,) = torch.autograd.grad((gradient * dx).sum(), x)
    x = x.detach()
    assert torch.allclose(contact.hessian_product(x, dx), expected, rtol=0, atol=1e-12 * largest(expected))
    blocks, vertices = contact.hessian_blocks(x), contact.connectivity[:, 0]
    found = torch.zeros_like(x)
    found[:, vertices] = (blocks @ dx[:, vertices, :, None])[..., 0]
    assert torch.allclose(found, expected, rtol=0, atol=1e-12 * largest(expected))


@every_obstacle
def test_projected_blocks_have_no_negative_eigenvalue_and_keep_the_normal_stiffness(name):
    contact, x = contact_with(name), deformed()
    exact, projected = contact.hessian_blocks(x), contact.hessian_blocks(x, projected=True)
    values = torch.linalg.eigvalsh(projected)
    assert values.min() > -1e-12 * values.max()
    kept = torch.linalg.eigvalsh(exact).clamp(min=0)
    assert torch.allclose(values, kept, rtol=0, atol=1e-11 * float(kept.max()))


@every_obstacle
def test_energy_and_force_have_the_derivatives_of_differences_in_everything_they_read(name):
    mesh = box_mesh(cells=(1, 1, 1), size=(1.0, 0.6, 0.8))
    contact = contact_with(name, mesh=mesh)
    contact.requires_grad_(True)
    names = [n for n, p in contact.named_parameters() if not n.endswith("velocity")]
    # Two vertices in contact are enough, and leave the formula of one part of an obstacle.
    x = deformed(mesh=mesh)
    stored = [dict(contact.named_parameters())[n].detach().requires_grad_() for n in names]

    def run(function):
        def of(x, *values):
            physical = {n: v for n, v in zip(names, values, strict=True)}
            return torch.func.functional_call(
                _Call(contact, function), {f"contact.{n}": v for n, v in physical.items()}, (x,)
            )

        return of

    for function in ("energy", "force"):
        assert torch.autograd.gradcheck(run(function), (x.requires_grad_(), *stored))
    assert torch.autograd.gradgradcheck(run("energy"), (x, *stored), atol=1e-4, rtol=1e-4)


class _Call(torch.nn.Module):
    """A method of a contact as a module's forward."""

    def __init__(self, contact: BarrierContact, name: str) -> None:
        super().__init__()
        self.contact, self.function = contact, name

    def forward(self, x: Tensor) -> Tensor:
        return self.contact.energy(x) if self.function == "energy" else forces_of(self.contact, x)


def test_energy_gradient_and_hessian_are_those_of_ipctk():
    mesh = body()
    normal = torch.nn.functional.normalize(torch.tensor([0.1, -0.05, 1.0]), dim=0)
    point, x = torch.tensor([0.0, 0.0, -0.05]), deformed(mesh=mesh)
    contact = BarrierContact(
        mesh, HalfSpace(point, normal), stiffness=KAPPA, activation_distance=0.1, curve="squared"
    )
    other = ipctk.CollisionMesh.build_from_full_mesh(
        mesh.vertices.numpy(), surface_edges(mesh).numpy(), mesh.boundary.numpy()
    )
    other.planes = [ipctk.Hyperplane(normal.numpy(), point.numpy())]
    vertices = np.asfortranarray(other.vertices(x.numpy()))
    candidates, collisions = ipctk.Candidates(), ipctk.NormalCollisions()
    candidates.build(other, vertices, inflation_radius=0.1)
    collisions.use_area_weighting = True
    collisions.build(candidates, other, vertices, 0.1)
    assert len(collisions) == len(collisions.pv_collisions) >= 6
    potential = ipctk.BarrierPotential(0.1, KAPPA, use_physical_barrier=True)
    energy = potential(collisions, other, vertices)
    gradient = torch.as_tensor(other.to_full_dof(potential.gradient(collisions, other, vertices)))
    hessian = other.to_full_dof(potential.hessian(collisions, other, vertices)).toarray()
    assert float(contact.energy(x)) == pytest.approx(energy, rel=1e-11)
    forces = forces_of(contact, x).flatten()
    assert torch.allclose(forces, -gradient, rtol=0, atol=1e-11 * largest(forces))
    own = torch.zeros(len(x), 3, len(x), 3)
    k = contact.surface
    own[k, :, k, :] = contact.hessian_blocks(x)
    assert np.abs(own.reshape(hessian.shape).numpy() - hessian).max() < 1e-11 * np.abs(hessian).max()


def test_without_curvature_of_the_obstacle_a_force_is_pressure_times_area():
    contact, x = contact_with("half-space"), deformed()
    n = torch.nn.functional.normalize(contact.obstacle.normal, dim=0)
    gap = ((x - contact.obstacle.translation) @ n) / ACTIVATION
    inside = gap.clamp(max=1)
    pressure = KAPPA * (1 - inside) * (1 / inside - 1 - 2 * inside.log())
    expected = (contact.areas * pressure)[:, None] * n
    assert torch.allclose(forces_of(contact, x), expected, rtol=0, atol=1e-12 * largest(expected))


@pytest.mark.parametrize("element", ELEMENTS)
def test_every_element_presses_on_a_floor_with_its_area_times_the_pressure(element):
    mesh = box_mesh(cells=(2, 2, 2), element=element, origin=(0.0, 0.0, 0.04))
    contact = BarrierContact(mesh, HalfSpace(), stiffness=KAPPA, activation_distance=ACTIVATION)
    (slope,) = traced_barrier("linear").gradient([], [torch.tensor([0.5])])
    bottom = mesh.vertex_sets["z_min"]
    total = forces_of(contact, mesh.vertices)[:, 2].sum()
    assert float(total) == pytest.approx(float(-slope * KAPPA * contact.areas[bottom].sum()), rel=1e-12)
    assert (forces_of(contact, mesh.vertices)[bottom, 2] > 0).all()


def test_nothing_happens_beyond_the_activation_distance():
    mesh = box_mesh(cells=(2, 2, 2), origin=(0.0, 0.0, 0.0801))
    contact = BarrierContact(mesh, HalfSpace(), stiffness=KAPPA, activation_distance=ACTIVATION)
    assert (forces_of(contact, mesh.vertices) == 0).all()
    assert contact.energy(mesh.vertices) == 0
    state = contact.contact_state(mesh.vertices)
    assert all((part == 0).all() for part in state)


def test_vertices_inside_the_body_touch_nothing():
    mesh = box_mesh(cells=(2, 2, 2), size=(1.0, 1.0, 1.0))
    inner = int((mesh.vertices - 0.5).norm(dim=-1).argmin())
    contact = BarrierContact(
        mesh, Sphere(0.05, (0.5, 0.5, 0.5)), stiffness=KAPPA, activation_distance=ACTIVATION
    )
    assert contact.distances(mesh.vertices)[inner] == torch.inf
    assert (forces_of(contact, mesh.vertices) == 0).all()
    assert inner not in contact.surface


@every_obstacle
def test_a_batch_is_its_samples_one_by_one_for_parameters_too(name):
    contact, x = contact_with(name), deformed(3)
    kappas, places = torch.tensor([1.0, 2.0, 5.0])[:, None] * KAPPA, 5e-3 * torch.randn(3, 3)
    original = contact.obstacle.translation.detach().clone()
    contact.stiffness, contact.obstacle.translation = kappas, original + places
    together = (
        contact.energy(x),
        forces_of(contact, x),
        contact.hessian_blocks(x),
        *contact.contact_state(x),
    )
    for k in range(3):
        contact.stiffness, contact.obstacle.translation = kappas[k], original + places[k]
        alone = (
            contact.energy(x[k]), forces_of(contact, x[k]), contact.hessian_blocks(x[k]),
            *contact.contact_state(x[k]),
        )  # fmt: skip
        for a, b in zip(together, alone, strict=True):
            assert torch.allclose(a[k], b, rtol=0, atol=1e-13 * max(largest(b), 1e-300))


@every_obstacle
def test_the_contact_state_is_the_force_and_the_motion_of_the_surface(name):
    contact, x = contact_with(name), deformed(2)
    contact.obstacle.velocity, contact.obstacle.angular_velocity = (0.1, 0.2, 0.3), (1.0, -2.0, 0.5)
    state = contact.contact_state(x)
    forces = forces_of(contact, x)
    assert torch.allclose(
        state.normal_force[..., None] * state.normals, forces, rtol=0, atol=1e-13 * largest(forces)
    )
    touching = contact.distances(x) < ACTIVATION
    assert 0 < touching.sum() < touching.numel()
    assert (state.normal_force[touching] > 0).all()
    assert torch.allclose(state.normals.norm(dim=-1), touching.double(), rtol=0, atol=1e-14)
    expected = contact.obstacle.surface_velocities(x) * touching[..., None]
    assert torch.equal(state.velocities, expected)


def test_the_approach_is_how_fast_distances_shrink():
    contact, x, v = contact_with("sphere"), deformed(), torch.randn(36, 3)
    contact.obstacle.velocity = (0.3, -0.1, 0.4)
    h = 1e-6
    before = contact.distances(x)
    rate = contact.approach(State(x, v))
    contact.obstacle.translation = contact.obstacle.translation + h * contact.obstacle.velocity
    shrunk = (before - contact.distances(x + h * v)) / h
    on_surface = contact.surface
    assert torch.allclose(shrunk[on_surface], rate[on_surface], rtol=0, atol=1e-5)


def test_the_stiffness_of_a_vertex_is_that_along_its_normal():
    contact, x = contact_with("sphere"), deformed()
    normals, blocks = contact.contact_state(x).normals[contact.surface], contact.hessian_blocks(x)
    along = torch.einsum("ki,kij,kj->k", normals, blocks, normals)
    found = contact.vertex_stiffness(State.at_rest(x))[contact.surface]
    assert torch.allclose(found, along, rtol=0, atol=1e-12 * largest(along))
    # Pressed to a fifth of the activation distance, from the table.
    pressed = contact.vertex_stiffness(None)
    assert torch.allclose(pressed, contact.areas * KAPPA / ACTIVATION * 35.2189, rtol=1e-5)


def test_a_stiffness_can_be_found_that_stops_a_body_in_time():
    contact = contact_with("half-space")
    energy = 12.0
    kappa = contact.stiffness_to_stop(energy)
    assert kappa * ACTIVATION * 1.0300 == pytest.approx(energy, rel=1e-4)


def test_moves_of_a_search_keep_a_tenth_of_every_distance():
    contact, x = contact_with("sphere"), deformed(20)
    direction = torch.randn_like(x)
    part = contact.feasible_fraction(x, direction)
    assert (part > 0).all()
    assert (part < 1).any()
    after = contact.distances(x + part[:, None, None] * direction)
    assert (after >= 0.1 * contact.distances(x) - 1e-12).logical_or(contact.distances(x).isinf()).all()


def test_single_precision_keeps_six_digits_of_the_gap():
    contact, x = contact_with("cylinder"), deformed()
    exact = forces_of(contact, x)
    found = forces_of(contact.float(), x.float())
    assert found.dtype == torch.float32
    # A rounding of a position of 1 m is 1e-6 of the activation distance, here times a stiffness of 50.
    assert torch.allclose(found.double(), exact, rtol=0, atol=1e-4 * largest(exact))


def test_a_copy_has_the_same_forces():
    contact, x = contact_with("box"), deformed()
    for other in (copy.deepcopy(contact), pickle.loads(pickle.dumps(contact))):
        assert torch.equal(forces_of(other, x), forces_of(contact, x))


def test_turning_body_and_obstacle_together_turns_the_forces():
    contact, x = contact_with("cylinder"), deformed()
    forces = forces_of(contact, x)
    R = rotation_matrix(torch.tensor([0.3, 1.1, -0.4]))
    about = contact.obstacle.translation.detach().clone()
    turned = rotation_matrix(contact.obstacle.rotation)
    contact.obstacle.rotation = rotation_vector(R @ turned)
    found = forces_of(contact, (x - about) @ R.mT + about)
    assert torch.allclose(found, forces @ R.mT, rtol=0, atol=1e-11 * largest(forces))


def test_quantities_of_several_samples_may_be_given_to_the_constructor():
    mesh = box_mesh(cells=(2, 2, 2))
    radii = torch.tensor([[0.2], [0.3]])
    contact = build(Sphere(radii, (0.5, 0.5, -0.305)), mesh, stiffness=torch.tensor([[1e4], [2e4]]))
    positions = mesh.vertices.expand(2, -1, -1)
    forces = contact(State.at_rest(positions))
    assert (forces[0] == 0).all()
    assert (forces[1] != 0).any()
    with pytest.raises(ValueError, match="the body is inside an obstacle"):
        build(Sphere(radii, (0.5, 0.5, -0.295)), mesh)


def floor(height: float, normal: float = 1.0) -> Obstacle:
    return HalfSpace((0.0, 0.0, height), (0.0, 0.0, normal))


def build(obstacle: Obstacle, mesh: Mesh | None = None, **options) -> BarrierContact:
    mesh = mesh or box_mesh(cells=(2, 2, 2))
    return BarrierContact(mesh, obstacle, **({"stiffness": 1e4, "activation_distance": 0.01} | options))


def test_a_body_that_starts_inside_is_refused_with_vertices_and_depth():
    with pytest.raises(
        ValueError, match=r"inside an obstacle; vertices \[0, 3, 6, 9, 12\] and 4 more, distance -0.1 m"
    ):
        build(floor(0.1))


def test_a_body_that_touches_exactly_is_advised_to_leave_a_gap():
    with pytest.raises(ValueError, match=r"touches .* exactly; vertices .* distance 0 m.* apart by 0.01 m"):
        build(floor(0.0))
    build(floor(-0.01))


def test_a_body_that_is_inside_altogether_asks_for_the_normal():
    with pytest.raises(ValueError, match=r"whole body is inside an obstacle; .* distance -1 m.*normal"):
        build(floor(-0.0, -1.0))


def test_another_start_than_the_rest_shape_is_checked_in_its_place():
    start = box_mesh(cells=(2, 2, 2)).vertices + torch.tensor([0.0, 0.0, 0.5])
    build(floor(0.1), start=start)
    with pytest.raises(ValueError, match=r"distance -0\.1 m"):
        build(floor(0.1), start=torch.stack([start, start - 0.5]))


@pytest.mark.parametrize("value", [0.3, 1.0, 1e-13])
def test_an_activation_distance_of_another_scale_is_refused_with_those_that_fit(value):
    with pytest.raises(ValueError, match=r"activation_distance must be more than 2.2e-13 m.* at most 0.25 m"):
        build(floor(-0.1), activation_distance=value)


def test_in_single_precision_the_activation_distance_must_be_larger():
    torch.set_default_dtype(torch.float32)
    with pytest.raises(ValueError, match=r"more than 0.00012 m, which positions in torch.float32"):
        build(floor(-0.1), activation_distance=1e-4)


def test_an_unknown_curve_is_refused():
    with pytest.raises(ValueError, match="curve must be one of"):
        build(floor(-0.1), curve="cubic")


@pytest.mark.parametrize("value", [0.0, -1.0, math.nan])
def test_an_activation_distance_is_a_positive_number_when_made_and_when_assigned(value):
    contact = BarrierContact(
        box_mesh(cells=(1, 1, 1), origin=(0.0, 0.0, 0.1)),
        HalfSpace(),
        stiffness=1.0,
        activation_distance=0.01,
    )
    with pytest.raises((TypeError, ValueError), match="activation_distance must be a positive"):
        contact.activation_distance = value
    with pytest.raises((TypeError, ValueError), match="activation_distance must be a positive"):
        BarrierContact(box_mesh(cells=(1, 1, 1)), HalfSpace(), stiffness=1.0, activation_distance=value)


SMALL = {
    "sphere": lambda: Sphere(0.04, PLACE),
    "box": lambda: Box((0.08, 0.2, 0.08), PLACE),
    "capsule": lambda: Capsule(0.04, 0.2, PLACE),
    "cylinder": lambda: Cylinder(0.04, 0.2, PLACE),
}
LARGE = {
    "half-space": lambda: HalfSpace(PLACE),
    "sphere": lambda: Sphere(0.05, PLACE),
    "plate": lambda: Box((0.2, 0.2, 0.01), PLACE),
    "disc": lambda: Cylinder(0.1, 0.01, PLACE),
}
PLACE = (0.0, 0.0, -0.5)


def before(obstacle: Obstacle) -> BarrierContact:
    """Cubes of 0.0625 m, whose faces have diagonals of 0.0884 m."""
    mesh = box_mesh(cells=(2, 1, 1), size=(0.125, 0.0625, 0.0625), element="hex8")
    return BarrierContact(mesh, obstacle, stiffness=KAPPA, activation_distance=1e-3)


@pytest.mark.parametrize("name", SMALL)
def test_an_obstacle_that_passes_between_vertices_is_warned_of(name):
    with pytest.warns(ImplausibleWarning, match=r"0\.08 m wide, .* up to 0\.0884 m apart"):
        before(SMALL[name]())


@pytest.mark.parametrize("name", LARGE)
def test_an_obstacle_that_vertices_stop_is_not_warned_of(name):
    before(LARGE[name]())
