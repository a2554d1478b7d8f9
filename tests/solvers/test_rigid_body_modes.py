"""Motions of a whole body that nothing resists."""

import pytest
import torch

from simlayer import (
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    Mesh,
    Potential,
    StableNeoHookean,
    State,
    box_mesh,
)
from simlayer.solvers.rigid_body_modes import rigid_motions

pytestmark = pytest.mark.usefixtures("float64_throughout")

ALL = ["translation along x", "translation along y", "translation along z"]
ALL += ["rotation about x", "rotation about y", "rotation about z"]


@pytest.fixture(scope="module")
def body(float64_throughout):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03))
    return mesh, ElasticForce(mesh, StableNeoHookean(2e4, 0.4))


class Bed(Potential):
    """Springs in z below every vertex."""

    def energy(self, positions):
        return 0.5 * positions[..., 2].square().sum(-1)


def settled(body, **options):
    mesh, elastic = body
    forces = {"elastic": elastic} | options.pop("forces", {})
    return Equilibrium(mesh, forces, gravity=(0.0, 0.0, -9.81), **options)(State.at_rest(mesh.vertices))


def told(body, **options):
    with pytest.raises(ConvergenceError, match="nothing resists a rigid motion of the body: ") as error:
        settled(body, **options)
    return [name for name in ALL if name in str(error.value)]


def test_rigid_motions_do_no_work_and_are_of_unit_length(body):
    mesh, elastic = body
    motions = rigid_motions(mesh.vertices)
    torch.testing.assert_close(motions.flatten(1).norm(dim=1), torch.ones(6))
    for motion in motions:
        force = elastic.hessian_product(mesh.vertices, motion)
        # Stiffness of a vertex is 1e3 N/m.
        assert float(force.abs().max()) < 1e-11 * 1e3


def test_a_body_that_is_not_held_can_do_everything(body):
    assert told(body) == ALL


def test_a_hinged_body_turns_about_its_hinge(body):
    vertices = body[0].vertices
    hinge = (vertices[:, 0] < 1e-9) & (vertices[:, 2] < 1e-9)
    # About an axis along y beside the centre: it moves the centre as well.
    assert told(body, fixed=hinge) == ["translation along x", "translation along z", "rotation about y"]


def test_a_body_on_rollers_slides_and_turns(body):
    vertices = body[0].vertices
    rollers = torch.zeros(len(vertices), 3, dtype=torch.bool)
    rollers[:, 2] = vertices[:, 2] < 1e-9
    assert told(body, fixed=rollers) == ["translation along x", "translation along y", "rotation about z"]


def test_a_potential_that_resists_counts(body):
    slides = ["translation along x", "translation along y", "rotation about z"]
    assert told(body, forces={"bed": Bed()}) == slides


def test_three_held_corners_are_enough(body):
    vertices = body[0].vertices
    corners = (vertices[:, 0] < 1e-9) & (vertices[:, 1:].sum(1) < 0.04)
    assert int(corners.sum()) == 3
    assert bool(settled(body, fixed=corners).positions.isfinite().all())


def test_the_first_sample_that_can_move_is_told_of(body):
    mesh, elastic = body
    step = Equilibrium(mesh, {"elastic": elastic}, gravity=torch.zeros(2, 3))
    with pytest.raises(ConvergenceError, match="translation along x"):
        step(State.at_rest(mesh.vertices.expand(2, -1, -1)))


def test_the_piece_that_nothing_holds_is_named(body):
    mesh, _ = body
    count = len(mesh.vertices)
    vertices = torch.cat([mesh.vertices, mesh.vertices + torch.tensor([0.06, 0.0, 0.0])])
    both = Mesh(vertices, torch.cat([mesh.cells, mesh.cells + count]))
    elastic = ElasticForce(both, StableNeoHookean(2e4, 0.4))
    clamped = vertices[:, 0] < 1e-9
    with pytest.raises(
        ConvergenceError, match=r"the piece with vertices \[12, 13, 14, 15, 16\] and 7 more: "
    ) as error:
        settled((both, elastic), fixed=clamped)
    assert all(name in str(error.value) for name in ALL)
    clamped[count:] = vertices[count:, 0] > 0.12 - 1e-9
    assert bool(settled((both, elastic), fixed=clamped).positions.isfinite().all())
