"""What is drawn beside a body in the pictures of a run."""

import torch

from simlayer import BarrierContact, ElasticForce, HalfSpace, LinearElastic, SymplecticEuler, box_mesh
from simlayer.app.surroundings import surroundings


def test_what_holds_a_body_and_what_it_may_touch_are_drawn():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    floor = HalfSpace((0.0, 0.0, -0.01))
    forces = {
        "elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3)),
        "contact": BarrierContact(mesh, floor, stiffness=1e4, activation_distance=1e-3),
    }
    found = surroundings(SymplecticEuler(mesh, forces, dt=1e-5, fixed="x_min"))
    assert found["obstacles"] == [floor]
    assert torch.equal(found["fixed"].all(-1).nonzero().flatten(), mesh.vertex_sets["x_min"])
    free = surroundings(SymplecticEuler(mesh, {"elastic": forces["elastic"]}, dt=1e-5))
    assert free == {"fixed": None, "obstacles": [], "view": None}


def test_a_body_that_sags_along_z_is_seen_from_the_side():
    mesh = box_mesh(cells=(4, 4, 1), size=(0.4, 0.4, 0.1))  # a plate, else seen from above
    forces = {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}
    heavy, other = (
        surroundings(SymplecticEuler(mesh, forces, dt=1e-5, gravity=gravity))["view"]
        for gravity in ((0.0, 0.0, -9.81), (9.81, 0.0, 0.0))
    )
    assert heavy.up[2] > 0.9
    assert other is None
