import pytest
import torch
from support.scenes import noise

from simlayer import ConvergenceError, ElasticForce, Equilibrium, MooneyRivlin, StableNeoHookean, box_mesh
from simlayer.laboratory import LoadTest, Pull, Twist, identify_tests

pytestmark = pytest.mark.usefixtures("float64")

PULLED = torch.linspace(0.02, 0.12, 5, dtype=torch.float64)
TURNED = torch.linspace(0.2, 1.0, 5, dtype=torch.float64)


def step_of(material):
    mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1), element="hex8")
    ends = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
    return Equilibrium(mesh, {"elastic": ElasticForce(mesh, material)}, fixed=ends)


def tension(material, loads=None, **options):
    loads = torch.ones(5) if loads is None else loads
    return LoadTest(
        step_of(material), "x_max", Pull((1, 0, 0)), PULLED, loads, **{"name": "tension", **options}
    )


def torsion(material, loads=None, **options):
    loads = torch.ones(5) if loads is None else loads
    motion = Twist((1, 0, 0), about=(0.0, 0.05, 0.05))
    return LoadTest(step_of(material), "x_max", motion, TURNED, loads, **{"name": "torsion", **options})


@pytest.fixture(scope="module")
def curves():
    torch.set_default_dtype(torch.float64)
    material = MooneyRivlin(2e4, 1e4, 1e6)
    with torch.no_grad():
        found = tension(material).simulated(), torsion(material).simulated()
    torch.set_default_dtype(torch.float32)
    return found


def test_two_tests_that_share_a_material_determine_what_one_does_not(curves):
    noisy = [curve * (1 + 0.01 * noise(5, seed=k)) for k, curve in enumerate(curves)]
    material = MooneyRivlin(1.5e4, 1.5e4, 1e6)
    tests = [
        make(material, curve, noise=float(0.01 * curve.mean()))
        for make, curve in zip((tension, torsion), noisy, strict=True)
    ]
    found = identify_tests(tests, ["c10", "c01"])
    for (name, value), truth in zip(found.values.items(), (2e4, 1e4), strict=True):
        assert abs(value - truth) < 3 * found.standard_errors[name]
        for alone in found.alone.values():
            assert found.standard_errors[name] < 0.7 * alone[name]
    assert "alone: tension" in str(found)
    assert list(found.values) == ["forces.elastic.material.c10", "forces.elastic.material.c01"]
    assert float(material.c10) == pytest.approx(found.values["forces.elastic.material.c10"])


def test_materials_of_their_own_have_names_with_their_test(curves):
    tests = [
        tension(MooneyRivlin(1.5e4, 1e4, 1e6), curves[0]),
        torsion(MooneyRivlin(1.5e4, 1e4, 1e6), curves[1]),
    ]
    found = identify_tests(
        tests, ["tension.forces.elastic.material.c10", "torsion.forces.elastic.material.c10"]
    )
    assert list(found.values.values()) == pytest.approx([2e4, 2e4], rel=1e-6)
    with pytest.raises(KeyError, match="c10"):
        identify_tests(tests, "c10")


def test_a_test_with_little_noise_counts_more(curves):
    wrong = 1.2 * curves[0]
    values = []
    for first, second in ((1.0, 1e-5), (1e-3, 1e-2)):
        material = MooneyRivlin(1.5e4, 1e4, 1e6)
        tests = [tension(material, wrong, noise=first), torsion(material, curves[1], noise=second)]
        values += identify_tests(tests, "c10").values.values()
    assert values[0] == pytest.approx(2e4, rel=0.01)
    assert values[1] > 2.2e4


def test_a_trial_at_which_the_simulation_fails_is_a_rejected_step(curves):
    class Failing(LoadTest):
        """Has no equilibrium above the modulus, where a step from one that is too small goes."""

        failures = 0

        def simulated(self):
            if float(material.c10.detach()) > 2.2e4:
                self.failures += 1
                raise ConvergenceError("no equilibrium")
            return super().simulated()

    material = MooneyRivlin(4e3, 1e4, 1e6)
    test = Failing(step_of(material), "x_max", Pull((1, 0, 0)), PULLED, curves[0])
    found = identify_tests(test, "c10")
    assert test.failures > 0
    assert list(found.values.values()) == pytest.approx([2e4], rel=1e-4)


def test_tests_that_do_not_go_together_are_refused(curves):
    material = StableNeoHookean(1e5, 0.3)
    first = tension(material, curves[0])
    with pytest.raises(ValueError, match="different names"):
        identify_tests([first, tension(material, curves[0])], "youngs_modulus")
    with pytest.raises(ValueError, match="all tests or of none"):
        identify_tests([first, torsion(material, curves[1], noise=1e-3)], "youngs_modulus")
    with pytest.raises(TypeError, match=r"tests\[0\]"):
        identify_tests([material], "youngs_modulus")
    with pytest.raises(KeyError, match="c10"):
        identify_tests(first, "c10")
    with pytest.raises(TypeError, match=r"priors\['mine'\] must have the attribute `name`"):
        identify_tests(first, "youngs_modulus", priors={"mine": torch.nn.Identity()})


def test_an_error_of_the_simulation_says_what_to_check_of_a_specimen(curves):
    class Failing(LoadTest):
        def simulated(self):
            if abs(float(material.c10.detach()) - 1.5e4) > 1:
                raise ConvergenceError("no equilibrium.")
            return super().simulated()

    material = MooneyRivlin(1.5e4, 1e4, 1e6)
    test = Failing(step_of(material), "x_max", Pull((1, 0, 0)), PULLED, curves[0])
    with pytest.raises(ConvergenceError) as refused:
        identify_tests(test, "c10")
    message = str(refused.value)
    assert "c10 = " in message
    assert "check how the specimen is fixed and loaded" in message
    # These are keys of another task.
    assert "observation." not in message
    assert "initial" not in message


def test_the_standard_errors_of_fitted_values_are_how_far_those_of_the_unknowns_move_them(curves):
    material = MooneyRivlin(1.5e4, 1e4, 1e6)
    test = tension(material, curves[0] * (1 + 0.01 * noise(5, seed=0)))
    found = identify_tests([test], ["c10"])
    value, error = float(material.c10), found.standard_errors["forces.elastic.material.c10"]
    loads = []
    with torch.no_grad():
        for changed in (value - 0.1 * error, value + 0.1 * error):
            material.c10 = changed
            loads.append(test.simulated())
    moved = (loads[1] - loads[0]).abs() / 0.2
    # Central differences over a fifth of a standard error of some 1 %: the square of its thousandth.
    torch.testing.assert_close(found.fitted_errors["tension"], moved.view(-1), rtol=1e-5, atol=0.0)
