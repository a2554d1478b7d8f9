"""Norms of adjoints: how gradients grow or fade on their way back through a rollout."""

import math

import pytest
import torch
from support.scenes import beam, moving

from simlayer import (
    BackwardEuler,
    ElasticForce,
    MassDamping,
    Policy,
    Potential,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    adjoint_norms,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


def last(frames):
    return frames.positions[-1].square().sum() + frames.velocities[-1].square().sum()


def test_norms_are_those_of_gradients_by_the_states_on_the_way():
    rollout, start = RolloutModule(beam(), 6), moving()
    found = adjoint_norms(rollout, start, last, every=2)
    assert torch.equal(found.times, torch.arange(4) * 2 * rollout.step.dt)
    for index, frame in enumerate(range(0, 6, 2)):
        rollout.num_steps = frame or 1
        middle = rollout(start) if frame else start
        state = State(*(part.detach().requires_grad_() for part in middle[:2]))
        rollout.num_steps = 6 - frame
        end = rollout(state)
        loss = end.positions.square().sum() + end.velocities.square().sum()
        slopes = torch.autograd.grad(loss, state[:2])
        for norms, slope in zip((found.positions, found.velocities), slopes, strict=True):
            torch.testing.assert_close(norms[index], slope.square().sum((-1, -2)).sqrt())


class Repelling(Potential):
    """Pushes every vertex from where it was, so that small differences grow."""

    def energy(self, positions):
        return -0.5 * 4.0 * (positions - 0.1).square().sum((-1, -2))


def unstable(sign):
    """A body that falls apart at a rate of sqrt(4 N/m / mass), or whose motion is damped at 20 / s."""
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1.0, 0.3))} | (
        {"repelling": Repelling()} if sign > 0 else {}
    )
    damping = {} if sign > 0 else {"damping": MassDamping(20.0)}
    step = SymplecticEuler(mesh, forces, dt=1e-3, density=1e3, dissipation=damping)
    return RolloutModule(step, 400), mesh


def test_growth_is_the_rate_at_which_differences_grow():
    rollout, mesh = unstable(1)
    weights = rollout.step.vertex_masses
    rates = (4.0 / weights).sqrt()

    def moved(frames):
        return frames.positions[-1].sum()

    found = adjoint_norms(rollout, State.at_rest(mesh.vertices), moved, every=20)
    # Backward from the end dL/dx grows like cosh(r t), at a rate that tends to that of the lightest vertices.
    t = 0.4 - found.times
    expected = torch.cosh(rates * t[:, None]).square().sum(1).sqrt()
    torch.testing.assert_close(
        found.positions / found.positions[-1], expected / expected[-1], rtol=0.05, atol=0
    )
    assert 0.5 * float(rates.max()) < float(found.growth()) < float(rates.max())
    assert "grows by a factor of" in str(found)


def test_gradients_by_damped_velocities_fade():
    rollout, mesh = unstable(-1)
    masses = rollout.step.vertex_masses[:, None]  # elastic forces do not change the momentum

    def momentum(frames):
        return (masses * frames.velocities[-1]).sum()

    found = adjoint_norms(rollout, State.at_rest(mesh.vertices), momentum, every=40)
    ratio = float(found.velocities[0] / found.velocities[-1])
    assert ratio == pytest.approx(math.exp(-20 * 0.4), rel=0.05)


def test_the_horizon_ends_where_norms_leave_the_factor():
    rollout, mesh = unstable(1)
    found = adjoint_norms(
        rollout, State.at_rest(mesh.vertices), lambda frames: frames.positions[-1].sum(), every=10
    )
    reached = found.positions / found.positions[-1]
    factor = float(reached[20]) * 1.0001
    assert found.horizon(factor) == pytest.approx(0.4 - 0.2)
    assert found.horizon(1e9) == pytest.approx(0.4)


class Brake(Policy):
    def forward(self, state):
        return {"gravity": -state.velocities.mean(-2)}


@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_controls_samples_and_policies_are_those_of_the_rollout(kind):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
    force = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
    step = kind(mesh, {"elastic": force}, dt=2e-3, density=1e3, fixed="x_min")
    rollout = RolloutModule(step, 4, policy=Brake(interval=2))
    controls = {"youngs_modulus": torch.linspace(1e5, 2e5, 4)[:, None]}
    start = moving((2, 1, 1), 3)
    seen = []

    def loss(frames):
        seen.append(frames.positions.detach())
        return frames.positions[-1].square().sum()

    found = adjoint_norms(rollout, start, loss, controls=controls, every=2)
    assert found.positions.shape == (3, 3)
    expected = rollout.trajectory(start, controls=controls, every=2).positions
    torch.testing.assert_close(seen[0], expected)


def test_a_loss_that_sees_no_frame_is_refused():
    rollout = RolloutModule(beam(), 4)
    with pytest.raises(ValueError, match="loss must depend on the frames"):
        adjoint_norms(rollout, moving(), lambda frames: torch.zeros(()))
    with pytest.raises(TypeError, match="loss must map the frames to a number"):
        adjoint_norms(rollout, moving(), lambda frames: frames.positions)
    with pytest.raises(ValueError, match="every must divide the 4 steps"):
        adjoint_norms(rollout, moving(), last, every=3)
