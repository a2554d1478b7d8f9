"""What a fitted law predicts for standard tests."""

import pytest
import torch

from simlayer.material_point import Prediction, StressCurve
from simlayer.material_point.predictions import stretch_range

S = torch.tensor([1.0, 1.5, 2.0], dtype=torch.float64)


@pytest.mark.parametrize(
    ("stretch", "stress", "error", "message"),
    [
        (S, [0.0, 1e6, 2e6], [0.0, 1e4, 1e4], None),
        (S, [0.0, 1e6, 2e6], [0.0, 1e4, 1e6], "planar tension, which was not measured, is not determined: "
         "at a stretch of 2 the 95 % band is 2 MPa ± 1.96 MPa"),
        (S, [0.0, 1e6, 2e6], [0.0, 1e4, torch.inf], "without a limit"),
        (S, [0.0, 2e6, 1e6], [0.0, 0.0, 0.0], "is unstable: its size falls from a stretch of 1.5 on"),
        (S, [0.0, 1e6, torch.nan], [0.0, 0.0, 0.0], "has no stress from a stretch of 2 on"),
        (1 / S, [0.0, -1e6, -2e6], [0.0, 0.0, 0.0], None),
        (1 / S, [0.0, -2e6, -1e6], [0.0, 0.0, 0.0], "compression, which was not measured, is unstable"),
    ],
)  # fmt: skip
def test_a_prediction_says_where_it_is_not_determined_or_unstable(stretch, stress, error, message):
    prediction = Prediction("planar", False, stretch, *(torch.tensor(x).double() for x in (stress, error)))
    if message is None:
        assert prediction.warning is None
    else:
        assert message in prediction.warning


def test_the_range_of_stretches_is_that_of_all_curves_and_of_principal_stretches_of_a_shear():
    pull, shear = StressCurve([0.9, 1.4], [-1.0, 1.0]), StressCurve([0.0, 1.5], [0.0, 1.0], "simple_shear")
    assert stretch_range([pull]) == (0.9, 1.4)
    # A shear g has the stretch l with l - 1/l = g.
    assert stretch_range([pull, shear]) == pytest.approx((0.9, 2.0))
