"""Fits of many specimens in one batch: each is what its fit alone would be, and none stops the others."""

import math

import numpy as np
import pytest
import torch
from support.observed import DAMPING, DT, NU, E
from support.scenes import beam, free_box, moving, noise

from simlayer import Equilibrium, RolloutModule, State
from simlayer.errors import ConvergenceError, ObservationError, SimulationError
from simlayer.identification.identify import IdentificationProblem, identify
from simlayer.identification.identify_specimens import identify_specimens
from simlayer.identification.initial_state import InitialState
from simlayer.identification.measured_values import format_measured
from simlayer.identification.sensors import Vertices

pytestmark = pytest.mark.usefixtures("float64")
STEPS, EVERY, ERRORS = 8, 2, 1e-5
TIMES = [DT * k for k in range(EVERY, STEPS + 1, EVERY)]
FIXED, TIP = 0, 3  # a clamped vertex, and one at the tip


def ringing(**options):
    """A clamped beam in motion, that of all specimens."""
    return RolloutModule(beam(dt=DT, substeps=1), STEPS, **{"compile": False, **options})


def column(*values):
    """One value per specimen."""
    return torch.tensor(values)[:, None]


def seen(rollout, state, truth):
    """What is observed of specimens with these values, with errors."""
    with torch.no_grad():
        points = rollout.trajectory(state, truth, every=EVERY).positions[1:].movedim(0, 1)
    return points + ERRORS * noise(*points.shape, seed=7)


def fit(rollout, data, unknowns, state, **options):
    return identify_specimens(
        rollout, data, unknowns, state=state, **{"observe": Vertices(), "times": TIMES, **options}
    )


def fit_alone(rollout, data, unknowns, state, index, **options):
    own = State(*(part[index] for part in state[:2])) if state.positions.ndim == 3 else state
    return identify(
        rollout, data[index], unknowns, state=own, **{"observe": Vertices(), "times": TIMES, **options}
    )


def assert_as_alone(found, alone, index, *, within=1e-6):
    for name, value in alone.values.items():
        assert float(found.values[name][index]) == pytest.approx(value, rel=within)
        error = alone.standard_errors[name]
        assert float(found.standard_errors[name][index]) == pytest.approx(error, rel=within)
    torch.testing.assert_close(found.correlation[index], alone.uncertainty.correlation, rtol=0, atol=within)
    assert found[index].undetermined == alone.undetermined
    assert int(found.steps[index]) == alone.steps


def test_values_and_errors_of_specimens_are_those_of_fits_of_each_alone():
    """Of eight specimens that start from other guesses and states, with known densities of their own."""
    truth = {
        E: column(0.6e5, 0.8e5, 0.9e5, 1.0e5, 1.1e5, 1.2e5, 1.4e5, 1.6e5),
        NU: column(0.30, 0.42, 0.35, 0.40, 0.45, 0.38, 0.33, 0.41),
        DAMPING: column(1.0, 4.0, 2.0, 3.0, 1.5, 2.5, 3.5, 1.2),
    }
    densities = column(900.0, 950.0, 1000.0, 1050.0, 1100.0, 980.0, 1020.0, 1010.0)
    guesses = column(1.2e5, 0.7e5, 1.0e5, 1.5e5, 0.9e5, 1.1e5, 0.8e5, 1.0e5)
    rollout, state = ringing(), moving((3, 1, 1), 8)
    data = seen(rollout, state, {**truth, "density": densities})
    rollout.step.density = densities
    rollout.step.forces["elastic"].material.youngs_modulus = guesses
    found = fit(rollout, data, list(truth), state)
    assert len(found) == 8
    assert not found.errors
    for index in range(8):
        alone = ringing()
        alone.step.density = densities[index]
        alone.step.forces["elastic"].material.youngs_modulus = guesses[index]
        assert_as_alone(found, fit_alone(alone, data, list(truth), state, index), index)
    for name, value in truth.items():
        assert bool(((found.values[name] - value[:, 0]).abs() < 5 * found.standard_errors[name]).all())
    assert len(set(found.steps.tolist())) > 1  # else convergence of each would not show
    own = rollout.step.forces["elastic"].material.youngs_modulus
    torch.testing.assert_close(own[:, 0], found.values[E])


def test_vectors_and_initial_velocities_can_be_sought_of_each_specimen():
    """They are stored as they are, without a logarithm."""
    gravity = torch.tensor([[0.0, 0.0, -9.0], [1.0, 0.0, -10.0]])
    pushes = torch.tensor([[[0.1, 0.0, 0.0]], [[0.0, 0.2, 0.0]]])
    rollout, state = RolloutModule(free_box(dt=DT), STEPS, compile=False), moving((2, 1, 1), 2)
    thrown = State(state.positions, state.velocities + pushes)
    data = seen(rollout, thrown, {"gravity": gravity})
    names, mesh = ["gravity", "initial.velocities"], rollout.step.elements.mesh
    found = fit(rollout, data, names, state, initial=InitialState(mesh))
    for index in range(2):
        alone = RolloutModule(free_box(dt=DT), STEPS, compile=False)
        one = fit_alone(alone, data, names, state, index, initial=InitialState(mesh))
        assert_as_alone(found, one, index)
    assert abs(float(found.values["initial.velocities[1]"][1]) - 0.2) < 0.01


def test_an_equilibrium_is_fitted_for_each_specimen():
    step = beam((2, 1, 1))
    static = Equilibrium(step.elements.mesh, dict(step.forces), fixed="x_min")
    rollout, rest = RolloutModule(static, 1), State.at_rest(step.elements.mesh.vertices)
    truth = {E: column(0.8e5, 1.3e5, 1.0e5), NU: column(0.4, 0.3, 0.45)}
    with torch.no_grad():
        data = rollout(rest, truth).positions[:, None]
    data = data + ERRORS * noise(*data.shape, seed=7)
    options = {"times": [static.dt]}
    found = fit(rollout, data, [E, NU], rest, **options)
    for index in range(3):
        alone = RolloutModule(Equilibrium(step.elements.mesh, dict(beam((2, 1, 1)).forces), fixed="x_min"), 1)
        assert_as_alone(found, fit_alone(alone, data, [E, NU], rest, index, **options), index)


def test_a_specimen_that_does_not_determine_a_parameter_says_so_and_changes_no_other():
    rollout, state = ringing(), moving((3, 1, 1), 3)
    data = seen(rollout, state, {E: column(0.8e5, 1.0e5, 1.2e5), DAMPING: column(1.0, 2.0, 3.0)})
    data[1, :, torch.arange(16) != FIXED] = math.nan
    found = fit(rollout, data, [E, DAMPING], state)
    assert list(found.undetermined) == [1]
    alone = fit_alone(ringing(), data, [E, DAMPING], state, 1)
    assert found.undetermined[1] == alone.undetermined
    assert torch.equal(found.standard_errors[E].isinf(), torch.tensor([False, True, False]))
    for index in (0, 2):
        assert_as_alone(found, fit_alone(ringing(), data, [E, DAMPING], state, index), index)
    assert "specimen 1: " + " ".join(alone.undetermined) in str(found)


@pytest.mark.parametrize("compiler", [False, "eager"])
def test_a_specimen_that_cannot_be_simulated_is_named_and_stops_no_other(compiler):
    rollout, state = ringing(compile=compiler), moving((3, 1, 1), 4)
    data = seen(rollout, state, {E: column(0.8e5, 1.0e5, 1.2e5, 1.0e5)})
    data[2] = math.nan
    rollout.step.forces["elastic"].material.youngs_modulus = column(1e5, 1e9, 1e5, 1e5)
    found = fit(rollout, data, E, state)
    assert found.errors.keys() == {1, 2}
    assert "beyond the stable time step" in found.errors[1]
    assert "nothing of it is observed" in found.errors[2]
    assert torch.equal(found.values[E].isnan(), torch.tensor([False, True, True, False]))
    assert found.steps.tolist()[1:3] == [-1, -1]
    for index in (0, 3):
        assert_as_alone(found, fit_alone(ringing(), data, E, state, index), index)
    with pytest.raises(SimulationError, match=r"the fit of specimen 1 has failed: dt = .* is beyond"):
        found[1]
    assert "4 specimens: 2 fitted, 2 FAILED" in str(found)


def test_a_specimen_that_is_like_no_simulation_fails_and_the_others_do_not():
    """It is stiffer than the time step allows."""
    rollout, state = ringing(), moving((3, 1, 1), 2)
    fine = RolloutModule(beam(dt=DT / 4, substeps=1), 4 * STEPS, compile=False)
    with torch.no_grad():
        frames = fine.trajectory(state, {E: column(8e5, 1e5)}, every=4 * EVERY)
    data = frames.positions[1:].movedim(0, 1)
    data = data + ERRORS * noise(*data.shape, seed=7)
    with pytest.raises(SimulationError, match="beyond the stable time step"):
        fit_alone(ringing(), data, E, state, 0)
    found = fit(rollout, data, E, state)
    assert list(found.errors) == [0]
    assert "beyond the stable time step" in found.errors[0]
    assert_as_alone(found, fit_alone(ringing(), data, E, state, 1), 1)


def test_a_fit_that_needs_more_steps_is_named():
    rollout, state = ringing(), moving((3, 1, 1), 2)
    data = seen(rollout, state, {E: column(1.0e5, 0.3e5)})
    found = fit(rollout, data, E, state, max_steps=2)
    assert list(found.errors) == [1]
    assert "Gauss-Newton has not converged in 2 steps" in found.errors[1]


def test_a_fit_that_need_not_converge_ends_where_its_last_step_led():
    rollout, state = ringing(), moving((3, 1, 1), 2)
    data = seen(rollout, state, {E: column(1.0e5, 0.3e5)})
    ended = fit(ringing(), data, E, state, max_steps=2, must_converge=False)
    assert not ended.errors
    assert ended.steps.tolist()[1] == 2
    problem = IdentificationProblem(
        ringing(), data[1], E, state=State(*(part[1] for part in state[:2])), observe=Vertices(), times=TIMES
    )
    with pytest.raises(ConvergenceError):
        problem.solve(max_steps=2)
    assert float(ended.values[E][1]) == pytest.approx(problem.result().values[E], rel=1e-9)
    whole = fit(ringing(), data, E, state)
    on = ringing()
    on.step.forces["elastic"].material.youngs_modulus = ended.values[E][:, None]
    torch.testing.assert_close(fit(on, data, E, state).values[E], whole.values[E], rtol=1e-6, atol=0)


def test_sensors_see_all_specimens_in_their_order():
    """Each is seen at a point of its own, after others have converged, too."""

    def own_vertex(positions):
        return torch.stack([positions[..., k, [4 + k], :] for k in range(3)], -3)

    rollout, state = ringing(), moving((3, 1, 1), 3)
    data = own_vertex(seen(rollout, state, {E: column(0.9e5, 1.0e5, 2.0e5)}).movedim(0, 1)).movedim(1, 0)
    found = fit(rollout, data, E, state, observe=own_vertex)
    for index in range(3):
        point = Vertices([4 + index])
        assert_as_alone(found, fit_alone(ringing(), data, E, state, index, observe=point), index)


def test_if_no_specimen_can_be_simulated_the_error_of_the_first_is_raised():
    rollout, state = ringing(), moving((3, 1, 1), 2)
    data = seen(rollout, state, {E: column(1e5, 1e5)})
    rollout.step.forces["elastic"].material.youngs_modulus = 1e9
    with pytest.raises(SimulationError, match=r"no specimen can be simulated; the first one: dt = .* is"):
        fit(rollout, data, E, state)


@pytest.mark.unchecked
def test_what_is_no_batch_of_specimens_is_refused():
    rollout, state = ringing(), moving()
    data = np.zeros((3, len(TIMES), 16, 3))
    with pytest.raises(ObservationError, match=r"data must be of shape \(B, T, K, 3\).* use identify"):
        fit(rollout, data[0], E, state)
    with pytest.raises(ValueError, match=r"unknowns must not name 'release_time'"):
        fit(rollout, data, ["release_time"], state)
    rollout.step.density = column(900.0, 1000.0)
    with pytest.raises(
        ValueError, match=r"density must have one value, .* each of 3 specimens, got .*\(2, 1\)"
    ):
        fit(rollout, data, "density", state)


def test_of_many_specimens_ranges_are_printed_and_of_few_their_values():
    rollout, state = ringing(), moving((3, 1, 1), 14)
    moduli = torch.linspace(0.8e5, 1.2e5, 14)[:, None]
    data = seen(rollout, state, {E: moduli})
    data[13] = math.nan
    found = fit(rollout, data, E, state)
    heading, row, failed = str(found).splitlines()
    assert heading == "14 specimens: 13 fitted, 1 FAILED"
    low, high = (format_measured(float(limit), 0.0, "Pa") for limit in found.values[E][:13].aminmax())
    assert row.startswith(f"{E} = {low} to {high}, median 98.4")
    assert "±" in row
    assert failed == "specimen 13 FAILED: nothing of it is observed: all of its points are NaN."
    few = fit(ringing(), data[:2], E, State(state.positions[:2], state.velocities[:2]))
    assert str(few).splitlines()[1].count("±") == 2
    assert few[-1].values[E] == float(few.values[E][1])
    with pytest.raises(IndexError, match="index must be that of one of 2 specimens, got 2"):
        few[2]
