"""`check_gradients` finds right gradients right, and wrong ones wrong."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from simlayer import (
    ElasticForce,
    Force,
    MassDamping,
    Quantity,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    check_gradients,
)

LOG_E = "forces.elastic.material.log_youngs_modulus"


pytestmark = pytest.mark.usefixtures("float64")


class HalfHiddenPush(Force):
    """A push whose gradient is lost for half of the vertices: what a careless `detach` does."""

    push = Quantity("N", over="vertex vectors")

    def __init__(self, push: Tensor) -> None:
        super().__init__()
        self.push = push

    def forward(self, state: State) -> Tensor:
        first = torch.arange(state.positions.shape[-2])[:, None] % 2 == 0
        return torch.where(first, self.push, self.push.detach()).expand_as(state.positions)


def scene(**forces: Force) -> tuple[RolloutModule, State]:
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    elastic = ElasticForce(mesh, StableNeoHookean(torch.full((12,), 1e5), 0.4))
    step = SymplecticEuler(
        mesh, {"elastic": elastic, **forces}, dt=5e-4, dissipation={"damping": MassDamping(3.0)}
    )
    return RolloutModule(step, 5, compile=False), State(mesh.vertices, 0.1 * torch.randn_like(mesh.vertices))


def loss(final: State) -> Tensor:
    return final.positions.square().mean()


def test_gradients_of_a_scene_pass_and_print_as_a_table():
    rollout, state = scene()
    names = [LOG_E, "log_density", "dissipation.damping.log_coefficient", "positions", "velocities"]
    report = check_gradients(rollout, state, loss, names)
    assert report.passed
    assert [check.name for check in report.checks] == names
    assert all(check.relative_error < 1e-6 for check in report.checks)
    assert all(name in str(report) for name in names)
    assert "WRONG" not in str(report)


def test_a_gradient_that_misses_half_of_its_entries_is_found_wrong():
    rollout, state = scene(push=HalfHiddenPush(0.1 * torch.randn(12, 3)))
    report = check_gradients(rollout, state, loss, ["forces.push.push", LOG_E])
    assert [check.passed for check in report.checks] == [False, True]
    assert not report.passed
    assert "WRONG" in str(report)


def test_quantities_given_for_the_call_are_checked_where_they_are_given():
    rollout, state = scene()
    log_E = torch.tensor([[11.0], [12.0]])
    gravity = torch.randn(5, 3)
    report = check_gradients(
        rollout, state, loss, [LOG_E, "gravity"], parameters={LOG_E: log_E}, controls={"gravity": gravity}
    )
    assert report.passed
    assert [check.size for check in report.checks] == [2, 15]


def test_a_quantity_without_influence_counts_as_right():
    rollout, state = scene()
    report = check_gradients(rollout, state, lambda final: final.velocities.sum() * 0 + 1, LOG_E)
    assert report.passed


def test_an_unknown_name_suggests_the_nearest():
    rollout, state = scene()
    with pytest.raises(KeyError, match="log_density"):
        check_gradients(rollout, state, loss, "log_densty")
