"""A relaxation test: a bar is pulled, held and let go, and its series found from the force over time."""

import pytest
import torch

from simlayer import Equilibrium, StableNeoHookean, State, ViscoelasticForce, box_mesh
from simlayer.laboratory import LoadTest, Pull, identify_tests

pytestmark = pytest.mark.usefixtures("float64")

TRUTH = {"youngs_modulus": 1e5, "terms.0.ratio": 0.8, "terms.0.relaxation_time": 0.5}


def specimen(youngs_modulus, ratio, time):
    mesh = box_mesh(cells=(2, 1, 1), size=(0.03, 0.02, 0.02), element="hex8")
    force = ViscoelasticForce(
        mesh, StableNeoHookean(youngs_modulus, 0.45), ratios=(ratio,), relaxation_times=(time,)
    )
    x = mesh.vertices[:, 0]
    return Equilibrium(mesh, {"elastic": force}, dt=0.1, fixed=(x < 1e-9) | (x > 0.03 - 1e-9))


def measured(step, noise):
    times = torch.arange(1, 31) * 0.1
    amounts = torch.where(times < 0.25, 0.01 * times / 0.25, 0.01)
    amounts = torch.where(times > 2.0, (0.01 * (2.3 - times) / 0.3).clamp(min=0.0), amounts)
    test = LoadTest(step, "x_max", Pull((1.0, 0.0, 0.0)), amounts, torch.zeros(30), times=times)
    with torch.no_grad():
        loads = test.simulated()
    return amounts, loads + noise * torch.randn(30), times


def test_the_series_is_found_from_a_ramp_a_hold_and_an_unloading():
    torch.manual_seed(3)
    noise = 0.1
    amounts, loads, times = measured(specimen(*TRUTH.values()), noise)
    # The force has fallen by a third while the bar was held, and turns around when it is let go.
    assert 0.6 < float(loads[19] / loads[2]) < 0.8
    assert float(loads[-1]) < 0
    step = specimen(2e5, 0.3, 0.2)
    test = LoadTest(step, "x_max", Pull((1.0, 0.0, 0.0)), amounts, loads, times=times, noise=noise)
    found = identify_tests(test, list(TRUTH))
    for name, value in TRUTH.items():
        full = next(each for each in found.values if each.endswith(name))
        error = found.standard_errors[full]
        assert abs(found.values[full] - value) < 2.5 * error
        assert error < 0.1 * value  # or else the comparison before would say little


def test_a_bar_that_was_held_for_long_has_forgotten():
    step = specimen(*TRUTH.values())
    step.dt = 1e6
    amounts = torch.tensor([0.005, 0.01])
    test = LoadTest(step, "x_max", Pull((1.0, 0.0, 0.0)), amounts, torch.zeros(2))
    slow = specimen(1e5, 1e-9, 1.0)
    plain = LoadTest(slow, "x_max", Pull((1.0, 0.0, 0.0)), amounts, torch.zeros(2))
    assert torch.allclose(test.simulated(), plain.simulated(), rtol=1e-6)
    assert isinstance(test.frames(), State)
