"""The windows of multiple shooting: their residuals, gaps and derivatives."""

import pytest
import torch
from support.vibrations import TRUE_E, recording, sensors, struck, vibration

from simlayer.identification import IdentificationProblem
from simlayer.identification.shooting_windows import ShootingWindows
from simlayer.identification.vibration_modes import modal_coordinates

pytestmark = pytest.mark.usefixtures("float64")
STEPS = 50


def problem(modulus=TRUE_E, *, missing=False):
    times, points = recording(num_steps=STEPS, noise=0.0, every=3)
    if missing:
        points[2:4, 0] = torch.nan
    rollout = vibration(modulus, num_steps=STEPS)
    names = ["youngs_modulus", "damping.coefficient"]
    return IdentificationProblem(rollout, points, names, state=struck(), observe=sensors(), times=times)


def windows_of(fit, count=4, modes=3):
    rollout = fit.observed.rollout
    coordinates = modal_coordinates(rollout.step, struck().positions, modes, slowest=1.0)
    return ShootingWindows(fit.observed, fit.squares, fit.scenes, coordinates, count)


def test_windows_that_start_where_the_motion_is_have_its_residuals_and_no_gaps():
    fit = problem(0.9 * TRUE_E, missing=True)
    found = windows_of(fit, modes=None)
    whole = fit.observed.rollout.trajectory(struck(), every=found.rollout.num_steps)
    states = type(struck())(*(part[: found.count] for part in whole[:2]))
    starts = found.coordinates.amplitudes(states)
    equations = found.linearized(starts, weight=1e6)
    with torch.no_grad():
        residuals = fit.squares.residuals(fit.scenes)
    number = int(fit.squares.loss.present_points(fit.scenes.observed).sum())
    assert float(equations.number) == number == 2 * 16 - 2
    assert float(equations.loss) == pytest.approx(float(residuals.square().sum()) / number, rel=1e-9)


@pytest.mark.parametrize(("count", "expected"), [(2, 2), (4, 4), (7, 7), (50, 50), (26, 25)])
def test_a_recording_is_cut_into_windows_of_as_many_steps(count, expected):
    found = windows_of(problem(), count)
    assert found.count == expected
    assert found.count * found.rollout.num_steps >= STEPS
    assert (found.count - 1) * found.rollout.num_steps < STEPS
    assert bool((found.window.diff() >= 0).all())


def test_gradients_are_central_differences_of_the_loss():
    fit = problem(0.8 * TRUE_E, missing=True)
    found, weight = windows_of(fit), 3.0
    torch.manual_seed(0)
    starts = 3e-3 * torch.randn(found.count, 6)
    equations = found.linearized(starts, weight)
    for window in range(found.count):
        for k in (0, 2, 4):
            change = torch.zeros_like(starts)
            change[window, k] = 1e-5
            up, down = (found.linearized(starts + sign * change, weight).loss for sign in (1, -1))
            slope = float(up - down) / 2e-5
            # The first window starts in the known state.
            assert float(equations.gradients[window, k]) == pytest.approx(slope, rel=1e-6, abs=1e-9)
    for k, unknown in enumerate(fit.squares.unknowns):
        losses = []
        for sign in (1, -1):
            unknown.parameter.data += sign * 1e-5
            losses.append(float(found.linearized(starts, weight).loss))
            unknown.parameter.data -= sign * 1e-5
        slope = (losses[0] - losses[1]) / 2e-5
        assert float(equations.gradient[k]) == pytest.approx(slope, rel=1e-6, abs=1e-12)


def test_curvatures_are_those_of_a_jacobian_by_differences():
    fit = problem(0.8 * TRUE_E)
    found, weight = windows_of(fit, 3, 2), 3.0
    starts = 3e-3 * torch.linspace(-1, 1, 12).view(3, 4)

    def residuals():
        with torch.no_grad():
            points, ends = found._simulated(starts)
        return torch.cat([points.flatten(), weight**0.5 * (ends[:-1] - starts[1:]).flatten()])

    columns = []
    places = [unknown.parameter.data.view(-1) for unknown in fit.squares.unknowns]
    for part in (*places, *starts):
        for k in range(len(part)):
            part[k] += 1e-6
            up = residuals()
            part[k] -= 2e-6
            columns.append((up - residuals()) / 2e-6)
            part[k] += 1e-6
    J = torch.stack(columns, 1)
    H = 2 * J.mT @ J / found.linearized(starts, weight).number
    equations = found.linearized(starts, weight)
    close = {"rtol": 1e-5, "atol": 1e-9}
    torch.testing.assert_close(equations.curvature, H[:2, :2], **close)
    own = [slice(2 + 4 * k, 6 + 4 * k) for k in range(3)]
    for k in (1, 2):
        torch.testing.assert_close(equations.diagonal[k], H[own[k], own[k]], **close)
        torch.testing.assert_close(equations.shared[k], H[:2, own[k]], **close)
    torch.testing.assert_close(equations.beside[1], H[own[1], own[2]], **close)
    # What is known is coupled to nothing.
    assert not bool(equations.beside[0].any() or equations.shared[0].any() or H[own[0]].any())
