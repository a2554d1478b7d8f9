"""What finer meshes and steps would change, by Richardson's extrapolation."""

import numpy as np
import pytest
import torch
from scipy.optimize import minimize_scalar

from simlayer import ElasticForce, LinearElastic, Newmark, RolloutModule, State, box_mesh
from simlayer.identification.discretization import Refinement, discretization_change
from simlayer.identification.least_squares import LeastSquares
from simlayer.identification.losses import PositionLoss
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.sensors import Markers
from simlayer.identification.unknowns import select_unknowns

SIDE, MODULUS, GRAVITY, DENSITY = 0.03, 1e5, 9.81, 1000.0
TIMES = 1e-3 * np.arange(1, 31)


def swing(dt):
    """A cell that swings up and down as a mass on a spring, seen every millisecond, and its initial state."""
    mesh = box_mesh(cells=(1, 1, 1), size=(SIDE,) * 3, element="hex8")
    forces = {"elastic": ElasticForce(mesh, LinearElastic(MODULUS, 0.0))}
    gravity = (0.0, 0.0, -GRAVITY)
    step = Newmark(mesh, forces, dt=dt, density=DENSITY, gravity=gravity, fixed="z_min")
    rollout = RolloutModule(step, round(float(TIMES[-1]) / dt))
    markers = Markers(mesh, torch.tensor([[0.0, 0.0, SIDE]]))
    observed = ObservedRollout(rollout, markers, torch.tensor(TIMES), frames=1)
    return observed, State.at_rest(mesh.vertices[None])


def squares(dt):
    observed, _ = swing(dt)
    return LeastSquares(
        observed, PositionLoss(), select_unknowns(observed.quantities_by_name(), ["youngs_modulus"])
    )


def seen(dt):
    """What steps of dt show themselves."""
    observed, start = swing(dt)
    with torch.no_grad():
        return ObservedScenes(*start[:2], observed(start))


def estimated(dt, order):
    """The change of the modulus that fits what steps of dt show, by steps twice as long."""
    scenes, fine = seen(dt), squares(dt)
    at = fine.linearized(scenes)
    difference = (at.residuals - squares(2 * dt).residuals(scenes)).detach()
    return float(discretization_change(fine, at, difference, scenes, Refinement(2.0, order)))


def frequency(modulus):
    """Half of the body's mass on the spring E A / L [rad/s]."""
    return np.sqrt(2 * modulus / DENSITY) / SIDE


@pytest.mark.usefixtures("float64")
def test_the_change_is_that_of_a_fit_without_steps():
    dt = 5e-4
    # Average acceleration has the phase 2 atan(w dt/2) per step.
    phase = 2 * np.arctan(frequency(MODULUS) * dt / 2) / dt
    sag = GRAVITY / frequency(MODULUS) ** 2 * (1 - np.cos(phase * TIMES))
    height = (SIDE - seen(dt).observed[0, :, 0, 2]).numpy()
    assert np.abs(height - sag).max() < 1e-9 * sag.max()

    def error(modulus):
        w = frequency(modulus)
        return np.square(GRAVITY / w**2 * (1 - np.cos(w * TIMES)) - sag).sum()

    exact = minimize_scalar(
        error, bounds=(0.9 * MODULUS, 1.1 * MODULUS), method="bounded", options={"xatol": 1e-3}
    )
    change = exact.x - MODULUS
    assert abs(change) > 0.005 * MODULUS
    # Richardson's extrapolation leaves errors of fourth order, (w dt)² = 6 % of the change.
    assert estimated(dt, order=2) == pytest.approx(change, rel=0.1)


@pytest.mark.usefixtures("float64")
def test_a_higher_order_leaves_less_of_the_difference():
    first, second = (estimated(1e-3, order=order) for order in (1, 2))
    assert first == pytest.approx(3 * second, rel=1e-12)


@pytest.mark.usefixtures("float64")
def test_equal_discretizations_change_nothing():
    scenes, fine = seen(1e-3), squares(1e-3)
    at = fine.linearized(scenes)
    change = discretization_change(fine, at, torch.zeros_like(at.residuals), scenes, Refinement(2.0, 1))
    assert change.tolist() == [0.0]


@pytest.mark.parametrize(
    ("ratio", "order", "name"), [(1.0, 2, "ratio"), (2.0, 0.0, "order"), (float("nan"), 1, "ratio")]
)
def test_a_refinement_that_is_none_is_refused(ratio, order, name):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Refinement(ratio, order)
