"""Springs between points of bodies and space."""

import pytest
import torch

from simlayer import BackwardEuler, MassDamping, RolloutModule, Spring, State, box_mesh

pytestmark = pytest.mark.usefixtures("float64")


def test_it_pulls_when_it_is_long_and_pushes_when_it_is_short():
    mesh = box_mesh(cells=(1, 1, 1))
    ends = [(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)]
    spring = Spring(mesh, ends, stiffness=10.0)
    for factor in (0.5, 1.0, 2.0):
        x = factor * mesh.vertices
        stretch = (factor - 1) * 3**0.5
        assert spring.pull(x).item() == pytest.approx(10 * stretch, abs=1e-13)
        assert spring.energy(x).item() == pytest.approx(5 * stretch**2, abs=1e-13)


def test_a_body_that_hangs_by_a_spring_comes_to_rest_where_it_bears_the_weight():
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    # Every corner by one of its own, so that nothing else is needed to hold it.
    forces = {
        f"spring{k}": Spring(
            mesh, [x.tolist(), (x + torch.tensor([0, 0, 0.2])).tolist()], stiffness=20.0, anchors=[1]
        )
        for k, x in enumerate(mesh.vertices)
    }
    step = BackwardEuler(
        mesh, forces, dt=0.02, gravity=(0, 0, -9.81), dissipation={"damping": MassDamping(5.0)}
    )
    end = RolloutModule(step, 200, compile=False)(State.at_rest(mesh.vertices)).positions
    sag = 9.81 * step.vertex_masses / 20.0
    assert torch.allclose(end[:, 2], mesh.vertices[:, 2] - sag, rtol=0, atol=1e-6)


def test_a_spring_of_another_length_changes_by_it():
    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match="rest_length must be positive, got 0"):
        Spring(mesh, [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)], stiffness=1.0, rest_length=0.0)
    assert Spring(mesh, [(0.0, 0.0, 0.0), (1.0, 0.0, 0.0)], stiffness=1.0).rest_length.item() == 1.0
