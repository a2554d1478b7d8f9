"""Covariances of linear least squares, of residuals that are independent and that are correlated in time."""

import pytest
import torch

from simlayer.identification.linear_uncertainty import linear_uncertainty
from simlayer.identification.time_correlation import _correlation, _parzen, _weighted, gradient_covariance

pytestmark = pytest.mark.usefixtures("float64")
EPSILON = 2.2e-16


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def line(frames):
    """The Jacobian of a straight line in time, of one coordinate: its height and its slope."""
    return torch.stack([torch.ones(frames), torch.linspace(-1, 1, frames)], -1)[:, None]


def uncertainty(residuals, jacobian, present=None):
    present = torch.ones(residuals.shape, dtype=torch.bool) if present is None else present
    return linear_uncertainty(residuals[None], jacobian[None], present[None], epsilon=EPSILON)


def fitted(jacobian, noise):
    """The residuals of a fit to noise alone, and what it finds; the truth is zero."""
    rows = jacobian.flatten(0, 1)
    found = torch.linalg.lstsq(rows, noise.flatten()[:, None]).solution[:, 0]
    return (noise.flatten() - rows @ found).reshape(noise.shape), found


def autoregressive(frames, coordinates, correlation, seed):
    """Stationary residuals of variance 1 whose correlation is a power of the time between them."""
    shocks = torch.randn(frames, coordinates, generator=generator(seed))
    series = [shocks[0]]
    for shock in shocks[1:]:
        series.append(correlation * series[-1] + (1 - correlation**2) ** 0.5 * shock)
    return torch.stack(series)


def test_few_independent_residuals_have_the_textbook_covariance():
    J, r = torch.randn(10, 2, 3, generator=generator()), torch.randn(10, 2, generator=generator(1))
    found, rows = uncertainty(r, J), J.flatten(0, 1)
    expected = r.square().sum() / (20 - 3) * torch.linalg.inv(rows.T @ rows)
    torch.testing.assert_close(found.covariance, expected)
    assert not found.correlated
    assert found.numbers == 20
    assert len(found.undetermined) == 0


def test_the_step_that_is_left_is_that_of_least_squares():
    J, r = torch.randn(10, 2, 3, generator=generator()), torch.randn(10, 2, generator=generator(1))
    expected = torch.linalg.lstsq(J.flatten(0, 1), -r.flatten()[:, None]).solution[:, 0]
    torch.testing.assert_close(uncertainty(1e-3 * r, J).step, 1e-3 * expected)
    residuals, _ = fitted(J, r)
    assert float(uncertainty(residuals, J).step.abs().max()) < 1e-12


def test_missing_rows_do_not_count():
    J, r = torch.randn(10, 2, 2, generator=generator()), torch.randn(10, 2, generator=generator(1))
    present = torch.rand(10, 2, generator=generator(2)) < 0.7
    found = uncertainty(r * present, J * present[..., None], present)
    alone = uncertainty(r[present][:, None], J[present][:, None])
    torch.testing.assert_close(found.covariance, alone.covariance)
    assert found.numbers == int(present.sum())


def test_columns_that_are_proportional_are_one_undetermined_direction():
    J = torch.randn(10, 1, 3, generator=generator())
    J[..., 2] = -2 * J[..., 0]
    found = uncertainty(torch.randn(10, 1, generator=generator(1)) * 1e-6, J)
    assert found.undetermined.shape == (1, 3)
    torch.testing.assert_close(found.undetermined[0].abs(), torch.tensor([2.0, 0.0, 1.0]) / 5**0.5)


def test_what_changes_the_residuals_by_less_than_their_noise_is_undetermined():
    J = torch.eye(8)[:, None, :2] * torch.tensor([10.0, 0.5])
    r = torch.zeros(8, 1)
    r[2:] = 1.0
    torch.testing.assert_close(uncertainty(r, J).undetermined.abs(), torch.tensor([[0.0, 1.0]]))
    assert len(uncertainty(0.1 * r, J).undetermined) == 0


def test_as_many_unknowns_as_numbers_have_no_standard_errors_and_more_are_undetermined():
    square = uncertainty(torch.zeros(2, 1), torch.eye(2)[:, None])
    assert torch.tensor(square.noise).isnan()
    assert len(square.undetermined) == 0
    assert uncertainty(torch.zeros(1, 1), torch.eye(2)[:1, None]).undetermined.shape == (1, 2)


def test_white_residuals_of_a_film_have_nearly_the_covariance_of_independent_ones():
    J = line(200)
    ratios = []
    for seed in range(20):
        residuals, _ = fitted(J, torch.randn(200, 1, generator=generator(seed)))
        found = uncertainty(residuals, J)
        assert found.correlated
        ratios.append(found.covariance.diagonal() / found.independent.diagonal())
    # Each variance has an error of sqrt(2 / 200) = 10 % and more; their mean of a quarter of it.
    torch.testing.assert_close(torch.stack(ratios).mean(0), torch.ones(2), rtol=0.1, atol=0)


@pytest.mark.parametrize("shared", [False, True])
def test_error_bars_of_correlated_residuals_cover_the_truth_where_naive_ones_are_optimistic(shared):
    """Noise of 229 frames that remembers the last five, in three coordinates, or once for all three."""
    J = line(229).expand(-1, 3, -1)
    covered, naively = 0, 0
    for seed in range(60):
        noise = autoregressive(229, 1 if shared else 3, 0.8, seed).expand(-1, 3)
        residuals, found = fitted(J, noise)
        made = uncertainty(residuals, J)
        covered += (found.abs() < 2 * made.covariance.diagonal().sqrt()).sum().item()
        naively += (found.abs() < 2 * made.independent.diagonal().sqrt()).sum().item()
    # Of 120 intervals of 95 %; the correlation itself is estimated from few independent stretches of time.
    assert covered > 0.88 * 120
    assert naively < 0.65 * 120


def test_missing_frames_hardly_change_error_bars_of_correlated_residuals():
    J, ratios = line(300), []
    for seed in range(20):
        residuals, _ = fitted(J, autoregressive(300, 1, 0.8, seed))
        present = torch.rand(300, 1, generator=generator(seed)) < 0.9
        part = uncertainty(residuals * present, J * present[..., None], present)
        ratios.append((part.covariance / uncertainty(residuals, J).covariance).diagonal())
    torch.testing.assert_close(torch.stack(ratios).mean(0), torch.ones(2), rtol=0.2, atol=0)


def test_the_covariance_of_the_gradient_is_that_of_an_autoregressive_process():
    J = line(400)
    lags = (torch.arange(400)[:, None] - torch.arange(400)).abs()
    exact = J[:, 0].T @ 0.7**lags @ J[:, 0]
    present = torch.ones(400, 1, dtype=torch.bool)
    found = [gradient_covariance(autoregressive(400, 1, 0.7, seed), J, present) for seed in range(20)]
    # A mean of 20 estimates, whose correction of their bias supposes residuals of a fit.
    torch.testing.assert_close(torch.stack(found).mean(0).diagonal(), exact.diagonal(), rtol=0.25, atol=0)


@pytest.mark.parametrize("coordinates", [3, 90])
def test_its_sum_is_that_of_its_definition(coordinates):
    """Over all pairs of frames, with fewer coordinates than frames and with more."""
    frames = 40
    residuals = autoregressive(frames, coordinates, 0.5, 0)
    J = torch.randn(frames, coordinates, 2, generator=generator(1))
    present = torch.rand(frames, coordinates, generator=generator(2)) < 0.8
    expected = torch.zeros(2, 2)
    scaled = residuals / present.double().mean(0).sqrt()
    correlation = _correlation(residuals, present)
    width = 2.6614 * (4 * correlation**2 / (1 - correlation) ** 4 * frames) ** 0.2
    assert 3 < width < frames
    for early in range(frames):
        for late in range(frames):
            lag = abs(late - early)
            if lag < width:
                C = sum(torch.outer(scaled[t], scaled[t + lag]) for t in range(frames - lag)) / frames
                C = C if late >= early else C.T
                expected += _parzen(lag / width) * J[early].T @ C @ J[late]
    found = _weighted(residuals, J, present)
    torch.testing.assert_close(found, expected, rtol=1e-10, atol=0)


def test_a_recording_of_many_frames_needs_no_table_of_their_pairs():
    """That of 40,000 frames would take 26 GB; of slow changes the covariance is that of a long run."""
    J, correlation = line(40_000), 0.7
    found = gradient_covariance(
        autoregressive(40_000, 1, correlation, 0), J, torch.ones(40_000, 1, dtype=torch.bool)
    )
    expected = (1 + correlation) / (1 - correlation) * J[:, 0].square().sum(0)
    # The correlation of 40,000 frames has an error of 0.4 %, which is six times as large in the covariance.
    torch.testing.assert_close(found.diagonal(), expected, rtol=0.05, atol=0)


@pytest.mark.parametrize("coordinates", [4, 40])
def test_it_is_symmetric_and_positive(coordinates):
    for seed in range(10):
        residuals = torch.randn(30, coordinates, generator=generator(seed))
        J = torch.randn(30, coordinates, 3, generator=generator(seed + 100))
        S = gradient_covariance(residuals, J, torch.ones(30, coordinates, dtype=torch.bool))
        torch.testing.assert_close(S, S.T)
        assert float(torch.linalg.eigvalsh(S)[0]) > -1e-10 * float(S.norm())


def test_what_hardly_changes_a_residual_may_have_far_to_go():
    J, r = torch.randn(10, 1, 2, generator=generator()), torch.randn(10, 1, generator=generator(1))
    expected = uncertainty(r, J).step
    # Below the two-thirds power of rounding that makes a direction invisible.
    found = uncertainty(r, J * torch.tensor([1.0, 1e-12]))
    torch.testing.assert_close(found.step, expected / torch.tensor([1.0, 1e-12]))
    assert len(found.invisible) == 1
