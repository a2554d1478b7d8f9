import math

import pytest
import torch

from simlayer import (
    ConvergenceError,
    ElasticForce,
    Equilibrium,
    LinearElastic,
    MooneyRivlin,
    Newmark,
    ObservationError,
    StableNeoHookean,
    Yeoh,
    box_mesh,
)
from simlayer.errors import ImplausibleWarning
from simlayer.laboratory import LoadTest, Pull, Twist
from simlayer.material_point import MaterialPoint

pytestmark = pytest.mark.usefixtures("float64")

ROWS = torch.tensor([0.01, 0.02, 0.03, 0.02, 0.0], dtype=torch.float64)


def bar(element="hex8", cells=(3, 1, 1)):
    return box_mesh(cells=cells, size=(0.3, 0.1, 0.1), element=element)


def gripped(mesh):
    """All components of both ends are fixed."""
    return torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])


def step_of(mesh, material=None, kind=Equilibrium, **options):
    material = StableNeoHookean(1e5, 0.3) if material is None else material
    return kind(mesh, {"elastic": ElasticForce(mesh, material)}, fixed=gripped(mesh), **options)


def test_the_force_of_a_uniform_bar_is_its_modulus_times_its_section_and_strain():
    mesh = bar()
    sides = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    sides[gripped(mesh)] = True
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.0))}, fixed=sides)
    test = LoadTest(step, "x_max", Pull((2, 0, 0)), ROWS, torch.ones(5), copies=4)
    with torch.no_grad():
        force = test.simulated()
    torch.testing.assert_close(force, 4 * 1e5 * 0.01 * ROWS / 0.3, rtol=1e-8, atol=1e-8)


def test_unloading_goes_back_the_way_of_loading():
    step = step_of(bar())
    with torch.no_grad():
        force = LoadTest(step, "x_max", Pull((1, 0, 0)), ROWS, torch.ones(5)).simulated()
    assert float(force[1]) == pytest.approx(float(force[3]), rel=1e-7)
    assert float(force[4].abs()) < 1e-7 * float(force.max())
    assert float(force[2]) > float(force[1]) > float(force[0]) > 0


def test_the_torque_of_a_twisted_shaft_is_that_of_saint_venant():
    mesh = box_mesh(cells=(4, 4, 12), size=(0.1, 0.1, 0.6), origin=(-0.05, -0.05, 0.0), element="hex20")
    ends = torch.cat([mesh.vertex_sets["z_min"], mesh.vertex_sets["z_max"]])
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}, fixed=ends)
    with torch.no_grad():
        torque = LoadTest(step, "z_max", Twist((0, 0, 1)), [0.01], [1.0]).simulated()
    # A square section: torsion constant .1406 a⁴ (Timoshenko, Goodier 1951); held ends stiffen it a little.
    exact = 1e5 / 2.6 * 0.1406 * 0.1**4 * 0.01 / 0.6
    assert exact < float(torque[0]) < 1.05 * exact


def test_a_slow_dynamic_test_measures_what_a_static_one_does():
    mesh, times = bar("tet4"), torch.linspace(0.5, 4.0, 8)
    rows = 0.02 * times / 4
    static = LoadTest(step_of(mesh), "x_max", Pull((1, 0, 0)), rows, torch.ones(8))
    step = step_of(mesh, kind=Newmark, dt=0.02)
    moving = LoadTest(step, "x_max", Pull((1, 0, 0)), rows, torch.ones(8), times=times)
    assert moving.rollout.num_steps == 200
    with torch.no_grad():
        expected, found = static.simulated(), moving.simulated()
    # Waves that the start of the pull sends, of its speed times the impedance of the section.
    impedance = 0.01 * math.sqrt(1e5 * 1000) * 0.005
    assert float((found - expected).abs().max()) < 3 * impedance


def cube(material, moved):
    """An eighth of a cube, between planes of symmetry and lubricated grips on some sides."""
    mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1), element="hex20")
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    for axis, name in enumerate("xyz"):
        fixed[mesh.vertex_sets[f"{name}_min"], axis] = True
    for side in moved:
        fixed[mesh.vertex_sets[side], "xyz".index(side[0])] = True
    return Equilibrium(mesh, {"elastic": ElasticForce(mesh, material)}, fixed=fixed)


@pytest.mark.parametrize("path", ["uniaxial", "planar", "equibiaxial"])
def test_lubricated_and_coupled_grips_measure_the_stress_of_a_material_point(path):
    material, stretch = MooneyRivlin(2e5, 5e4, 1e8), torch.tensor([1.2, 2.0])
    sides = {"uniaxial": ["x_max"]}.get(path, ["x_max", "y_max"])
    coupled = {"y_max": Pull((0, 1, 0))} if path == "equibiaxial" else None
    test = LoadTest(
        cube(material, sides), "x_max", Pull((1, 0, 0)), 0.1 * (stretch - 1), torch.ones(2), coupled=coupled
    )
    with torch.no_grad():
        # The deformation is homogeneous, and in the space of the elements.
        torch.testing.assert_close(test.simulated() / 0.01, MaterialPoint(material)(stretch, path).stress)


def test_a_law_without_a_lower_bound_fails_early_with_the_name_of_the_test():
    with pytest.warns(ImplausibleWarning, match="loses stability"):
        material = Yeoh(2e5, -1e3, -40.0, 1e9)
    test = LoadTest(
        cube(material, ["x_max"]), "x_max", Pull((1, 0, 0)), [0.02, 0.6], [1.0, 1.0], name="to failure"
    )
    with pytest.raises(
        ConvergenceError, match=r"test 'to failure' fails in step 2.*falls without end"
    ) as raised:
        test.simulated()
    # Within some iterations of each load step.
    assert len(raised.value.history) < 30


def test_derivatives_of_a_force_are_exact():
    material = MooneyRivlin(2e4, 1e4, 1e6)
    test = LoadTest(step_of(bar(), material), "x_max", Pull((1, 0, 0)), [0.02, 0.05], [1.0, 1.0])
    from simlayer import parameter_jacobian

    parameter = material.get_parameter("log_c01")
    value, found = parameter_jacobian(test.residuals, {"c01": parameter})
    h, ends = 1e-4, []
    for sign in (1, -1):
        with torch.no_grad():
            parameter += sign * h
            ends.append(test.residuals())
            parameter -= sign * h
    torch.testing.assert_close(found["c01"], (ends[0] - ends[1]) / (2 * h), rtol=1e-5, atol=1e-8)
    assert value.shape == (2,)


def test_a_curve_that_does_not_fit_is_refused_with_its_row():
    step, motion = step_of(bar()), Pull((1, 0, 0))
    for change, match in (
        ({"amounts": [0.0, float("nan")]}, r"amounts must be finite, got nan in row 1"),
        ({"amounts": [0.0, 0.1, 0.2]}, r"as many"),
        ({"times": [0.0, 0.0]}, r"must increase, got 0 s and then 0 s in row 1"),
        ({"times": [0.0]}, r"one for each of the 2 amounts"),
        ({"loads": [float("nan")] * 2}, r"nothing was measured"),
        ({"loads": [1.0, float("inf")]}, r"infinite, got so at \(1,\)"),
    ):
        given = {"amounts": [0.0, 0.1], "loads": [0.0, 1.0]} | change
        with pytest.raises(ObservationError, match=match):
            LoadTest(step, "x_max", motion, **given)
    with pytest.raises(ValueError, match=r"4 vertices that are not fixed"):
        LoadTest(step, "y_max", motion, [0.1], [1.0])
