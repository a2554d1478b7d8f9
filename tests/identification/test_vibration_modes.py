"""Modal coordinates: modes of the stiffness of the forces, and states by their amplitudes."""

import math

import pytest
import torch
from support.vibrations import DT, cube, vibration

from simlayer import (
    ElasticForce,
    LinearElastic,
    NodalLoad,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification.vibration_modes import modal_coordinates

pytestmark = pytest.mark.usefixtures("float64")


def coordinates(count=None, *, slowest=0.1, step=None):
    step = vibration().step if step is None else step
    return modal_coordinates(step, step.rest_positions.detach(), count, slowest=slowest), step


def test_a_mode_meets_a_force_that_is_its_inertia():
    found, step = coordinates()
    assert len(found.shapes) == 12
    mass = step.vertex_masses[:, None]
    for shape, frequency in zip(found.shapes, found.frequencies, strict=True):
        force = step.forces["elastic"](State.at_rest(found.rest + shape)) * step.free
        torch.testing.assert_close(-force, frequency**2 * mass * shape, rtol=1e-8, atol=1e-8)
        # The square of the displacement, averaged over the mass that may move.
        share = (mass * shape.square()).sum() / (mass * step.free).sum() * 3
        assert float(share) == pytest.approx(1.0)
    assert bool((found.frequencies.diff() >= 0).all())


def test_amplitudes_of_a_state_are_those_that_it_was_made_of():
    found, _ = coordinates(5)
    amplitudes = torch.randn(3, 10)
    torch.testing.assert_close(found.amplitudes(found.state(amplitudes)), amplitudes)


def test_all_modes_make_up_every_state():
    found, step = coordinates()
    state = State(found.rest + 0.01 * torch.randn(8, 3) * step.free, torch.randn(8, 3) * step.free)
    again = found.state(found.amplitudes(state))
    torch.testing.assert_close(again.positions, state.positions)
    torch.testing.assert_close(again.velocities, state.velocities)


def test_amplitudes_of_a_free_vibration_go_round_a_circle():
    found, step = coordinates(2)
    rollout = RolloutModule(step, 4000, compile=False)
    step.dt, step.dissipation["damping"].coefficient = DT / 100, 1e-9
    amplitudes = torch.tensor([0.0, 1e-3, 0.0, 0.0])
    (end,) = found.amplitudes(rollout(found.state(amplitudes)))[None]
    angle = float(found.frequencies[1]) * 4000 * step.dt
    # The scheme's frequency is off by (w h)^2 / 24, and its amplitude by w h / 2.
    expected = 1e-3 * torch.tensor([0.0, math.cos(angle), 0.0, -math.sin(angle)])
    torch.testing.assert_close(end, expected, rtol=0, atol=5e-6)


def test_the_lowest_modes_of_a_larger_body_are_those_of_all():
    mesh = box_mesh(cells=(10, 5, 5), size=(0.5, 0.1, 0.1))
    force = ElasticForce(mesh, LinearElastic(1e5, 0.3))
    step = SymplecticEuler(mesh, {"elastic": force}, dt=1e-4, fixed="x_min")
    (few, _), count = coordinates(3, step=step), int(step.free.sum())
    assert count > 600, "the modes should be looked for iteratively"
    for shape, frequency in zip(few.shapes, few.frequencies, strict=True):
        force = step.forces["elastic"](State.at_rest(few.rest + 1e-2 * shape)) * step.free
        inertia = 1e-2 * frequency**2 * step.vertex_masses[:, None] * shape
        torch.testing.assert_close(-force, inertia, rtol=0, atol=1e-7 * float(inertia.abs().max()))
    with pytest.raises(ValueError, match=f"modes must be given for a body of {count} free components"):
        coordinates(None, step=step)


def test_motions_without_stiffness_have_the_slowest_frequency():
    mesh = cube()
    step = SymplecticEuler(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e4, 0.3))}, dt=1e-3)
    found, _ = coordinates(7, slowest=0.5, step=step)
    assert found.frequencies[:6].tolist() == [0.5] * 6
    assert float(found.frequencies[6]) > 1.0


def test_what_has_no_modes_is_refused():
    with pytest.raises(ValueError, match=r"modes must be at most 12, the free components .* got 13"):
        coordinates(13)
    load = {"load": NodalLoad(cube(), torch.ones(8, 3))}
    with pytest.raises(ValueError, match=r"forces must have one with elements, .* got \['load'\]"):
        coordinates(2, step=SymplecticEuler(cube(), load, dt=1e-3))
