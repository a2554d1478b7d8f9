"""Fits from NumPy: what is found, how sure it is, and what the data do not determine."""

import numpy as np
import pytest
import torch
from scipy.optimize import least_squares
from support.observed import DAMPING, DT, NU, E, beam_mesh
from support.scenes import beam, free_box, moving

from simlayer import (
    ElasticForce,
    Equilibrium,
    MassDamping,
    NodalLoad,
    RolloutModule,
    StableNeoHookean,
    State,
    box_mesh,
)
from simlayer.errors import ConvergenceError, ObservationError
from simlayer.identification.identify import IdentificationProblem, identify
from simlayer.identification.identify_specimens import identify_specimens
from simlayer.identification.sensors import Markers, Vertices

pytestmark = pytest.mark.usefixtures("float64")
STEPS, EVERY = 8, 2
TIMES = [DT * k for k in range(EVERY, STEPS + 1, EVERY)]
TRUTH = {E: 1.0e5, NU: 0.4, "density": 1000.0, DAMPING: 2.0}


def ringing():
    """A clamped beam in motion, and its observed vertices at some times, without errors."""
    rollout = RolloutModule(beam(dt=DT, substeps=1), STEPS, compile=False)
    state = moving()
    frames = rollout.trajectory(state, every=EVERY).positions[1:]
    return rollout, state, frames.numpy()


def noisy(data, noise, seed=0):
    return data + noise * np.random.default_rng(seed).standard_normal(data.shape)


def fit(rollout, data, unknowns, state, **options):
    return identify(rollout, data, unknowns, state=state, observe=Vertices(), times=TIMES, **options)


def guess(rollout, *, factor=1.5):
    """A first guess that is far off in everything."""
    material = rollout.step.forces["elastic"].material
    material.youngs_modulus, material.poissons_ratio = 1e5 / factor, 0.3
    rollout.step.density, rollout.step.dissipation["damping"].coefficient = 1000.0 * factor, 2.0 * factor


def test_modulus_ratio_density_and_damping_of_a_beam_are_found_in_ten_steps():
    rollout, state, data = ringing()
    guess(rollout)
    found = fit(rollout, data, list(TRUTH), state)
    assert found.steps <= 10
    assert found.values == pytest.approx(TRUTH, rel=1e-6)
    assert found.undetermined == []
    assert float(rollout.step.density) == pytest.approx(1000.0)


def test_standard_errors_are_the_spread_of_fits_to_a_hundred_draws_of_noise():
    rollout, state, data = ringing()
    noise, generator = 2e-5, np.random.default_rng(0)
    draws = torch.as_tensor(data) + noise * torch.as_tensor(generator.standard_normal((100, *data.shape)))
    found = identify_specimens(rollout, draws, list(TRUTH), state=state, observe=Vertices(), times=TIMES)
    assert not found.errors
    for name, errors in found.standard_errors.items():
        # The spread of 100 draws has an error of 7 %.
        assert float(errors.mean()) == pytest.approx(float(found.values[name].std()), rel=0.2)


def test_scipys_least_squares_finds_the_same_from_residuals_and_jacobian():
    rollout, state, data = ringing()
    data = noisy(data, 1e-4)
    data[1, 3] = np.nan
    options = {"state": state, "observe": Vertices(), "times": TIMES}
    problem = IdentificationProblem(rollout, data, [E, DAMPING], **options)
    assert problem.residuals(problem.start).shape == (data.size - 3,)
    other = least_squares(problem.residuals, problem.start, problem.jacobian, xtol=1e-12, gtol=None)
    problem.assign(problem.start)
    found = problem.solve()
    # Gauss-Newton ends within 0.1 standard errors, as far as a linearized problem can tell.
    errors = np.array(list(found.standard_errors.values()))
    assert (np.abs(list(found.values.values()) - np.exp(other.x)) < 0.1 * errors).all()
    assert found.residuals.shape == (1, *data.shape)
    assert not found.residuals[0, 1, 3].any()


def test_the_two_coordinates_that_a_camera_sees_are_fitted_as_if_nothing_else_had_been_measured():
    rollout, state, data = ringing()
    data = noisy(data, 1e-5)
    flat = data.copy()
    flat[..., 1] = np.nan
    options = {"state": state, "observe": Vertices(), "times": TIMES}
    problem = IdentificationProblem(rollout, flat, [E, DAMPING], **options)
    whole = IdentificationProblem(rollout, data, [E, DAMPING], **options)
    numbers = whole.residuals(whole.start).reshape(-1, 3)[:, [0, 2]].flatten()
    np.testing.assert_array_equal(problem.residuals(problem.start), numbers)
    found = problem.solve()
    assert found.uncertainty.linear.numbers == 2 * data.size // 3
    for name, error in found.standard_errors.items():
        assert abs(found.values[name] - TRUTH[name]) < 4 * error < 0.2 * TRUTH[name]


def test_the_jacobian_is_the_central_difference_of_the_residuals():
    rollout, state, data = ringing()
    names, seen = ["release_time", E, NU], data[:, 4:6]
    # Between the frames, where the motion has a second derivative in time.
    times = [time - 0.3 * DT for time in TIMES]
    problem = IdentificationProblem(
        rollout, seen, names, state=state, observe=lambda x: x[..., 4:6, :], times=times
    )
    x, change = problem.start, 1e-6 * np.eye(3)
    differences = [(problem.residuals(x + h) - problem.residuals(x - h)) / 2e-6 for h in change]
    np.testing.assert_allclose(problem.jacobian(x), np.stack(differences, -1), rtol=1e-6, atol=1e-9)


def test_of_a_free_body_only_the_ratio_of_modulus_and_density_is_determined():
    step = free_box((1, 1, 1), gravity=(0.0, 0.0, 0.0), dissipation={"damping": MassDamping(2.0)}, dt=DT)
    rollout, state = RolloutModule(step, STEPS, compile=False), moving((1, 1, 1))
    data = noisy(rollout.trajectory(state, every=EVERY).positions[1:].numpy(), 1e-5)
    found = fit(rollout, data, [E, NU, "density"], state)
    (sentence,) = found.undetermined
    assert "youngs_modulus and density are not determined, only youngs_modulus / density" in sentence
    assert "add a load or a mass that is known" in sentence
    errors = found.standard_errors
    assert errors[E] == errors["density"] == np.inf
    assert errors[NU] < 0.01
    lines = str(found).splitlines()
    assert lines[0] == sentence
    assert f"{E} = not determined" in lines
    assert any(line.startswith(f"{NU} = 0.") and "±" in line for line in lines)


def bent_beam(noise):
    """A slender beam bent by a couple at its end, and where one marker on its axis is in six trials."""
    mesh = box_mesh(cells=(5, 1, 1), size=(0.5, 0.05, 0.05), element="hex20")
    end = mesh.vertex_sets["x_max"]
    forces = torch.zeros(len(mesh.vertices), 3)
    forces[end, 0] = 2.0 * (mesh.vertices[end, 2] - 0.025) / 0.025
    step = Equilibrium(
        mesh,
        {"elastic": ElasticForce(mesh, StableNeoHookean(1e6, 0.3)), "couple": NodalLoad(mesh, forces)},
        fixed="x_min",
        gravity=(0.0, 0.0, 0.0),
    )
    rollout, state = RolloutModule(step, 1, compile=False), State.at_rest(mesh.vertices.expand(6, -1, -1))
    marker = Markers(mesh, torch.tensor([[0.5, 0.025, 0.025]]))
    with torch.no_grad():
        seen = marker(rollout(state).positions)[:, None].numpy()
    return rollout, state, marker, noisy(seen, noise)


def test_poissons_ratio_of_a_beam_in_pure_bending_seen_at_one_marker_is_called_undetermined():
    # Of 68 mm; without noise the second-order effect of the clamp would show.
    rollout, state, marker, data = bent_beam(noise=4e-4)
    found = identify(rollout, data, [E, NU], state=state, observe=marker, times=[rollout.step.dt])
    (sentence,) = found.undetermined
    assert sentence.startswith("poissons_ratio is not determined")
    assert "Observe other points" in sentence
    # What the ratio might be is part of the error of the modulus.
    assert abs(found.values[E] - 1e6) < 2 * found.standard_errors[E] < 0.2e6
    assert found.standard_errors[NU] == np.inf


def test_a_coordinate_without_weight_does_not_spoil_the_fit():
    rollout, state, data = ringing()
    data[..., 2] += 0.01
    found = fit(rollout, data, [E], state, noise=[1e-6, 1e-6, 1.0])
    assert found.values[E] == pytest.approx(1e5, rel=1e-4)


def test_a_fit_that_needs_more_steps_says_so():
    rollout, state, data = ringing()
    guess(rollout)
    with pytest.raises(ConvergenceError, match="has not converged in 1 steps"):
        fit(rollout, data, list(TRUTH), state, max_steps=1)


def test_data_that_do_not_fit_the_times_are_refused():
    rollout, state, data = ringing()
    with pytest.raises(ObservationError, match=r"a frame for each of the times, got shape \(3, 16, 3\)"):
        fit(rollout, data[:-1], [E], state)
    with pytest.raises(KeyError, match="youngs_modulus"):
        fit(rollout, data, ["young_modulus"], state)
    assert len(beam_mesh().vertices) == data.shape[1]


def test_a_fit_of_nothing_is_refused_with_what_there_is():
    rollout, state, data = ringing()
    with pytest.raises(ValueError, match=r"unknowns must name at least one of \[.*density.*\], got none"):
        fit(rollout, data, [], state)


def problem_of(rollout, data, state):
    return IdentificationProblem(rollout, data, [E, DAMPING], state=state, observe=Vertices(), times=TIMES)


def test_residuals_follow_what_is_assigned_between_their_calls():
    rollout, state, data = ringing()
    problem = problem_of(rollout, data, state)
    before = problem.residuals(problem.start), problem.jacobian(problem.start)
    rollout.step.density = 1200.0
    after = problem.residuals(problem.start), problem.jacobian(problem.start)
    fresh = problem_of(rollout, data, state)
    for old, new, expected in zip(before, after, (fresh.residuals, fresh.jacobian), strict=True):
        assert not np.allclose(old, new, rtol=1e-3, atol=0)
        np.testing.assert_array_equal(new, expected(fresh.start))


def test_the_first_guess_is_that_of_when_the_problem_was_made():
    problem = problem_of(*(ringing()[k] for k in (0, 2, 1)))
    problem.assign(np.array([11.0, 1.0]))
    problem.start[:] = 0.0
    assert problem.start == pytest.approx(np.log([1e5, 2.0]))


@pytest.mark.unchecked
@pytest.mark.parametrize(
    ("x", "message"),
    [
        ([11.0], r"x must be of shape \(2,\), the stored values of .*youngs_modulus, .*coefficient, got"),
        ([11.0, 1.0, 1.0], r"x must be of shape \(2,\)"),
        ([11.0, np.nan], r"x must hold stored values, got .*coefficient must be positive.*NaN"),
        ([1e3, 1.0], r"x must hold stored values, got .*youngs_modulus must be positive and finite, got inf"),
    ],
)
def test_stored_values_that_are_none_are_refused_and_nothing_is_assigned(x, message):
    rollout, state, data = ringing()
    problem = problem_of(rollout, data, state)
    for take in (problem.residuals, problem.jacobian, problem.assign):
        with pytest.raises(ValueError, match=message):
            take(x)
    assert float(rollout.step.forces["elastic"].material.youngs_modulus) == pytest.approx(1e5)


@pytest.mark.unchecked  # the checks of arguments would answer first
def test_an_option_that_is_misspelt_is_refused():
    rollout, state, data = ringing()
    options = {"state": state, "observe": Vertices(), "times": TIMES, "frame": 3}
    for function in (identify, IdentificationProblem):
        with pytest.raises(TypeError, match=rf"^{function.__name__}.* unexpected keyword argument 'frame'"):
            function(rollout, data, [E], **options)


def test_data_without_a_point_or_with_an_infinite_one_are_refused():
    rollout, state, data = ringing()
    with pytest.raises(ObservationError, match=r"nothing is observed: all 64 points are NaN"):
        fit(rollout, np.full_like(data, np.nan), [E], state)
    data[1, 2, 0] = np.inf
    with pytest.raises(ObservationError, match=r"must be finite, .* got inf at \(0, 1, 2, 0\)"):
        fit(rollout, data, [E], state)


def test_a_fit_that_runs_to_the_limit_of_a_range_says_so():
    rollout, state, data = ringing()
    # A motion that grows, as if the damping were negative.
    start = state.positions.numpy()
    data = start + (data - start) * np.exp(8.0 * np.array(TIMES))[:, None, None]
    found = fit(rollout, data, [DAMPING], state)
    (sentence,) = found.undetermined
    assert sentence.startswith(
        "coefficient is not determined: the fit has run to the limit of its range, 0 1/s"
    )
    assert "the units of mesh and data" in sentence
    assert found.values[DAMPING] < 1e-3
    assert found.standard_errors[DAMPING] == np.inf
