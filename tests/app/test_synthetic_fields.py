"""Hidden fields: an inclusion is where it was put, on every mesh of the body."""

import math

import pytest
import torch

from simlayer import box_mesh
from simlayer.app.synthetic_fields import inclusion
from simlayer.mesh.refinement import refine

pytestmark = pytest.mark.usefixtures("float64")
BALL = {"inside": 4e5, "outside": 1e5, "center": [0.5, 0.5, 0.5], "radius": 0.3}


def test_a_cell_is_inside_if_its_middle_is():
    mesh = box_mesh(cells=(3, 3, 3))
    field = inclusion(mesh, **BALL)
    middles = mesh.vertices[mesh.cells].mean(1)
    inside = (middles - 0.5).square().sum(1) < 0.09
    assert inside.any()
    assert torch.equal(field, torch.where(inside, 4e5, 1e5))


def test_its_volume_is_that_of_the_ball_the_closer_the_finer_the_mesh():
    mesh = box_mesh(cells=(4, 4, 4))
    errors = []
    for finer in (mesh, refine(mesh), refine(refine(mesh))):
        volume = float(finer.volumes[inclusion(finer, **BALL) == 4e5].sum())
        errors.append(abs(volume / (4 / 3 * math.pi * 0.3**3) - 1))
    assert errors[-1] < 0.02
    assert errors[-1] < errors[0]


@pytest.mark.parametrize(("radius", "count"), [(0.01, 0), (5.0, 48)])
def test_an_inclusion_of_no_cell_or_of_all_is_refused(radius, count):
    message = rf"the inclusion of radius {radius} m around .* contains {count} of the 48 cells"
    with pytest.raises(ValueError, match=message):
        inclusion(box_mesh(cells=(2, 2, 2)), inside=2, outside=1, center=[0.5, 0.5, 0.5], radius=radius)
