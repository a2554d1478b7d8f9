"""Actuators on selected vertices."""

import pytest
import torch
from support.meshes import hollow

from simlayer import MeshError, State, box_mesh
from simlayer.app.actuators import cavity_pressure, position_servo

pytestmark = pytest.mark.usefixtures("float64")


def test_a_cavity_is_found_by_the_tag_of_its_surface():
    mesh = hollow("tet4", 0.0)
    cavity = cavity_pressure(mesh, surface={"tag": "cavity", "box": None}, pressure=2e3)
    assert float(cavity.volume(mesh.vertices)) == pytest.approx(1 / 27, rel=1e-12)
    assert float(cavity.pressure) == pytest.approx(2e3, rel=1e-15)
    with pytest.raises(MeshError, match="no vertices tagged 'chamber'"):
        cavity_pressure(mesh, surface={"tag": "chamber"}, pressure=1.0)


def test_selected_vertices_are_pulled_by_stiffness_times_displacement():
    mesh = box_mesh(cells=(2, 2, 2))
    servo = position_servo(mesh, vertices={"tag": "x_max"}, stiffness=5.0, displacement=[0.1, 0, -0.2])
    forces, tip = servo(State.at_rest(mesh.vertices)), mesh.vertices[:, 0] == 1
    torch.testing.assert_close(forces[tip], torch.tensor([0.5, 0.0, -1.0]).expand(9, 3), rtol=1e-13, atol=0)
    assert not forces[~tip].any()
