"""Materials with a network inside: their weights are learned through the rollout like any quantity."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from simlayer import (
    ElasticForce,
    Material,
    Matrix3,
    Potential,
    Quantity,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


class Learned(Material):
    """A known material and a small network's correction to it, in invariants."""

    stiffness = Quantity("Pa", over="cells", positive=True)

    def __init__(self, stiffness: float | Tensor) -> None:
        super().__init__()
        self.stiffness = stiffness
        self.network = nn.Sequential(nn.Linear(2, 8), nn.Softplus(), nn.Linear(8, 1, bias=False))

    def energy_density(self, F: Matrix3) -> Tensor:
        first, volume = F.inner(F) - 3, F.det() - 1
        correction = self.network(torch.stack([first, volume])).squeeze()
        return self.stiffness * (0.5 * first - volume + 3 * volume * volume + 0.05 * correction)


class InPlaceSprings(Potential):
    """Springs between neighbours in the order of vertices, summed in place, as users may write it."""

    stiffness = Quantity("N/m", positive=True)

    def __init__(self, stiffness: float) -> None:
        super().__init__()
        self.stiffness = stiffness

    def energy(self, positions: Tensor) -> Tensor:
        total = positions.new_zeros(positions.shape[:-2])
        total += (positions[..., 1:, :] - positions[..., :-1, :]).square().sum((-1, -2))
        total *= 0.5
        return self.stiffness.squeeze(-1) * total if self.stiffness.ndim else self.stiffness * total


def beam(
    material: Material, *, compile: bool | str, batch: tuple[int, ...] = ()
) -> tuple[RolloutModule, State]:
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    forces = {"elastic": ElasticForce(mesh, material), "springs": InPlaceSprings(0.5)}
    step = SymplecticEuler(mesh, forces, dt=5e-4, fixed=mesh.vertices[:, 0] < 1e-9)
    velocities = 0.1 * torch.randn(*batch, *mesh.vertices.shape)
    return RolloutModule(step, 8, compile=compile, checkpoint=3), State(
        mesh.vertices.expand_as(velocities), velocities
    )


# Every option once with the compiler and once without, but not all of their combinations.
@pytest.mark.parametrize(
    ("compile", "batch", "per_cell"),
    [(False, (), False), (False, (2,), True), ("eager", (), True), ("eager", (2,), False)],
)
def test_weights_of_a_material_have_the_gradient_of_central_differences(compile, batch, per_cell):
    material = Learned(torch.full((12,), 1e4) if per_cell else 1e4)
    rollout, state = beam(material, compile=compile, batch=batch)
    check_slopes(rollout, state, [*material.parameters(), *rollout.step.forces["springs"].parameters()])


@pytest.mark.parametrize("compile", [False, "eager"])
def test_weights_in_two_places_have_the_gradient_of_both(compile):
    material = Learned(1e4)
    first, last = nn.Linear(2, 2, bias=False), nn.Linear(2, 2, bias=False)
    last.weight = first.weight
    material.network = nn.Sequential(first, nn.Softplus(), last, nn.Softplus(), nn.Linear(2, 1))
    rollout, state = beam(material, compile=compile)
    check_slopes(rollout, state, [first.weight])


def check_slopes(rollout: RolloutModule, state: State, parameters: list[nn.Parameter]) -> None:
    """Compare gradients with differences along a random direction of each parameter."""
    rollout.requires_grad_(True)

    def loss() -> Tensor:
        return (rollout(state).positions - state.positions).square().sum() * 1e4

    loss().backward()
    for parameter in parameters:
        direction = torch.randn_like(parameter)
        slope = float((parameter.grad * direction).sum())
        with torch.no_grad():
            step = 1e-4
            parameter += step * direction
            above = float(loss())
            parameter -= 2 * step * direction
            below = float(loss())
            parameter += step * direction
        # Second-order differences of a smooth loss at 1e-4: truncation some 1e-8 of the slope.
        assert (above - below) / (2 * step) == pytest.approx(slope, rel=1e-5, abs=1e-11)


def test_compiled_gradients_of_a_learned_material_equal_eager_ones():
    gradients = []
    for compile in (False, "eager"):
        torch.manual_seed(1)
        rollout, state = beam(Learned(1e4), compile=compile, batch=(3,))
        rollout.requires_grad_(True)
        rollout(state).positions.square().sum().backward()
        gradients.append([parameter.grad for parameter in rollout.parameters()])
    for eager, compiled in zip(*gradients, strict=True):
        torch.testing.assert_close(compiled, eager, rtol=1e-10, atol=1e-14)


def test_weights_may_be_supplied_for_one_call():
    material = Learned(1e4)
    rollout, state = beam(material, compile=False)
    name = "forces.elastic.material.network.0.weight"
    other = torch.randn_like(material.network[0].weight, requires_grad=True)
    supplied = rollout(state, {name: other}).positions
    supplied.sum().backward()
    assert material.network[0].weight.grad is None
    assert float(other.grad.abs().sum()) > 0
    with torch.no_grad():
        material.network[0].weight.copy_(other)
    assert torch.equal(rollout(state).positions, supplied)
