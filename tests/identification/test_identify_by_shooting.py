"""Multiple shooting: the truth from where a single rollout ends in a wrong local minimum."""

from contextlib import suppress

import pytest
import torch
from support.observed import E
from support.vibrations import TRUE_E, cube, recording, sensors, struck, vibration

from simlayer import ConvergenceError, ObservationError, Policy, RolloutModule
from simlayer.identification import identify, identify_by_shooting

pytestmark = pytest.mark.usefixtures("float64")
STEPS = 240


def fit(how, modulus, unknowns=("youngs_modulus",), *, num_steps=STEPS, noise=1e-4, **options):
    times, points = recording(num_steps=num_steps, noise=noise)
    rollout = vibration(modulus, num_steps=num_steps)
    return how(rollout, points, unknowns, state=struck(), observe=sensors(), times=times, **options)


def test_a_modulus_that_is_wrong_by_a_third_is_found_by_windows_and_not_by_a_single_rollout():
    found = fit(identify_by_shooting, 0.67 * TRUE_E, windows=8, modes=4)
    error = found.standard_errors[E]
    assert error < 2e-4 * TRUE_E
    # Three standard errors.
    assert found.values[E] == pytest.approx(TRUE_E, abs=3 * error)
    # It is the minimum of a single rollout: both stop within a tenth of a standard error.
    again = fit(identify, TRUE_E)
    assert found.values[E] == pytest.approx(again.values[E], abs=0.2 * error)
    assert error == pytest.approx(again.standard_errors[E], rel=1e-2)
    # That one ends in another minimum, or is still on its way there.
    times, points = recording(num_steps=STEPS)
    rollout = vibration(0.67 * TRUE_E, num_steps=STEPS)
    with suppress(ConvergenceError):
        identify(
            rollout, points, "youngs_modulus", state=struck(), observe=sensors(), times=times, max_steps=12
        )
    alone = float(rollout.step.forces["elastic"].material.youngs_modulus)
    assert 0.5 < alone / TRUE_E < 0.9


def test_several_unknowns_and_all_modes_are_found_too():
    names = ["youngs_modulus", "damping.coefficient"]
    found = fit(identify_by_shooting, 0.8 * TRUE_E, names, num_steps=160, windows=5)
    for name, value in found.values.items():
        truth = TRUE_E if name == E else 0.1
        assert value == pytest.approx(truth, abs=3 * found.standard_errors[name])


def test_a_recording_with_gaps_and_a_clock_of_its_own_is_fitted():
    times, points = recording(num_steps=160)
    points[15:25] = torch.nan
    rollout = vibration(0.7 * TRUE_E, num_steps=160)
    found = identify_by_shooting(
        rollout, points, "youngs_modulus", state=struck(), observe=sensors(), times=times + 5.0,
        release_time=5.0, windows=5, modes=4,
    )  # fmt: skip
    assert found.values[E] == pytest.approx(TRUE_E, abs=3 * found.standard_errors[E])


class Steady(Policy):
    def forward(self, state):
        return {"gravity": torch.zeros(3)}


def test_what_cannot_be_cut_into_windows_is_refused():
    with pytest.raises(ValueError, match="unknowns must not name 'release_time'"):
        fit(identify_by_shooting, TRUE_E, ["release_time"], windows=4)
    with pytest.raises(ValueError, match="windows must be an int, at least 2 and at most 240, got 1"):
        fit(identify_by_shooting, TRUE_E, windows=1)
    with pytest.raises(ValueError, match="modes must be at most 12"):
        fit(identify_by_shooting, TRUE_E, windows=4, modes=20)
    times, points = recording(num_steps=8)
    given = {"state": struck(), "observe": sensors(), "times": times, "windows": 2}
    with pytest.raises(ObservationError, match="data must be of one recording"):
        identify_by_shooting(vibration(num_steps=8), points[None], "youngs_modulus", **given)
    rollout = RolloutModule(vibration().step, 8, policy=Steady())
    with pytest.raises(ValueError, match="rollout must have no policy"):
        identify_by_shooting(rollout, points, "youngs_modulus", **given)
    rollout = vibration(num_steps=8)
    rollout.step.prescribed_velocities = torch.ones(len(cube().vertices), 3)
    with pytest.raises(ValueError, match="prescribed_velocities must be zero"):
        identify_by_shooting(rollout, points, "youngs_modulus", **given)


def test_a_round_that_takes_too_long_says_what_to_do():
    with pytest.raises(ConvergenceError, match="Take shorter windows"):
        fit(identify_by_shooting, 0.3 * TRUE_E, windows=8, max_steps=1)
