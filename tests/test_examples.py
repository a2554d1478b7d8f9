"""Every example runs and finds what it says it finds."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest
import torch

EXAMPLES = Path(__file__).parent.parent / "examples"


def example(name: str) -> ModuleType:
    """The example of this name, as a module."""
    specification = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def _one_thread():
    """As the examples run from the command line."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def test_a_network_learns_from_positions_alone_how_stiff_held_out_beams_are(capsys):
    error, by_mean = example("layer_in_network").main(bodies=128, epochs=3)
    assert error < by_mean / 3
    assert 0.4 < by_mean < 0.9, "held-out moduli should spread over a decade"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"held-out relative error of E: {error:.1%} (predicting the mean: {by_mean:.0%})"


def test_a_network_learns_from_beams_of_different_sizes_in_one_batch_how_stiff_held_out_ones_are(capsys):
    error, by_mean = example("differing_bodies").main(beams=64, epochs=5)
    assert error < by_mean / 3
    assert 0.4 < by_mean < 0.9, "held-out moduli should spread over a decade"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"held-out relative error of E: {error:.1%} (predicting the mean: {by_mean:.0%})"


def test_the_fit_finds_the_modulus(capsys):
    assert example("fit").main() == pytest.approx(1e5, rel=0.02)
    assert capsys.readouterr().out.startswith("found E = ")


def test_the_gradient_of_a_custom_material_is_its_central_difference(capsys):
    assert example("custom_material").main() < 1e-6
    assert "central difference" in capsys.readouterr().out


def test_a_synthetic_recording_is_registered_to_its_noise(capsys):
    ((rms, stillness),) = example("register_recording").main([])
    # Noise of 0.1 mm in each coordinate over 10 frames: 0.04 mm once 6 of 18 numbers are fitted, and the
    # largest of 60 distances.
    assert 1e-5 < rms < 8e-5
    assert 1.5e-4 < stillness < 6e-4
    assert f"synthetic.csv: {1e3 * rms:.2f} mm rms" in capsys.readouterr().out


def test_the_stiffness_of_a_ball_and_of_its_contact_are_found(capsys):
    assert example("bouncing_ball").main() == pytest.approx((5e4, 5e3), rel=2e-3)
    assert capsys.readouterr().out.startswith("found E = ")


def test_the_coefficient_of_friction_is_found(capsys):
    assert example("incline").main() == pytest.approx(0.3, rel=1e-3)
    assert capsys.readouterr().out.startswith("found mu = 0.3000")


def test_a_throw_is_found_that_lands_on_the_target_after_a_bounce(capsys):
    assert example("throw_at_target").main() < 1e-3
    assert "misses by 0." in capsys.readouterr().out


@pytest.mark.unchecked
def test_a_policy_brings_the_tip_of_a_soft_arm_nearer_to_unseen_targets_than_any_signal_for_all(capsys):
    error, of_signal = example("soft_arm").main(updates=20, signal_updates=2)
    assert error < of_signal / 3
    assert 0.008 < of_signal < 0.016, "targets should lie a centimetre apart"
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith(f"unseen targets are missed by {1e3 * error:.1f} mm")


@pytest.mark.unchecked
def test_a_learnt_gait_crawls_further_than_untrained_ones_and_goes_on_crawling(capsys):
    way, twice, untrained = example("crawler").main(updates=4, batch=4, periods=2)
    assert way > 2 * max(untrained, 0.0)
    # Longer by the time that it takes to set off.
    assert 1.7 * way < twice < 3 * way
    assert f"it crawls {1e3 * way:.0f} mm" in capsys.readouterr().out


@pytest.mark.unchecked
def test_shape_and_control_together_miss_points_by_less_than_either_alone(capsys):
    shape, control, both = example("codesign").main(updates=8)
    assert both < min(shape, control)
    assert capsys.readouterr().out.splitlines()[-1].endswith(f", {1e3 * both:.1f} mm (both)")


@pytest.mark.filterwarnings("ignore:.*LeafSpec")
@pytest.mark.unchecked
def test_a_network_identifies_unseen_beams_and_three_steps_more_are_as_good_as_a_fit(capsys):
    numbers = example("amortized_identification").main(bodies=256, epochs=60, unseen=5, steps=100)
    predicted, refined, fitted = numbers.errors
    assert predicted < 0.05
    assert refined < 0.01
    # The standard error of a fit is about 0.4 %; steps end a tenth of it or so from the minimum.
    assert refined == pytest.approx(fitted, abs=2e-3)
    assert numbers.durations[0] < numbers.durations[1] < numbers.durations[2]
    # Ideally 68 % and 95 %; a share of 256 numbers has an error of 3 %, and the network learns briefly.
    assert 0.5 < numbers.coverage[0] < 0.95
    assert numbers.coverage[1] > 0.85
    assert f"the network: median error of E {predicted:.2%}, " in capsys.readouterr().out


@pytest.mark.usefixtures("float64")
@pytest.mark.unchecked
def test_a_learned_law_moves_an_unseen_body_within_five_per_cent_and_better_than_a_textbooks(capsys):
    learned, textbook = example("learned_law").main()
    assert learned < 0.05
    assert learned < textbook / 2
    assert f"unseen load are {learned:.1%} off" in capsys.readouterr().out


@pytest.mark.usefixtures("float64")
@pytest.mark.unchecked
def test_a_modulus_is_found_from_many_periods_by_windows_and_not_by_one_rollout(capsys):
    alone, found = example("long_recording").main(duration=3.75)
    (value,), (error,) = found.values.values(), found.standard_errors.values()
    assert abs(alone / 1e3 - 1) > 0.2
    assert error < 1.0
    assert value == pytest.approx(1e3, abs=3 * error)  # the noise is random
    last = capsys.readouterr().out.splitlines()[-1]
    assert last == f"multiple shooting: E = {value:.6g} ± {error:.2g} Pa, by 3 windows"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.csv"], "nowhere.csv does not exist"),
        (["--held", "5", "5"], "0 <= first < last <= 200, got first=5 and last=5"),
    ],
)
def test_a_recording_that_cannot_be_registered_is_named(arguments, message):
    with pytest.raises(SystemExit, match=message):
        example("register_recording").main(arguments)


def test_the_moduli_of_a_plate_with_a_hole_are_those_of_its_displacements(capsys, tmp_path):
    tables = example("plate_with_hole").main(output=str(tmp_path / "fit.png"), radial=4, around=24)
    for found in tables.values():
        for name, truth in (("E", 175.2e9), ("nu", 0.232), ("G", 71.1e9), ("K", 109.0e9)):
            value, error = found[name]
            # The same coarse mesh has made the displacements.
            assert abs(value - truth) < 3 * error
    found, blind = tables["all points"], tables["all points, of any mean strain"]
    assert found["K"][1] > 3 * found["G"][1], "the bulk modulus is much less sure"
    assert blind["G"][1] > 3 * found["G"][1], "without the mean strain both are"
    assert (tmp_path / "fit.png").stat().st_size > 10_000
    assert "right of the hole" in capsys.readouterr().out


def test_a_meshed_dumbbell_has_the_modulus_of_its_material_and_its_nominal_curve_has_not(capsys):
    (moduli,) = example("dumbbell").main(rows=3)
    # Three rows, each with noise of 1 %, and the slack is uncertain as well.
    assert moduli["meshed"] == pytest.approx(1.8e5, rel=0.05)
    assert moduli["to 100 %, slack ignored"] < moduli["to 100 %"] < 0.7 * moduli["meshed"]
    assert "held 5 mm nearer" in capsys.readouterr().out


def test_three_tests_on_meshed_specimens_give_the_law_of_a_material_point(capsys):
    table = example("treloar").main(rows=9)
    # Homogeneous deformations are in the space of the elements; what is left is where the fits end.
    assert table["meshed specimens"] == pytest.approx(table["point, of that K"], rel=1e-3)
    assert table["meshed specimens"] == pytest.approx(table["point, det F = 1"], rel=0.01)
    assert "standard error" in capsys.readouterr().out


@pytest.mark.usefixtures("float64")
def test_the_modulus_of_a_scan_with_outliers_is_within_two_per_cent(capsys):
    found = example("scan").main()
    assert next(iter(found.values.values())) == pytest.approx(5e6, rel=0.02)
    assert "youngs_modulus = " in capsys.readouterr().out


def test_a_stiff_inclusion_is_found_by_a_prior_where_it_lies_and_as_stiff_as_it_is():
    apart, contrast, of_regions = example("stiff_inclusion").main(cells=8, count=300)
    assert apart < 2e-3, "a quarter of a cell"
    # Cells of 7.5 mm are a coarse picture of a cylinder of 9 mm.
    assert 2.5 < contrast < 4
    assert 2.5 < of_regions < 4.2


def test_every_example_is_tested():
    tested = {"layer_in_network", "fit", "custom_material", "register_recording"}
    tested |= {"bouncing_ball", "incline", "throw_at_target", "differing_bodies", "learned_law"}
    tested |= {"amortized_identification", "long_recording", "soft_arm", "crawler", "codesign"}
    tested |= {"plate_with_hole", "dumbbell", "scan", "treloar", "stiff_inclusion"}
    assert {path.stem for path in EXAMPLES.glob("*.py")} == tested
