"""What a network predicts: values, errors by the delta method, and how often the truth is within them."""

import pytest
import torch
from support.observed import NU, E, observed_beam

from simlayer.identification.predicted_specimens import PredictedSpecimens, specimen_unknowns
from simlayer.identification.unknowns import select_unknowns

pytestmark = pytest.mark.usefixtures("float64")


def predicted(stored, covariance):
    unknowns = select_unknowns(observed_beam().quantities_by_name(), [E, NU])
    return PredictedSpecimens(specimen_unknowns(unknowns, stored), covariance)


def test_standard_errors_are_small_changes_of_physical_values_by_stored_ones():
    stored, small = torch.tensor([[11.0, 2.0], [12.0, 0.5]]), 1e-6
    found = predicted(stored, torch.tensor([[[1.0, 0.5], [0.5, 4.0]]]).expand(2, 2, 2) * small**2)
    raised = predicted(stored + small * torch.tensor([1.0, 2.0]), torch.eye(2).expand(2, 2, 2))
    for name in (E, NU):
        change = raised.values[name] - found.values[name]
        # To first order: the next is a millionth of it.
        torch.testing.assert_close(found.standard_errors[name], change, rtol=1e-5, atol=0)
    torch.testing.assert_close(found.correlation[0], torch.tensor([[1.0, 0.25], [0.25, 1.0]]))
    torch.testing.assert_close(found.stored, stored)
    assert len(found) == 2


def test_the_coverage_of_draws_from_the_gaussian_itself_is_that_of_a_gaussian():
    torch.manual_seed(0)
    stored, covariance = torch.zeros(20_000, 2), torch.tensor([[1.0, 0.5], [0.5, 4.0]])
    truth = torch.randn(20_000, 2) @ torch.linalg.cholesky(covariance).T
    found = predicted(stored, covariance.expand(20_000, 2, 2))
    # The standard error of a share of 20,000 is 0.003.
    torch.testing.assert_close(found.coverage(truth, 1), torch.tensor([0.683, 0.683]), rtol=0, atol=0.01)
    torch.testing.assert_close(found.coverage(truth, 2), torch.tensor([0.954, 0.954]), rtol=0, atol=0.01)
