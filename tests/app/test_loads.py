"""Loads on chosen vertices."""

import pytest
import torch

from simlayer import MeshError, State, box_mesh
from simlayer.app.loads import nodal_load

pytestmark = pytest.mark.usefixtures("float64")


def test_a_load_is_spread_in_equal_parts_and_sums_to_its_total():
    mesh = box_mesh(cells=(2, 2, 2))
    load = nodal_load(mesh, vertices={"tag": "x_max", "box": None}, total=[0.9, 0, -1.8])
    forces = load(State.at_rest(mesh.vertices))
    tip = mesh.vertices[:, 0] == 1
    torch.testing.assert_close(forces[tip], torch.tensor([0.1, 0.0, -0.2]).expand(9, 3), rtol=1e-15, atol=0)
    assert not forces[~tip].any()


def test_a_load_on_no_vertex_is_refused():
    with pytest.raises(MeshError, match="no vertices tagged 'tip'"):
        nodal_load(box_mesh(cells=(1, 1, 1)), vertices={"tag": "tip"}, total=[0, 0, -1])
