import pytest
import torch
from support.meshes import hollow
from support.scenes import noise

from simlayer import (
    ElasticForce,
    LinearElastic,
    MeshError,
    Newmark,
    PointMass,
    State,
    SymplecticEuler,
    box_mesh,
    readouts,
)

pytestmark = pytest.mark.usefixtures("float64")


def step_of(mesh, kind=SymplecticEuler, **options):
    return kind(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}, dt=1e-5, **options)


@pytest.mark.parametrize("mass_matrix", ["lumped", "consistent"])
def test_a_rigid_motion_has_the_momenta_of_a_rigid_body(mass_matrix):
    mesh = box_mesh(cells=(2, 2, 2), size=(0.2, 0.4, 0.6), element="hex20")
    step = step_of(mesh, Newmark, density=500.0, mass_matrix=mass_matrix)
    centre, spin = torch.tensor([0.1, 0.2, 0.3]), torch.tensor([0.0, 0.0, 2.0])
    velocities = torch.linalg.cross(spin.expand_as(mesh.vertices), mesh.vertices - centre) + 1.0
    state = State(mesh.vertices, velocities)
    mass = 500 * 0.048
    torch.testing.assert_close(readouts.centre_of_mass(step, state), centre, rtol=1e-12, atol=0)
    torch.testing.assert_close(readouts.momentum(step, state), mass * torch.ones(3), rtol=1e-11, atol=0)
    found = readouts.angular_momentum(step, state, about=centre)
    exact = mass * (0.2**2 + 0.4**2) / 12 * 2.0
    if mass_matrix == "consistent":
        assert float(found[2]) == pytest.approx(exact, rel=1e-11)
    else:  # masses are lumped further out
        assert exact < float(found[2]) < 1.5 * exact


def test_a_mass_that_is_attached_counts():
    mesh = box_mesh(cells=(1, 1, 1), size=(1.0, 1.0, 1.0))
    corner = torch.tensor([int(mesh.vertices.sum(-1).argmax())])
    step = step_of(mesh, density=1.0, masses={"weight": PointMass(mesh, corner, mass=3.0)})
    centre = readouts.centre_of_mass(step, State.at_rest(mesh.vertices))
    torch.testing.assert_close(centre, torch.full((3,), (0.5 + 3.0) / 4), rtol=1e-12, atol=0)


def test_the_volume_of_a_body_follows_its_deformation():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element="hex20")
    state = State.at_rest(mesh.vertices * torch.tensor([1.5, 1.0, 2.0]))
    assert float(readouts.volume(step_of(mesh), state)) == pytest.approx(6e-3, rel=1e-12)


def test_the_volume_of_a_cavity_is_that_of_its_inner_surface():
    mesh = hollow("hex8", amount=0.0)
    step = step_of(mesh)
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    outer = ((mesh.vertices - low).abs() < 1e-9).any(-1) | ((mesh.vertices - high).abs() < 1e-9).any(-1)
    inner = ~outer
    frames = State.at_rest(torch.stack([mesh.vertices, 2 * mesh.vertices]))
    found = readouts.cavity_volume(step, frames, inner)
    whole = (high - low).prod() - readouts.volume(step, State.at_rest(mesh.vertices))
    torch.testing.assert_close(found, whole * torch.tensor([1.0, 8.0]), rtol=1e-11, atol=0)
    with pytest.raises(MeshError, match=r"closed|none"):
        readouts.cavity_volume(step, frames, inner & (noise(len(inner)) > 0))
    with pytest.raises(MeshError, match="enclose a cavity"):
        readouts.cavity_volume(step, frames, outer)
