"""The runs test of residuals."""

import pytest
import torch

from simlayer.material_point.residual_runs import residual_runs


def test_noise_is_rarely_called_structured():
    draws = torch.randn(2000, 30)
    share = sum(residual_runs(row).structured for row in draws) / len(draws)
    # 1 % of draws, within three standard deviations of 2000 of them, and less for whole numbers of runs.
    assert share < 0.01 + 3 * (0.01 * 0.99 / 2000) ** 0.5


def test_the_number_of_runs_of_noise_is_that_expected():
    draws = [residual_runs(row) for row in torch.randn(2000, 30)]
    mean = sum(each.runs for each in draws) / len(draws)
    assert mean == pytest.approx(sum(each.expected for each in draws) / len(draws), abs=0.2)


def test_a_wave_and_a_single_sign_are_structured_and_few_points_are_not():
    wave = torch.sin(torch.linspace(0.1, 6.2, 30))
    assert residual_runs(wave).runs == 2
    assert residual_runs(wave).structured
    assert residual_runs(torch.ones(12)).probability == pytest.approx(2**-11)
    assert residual_runs(torch.ones(12)).structured
    assert not residual_runs(wave[::6]).structured
