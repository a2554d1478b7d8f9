"""How far simulated points are from those seen."""

import pytest
import torch

from simlayer.identification.losses import described, residual

pytestmark = pytest.mark.usefixtures("float64")


def test_a_residual_is_the_root_mean_square_in_each_direction_and_in_all():
    seen = torch.randn(5, 2, 3)
    found = residual(seen + torch.tensor([3e-4, 0.0, -4e-4]), seen)
    assert [found[key] for key in ("x", "y", "z", "rms")] == pytest.approx([3e-4, 0.0, 4e-4, 5e-4])


def test_points_that_were_not_seen_do_not_count():
    seen = torch.zeros(4, 3, 3)
    simulated = torch.full_like(seen, 1e-3)
    seen[1] = seen[2, 0] = torch.nan
    assert residual(simulated, seen)["z"] == pytest.approx(1e-3)


def test_people_read_it_in_millimetres():
    assert (
        described({"rms": 5e-4, "x": 3e-4, "y": 0.0, "z": 4e-4}) == "0.500 mm rms (x 0.300, y 0.000, z 0.400)"
    )
