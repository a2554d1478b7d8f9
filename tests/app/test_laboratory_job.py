"""The task `laboratory`: tests on specimens, from the command line to results."""

import json
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch
from support.configs import composed

from simlayer import ElasticForce, Equilibrium, LinearElastic, State, box_mesh
from simlayer.app.laboratory_config import configured_tests
from simlayer.app.main import main
from simlayer.laboratory import LoadTest, Pull
from simlayer.linalg.rotation import rotation_matrix

BAR = "mesh: {_target_: simlayer.box_mesh, cells: [2, 1, 1], size: [0.2, 0.1, 0.1], element: hex8}"

# An experiment of one's own; the material is linear, so that a load is the stiffness times the amount.
HEAD = f"""# @package _global_
defaults:
  - override /task: laboratory
  - override /material: linear
  - override /step: equilibrium
  - override /constraints: clamped
  - override /mesh: box
name: mine
{BAR}
constraints: {{fixed: {{tag: x_min}}}}
material: {{youngs_modulus: 8.0e+4, poissons_ratio: 0.3}}
step: {{gravity: [0.0, 0.0, 0.0]}}
task:
  unknowns: [youngs_modulus]
"""

TWIN = """
  twin: {truth: {youngs_modulus: 1.0e+5}, noise: 0.0}
"""

PULL = """
  tests:
    pull:
      path: pull.csv
      amount: Travel
      amount_unit: mm
      load: Force
      load_unit: kN
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Run an experiment of this text, and return its results."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/experiment").mkdir(parents=True)

    def carry_out(text, *overrides):
        (tmp_path / "mine/experiment/own.yaml").write_text(HEAD + text)
        main(["experiment=own", "run_name=test", *overrides, "--config-dir", "mine"])
        (results,) = tmp_path.glob("*/test/results.json")
        results = results.rename(tmp_path / "last.json")
        return json.loads(results.read_text())

    return carry_out


def stiffness():
    """The load of the bar of 100 kPa at an amount of one."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element="hex8")
        fixed = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
        step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}, fixed=fixed)
        with torch.no_grad():
            return float(LoadTest(step, "x_max", Pull((1, 0, 0)), [1e-3], [1.0]).simulated()[0]) / 1e-3
    finally:
        torch.set_default_dtype(before)


def test_a_file_of_a_pull_with_units_is_fitted_loading_and_unloading(run, capsys):
    k = stiffness()
    rows = [f"{t};{x};{k * 1e-3 * x * 1e-3:.12g}" for t, x in enumerate((1, 2, 3, 2, 1))]
    rows[2] = rows[2].rpartition(";")[0] + ";"  # a gap
    Path("pull.csv").write_text("A machine\nTime;Travel;Force\ns;mm;kN\n" + "\n".join(rows))
    found = run(PULL + "      time: Time\n      time_unit: s\n")
    row = found["parameters"]["forces.elastic.material.youngs_modulus"]
    assert row["found"] == pytest.approx(1e5, rel=1e-6)
    assert row["unit"] == "Pa"
    assert found["tests"]["pull"]["numbers"] == 4
    assert found["tests"]["pull"]["relative_rms"] < 1e-6
    assert found["tests"]["pull"]["largest_von_mises_stress"]["value"] > 1e3
    files = {path.name for path in Path("outputs/test").iterdir()}
    assert {"pull.png", "pull_stress.png", "config.yaml"} <= files
    printed = capsys.readouterr().out
    assert "pull: 4 values of the force, up to" in printed
    assert "step 1: loss " in printed
    assert "Test pull: 4 values of the force" in printed


def test_a_single_file_is_that_of_the_data(run):
    Path("one.csv").write_text("Travel,Force\n1,2\n2,4\n3,6.01\n")
    columns = ["amount=Travel", "amount_unit=mm", "load=Force", "load_unit=N"]
    found = run("", "data.path=one.csv", *(f"task.common.{column}" for column in columns))
    assert list(found["tests"]) == ["one"]
    expected = 1e5 * 2e3 / stiffness()
    assert found["parameters"]["forces.elastic.material.youngs_modulus"]["found"] == pytest.approx(
        expected, rel=3e-3
    )


def test_tests_of_several_kinds_share_one_material_and_tell_what_each_alone_would(run, capsys):
    text = """
  tests:
    pull: {kind: pull, up_to: 0.004, rows: 3, unload: true}
    turn: {kind: twist, up_to: 0.02, rows: 2, about: [0.0, 0.05, 0.05]}
    camera:
      kind: displacements
      at: {tag: z_max}
      components: xy
      rigid_motion: true
      mesh: {cells: [3, 1, 1]}
      forces:
        load:
          _target_: simlayer.app.loads.distributed_load
          _partial_: true
          vertices: {tag: x_max}
          force: [1.0, 0.0, 0.0]
"""
    twin = TWIN.replace("noise: 0.0", "noise: 0.01").replace("1.0e+5", "1.0e+5, poissons_ratio: 0.25")
    found = run(text + twin, "task.unknowns=[youngs_modulus,poissons_ratio]")
    rows = found["parameters"]
    # One material: two unknowns, and not two of each test.
    assert list(rows) == [
        "forces.elastic.material.youngs_modulus",
        "forces.elastic.material.poissons_ratio",
    ]
    modulus = rows["forces.elastic.material.youngs_modulus"]
    assert modulus["reference"] == 1e5
    assert abs(modulus["found"] - 1e5) < 4 * modulus["standard_error"]
    assert set(modulus["alone"]) == {"pull", "turn", "camera"}
    assert found["tests"]["pull"]["numbers"] == 5
    assert found["tests"]["camera"]["numbers"] == 2 * 8
    printed = capsys.readouterr().out
    assert "\n  alone: youngs_modulus ±" in printed
    assert (Path("outputs/test") / "camera.png").is_file()


def test_a_test_through_time_needs_a_step_that_has_it(run):
    text = """
  tests:
    pull:
      up_to: 0.004
      rows: 3
      lasts: 0.05
      step: {_target_: simlayer.BackwardEuler, _partial_: true, dt: 0.01}
"""
    found = run(text + TWIN)
    row = found["parameters"]["forces.elastic.material.youngs_modulus"]
    assert row["relative_error"] < 1e-4
    with pytest.raises(SystemExit, match=r"task.tests.pull.time must be given .* as BackwardEuler"):
        run(text.replace("lasts", "#") + TWIN, "run_name=other")


def test_what_relaxes_needs_the_times_of_an_equilibrium_too(run):
    text = """
  tests:
    pull: {up_to: 0.004, rows: 3, lasts: 0.3}
"""
    relaxing = [
        "forces=viscoelastic",
        "material=neo_hookean",
        "step.dt=0.1",
        "task.unknowns=[relaxation_time]",
    ]
    twin = "  twin: {truth: {relaxation_time: 0.05}, noise: 0.0}"
    row = run(text + twin, *relaxing)["parameters"]["forces.elastic.terms.0.relaxation_time"]
    assert row["relative_error"] < 1e-3
    with pytest.raises(SystemExit, match=r"task.tests.pull.time must be given .* relaxes"):
        run(text.replace(", lasts: 0.3", "") + twin, *relaxing, "run_name=other")


def test_displacements_are_read_from_text_and_from_arrays(run):
    x, y = np.meshgrid(np.linspace(5, 195, 9), np.linspace(5, 95, 5))
    # A bar under its own weight along x: nothing but the force counts.
    strain = 1e-3
    u, v = strain * x, -0.3 * strain * y
    u[0, 0] = np.nan
    np.savez("field.npz", X=x, Y=y, U=np.stack([u, v], -1))
    lines = [
        f"{a},{b},{'' if np.isnan(c) else c},{d}"
        for a, b, c, d in zip(*map(np.ravel, (x, y, u, v)), strict=True)
    ]
    Path("field.csv").write_text("X,Y,U,V\n" + "\n".join(lines))
    text = """
  tests:
    camera:
      kind: displacements
      path: {path}
      points: {{x: X, y: Y}}
      points_unit: mm
      displacements: {columns}
      displacements_unit: mm
      origin: [0.0, 0.0, 0.1]
      rigid_motion: true
      constraints:
        fixed: [{{tag: x_min, components: x}}, {{tag: y_min, components: y}}, {{tag: z_min, components: z}}]
      forces:
        load:
          _target_: simlayer.app.loads.distributed_load
          _partial_: true
          vertices: {{tag: x_max}}
          force: [1.0, 0.0, 0.0]
"""
    for path, columns in (("field.csv", "{x: U, y: V}"), ("field.npz", "{x: 'U[0]', y: 'U[1]'}")):
        found = run(text.format(path=path, columns=columns), f"output={path[-3:]}")
        # The stress is 100 Pa, and the strain 1e-3.
        modulus = found["parameters"]["forces.elastic.material.youngs_modulus"]["found"]
        assert modulus == pytest.approx(1e5, rel=1e-6)
        assert found["tests"]["camera"]["numbers"] == 89


MEASURED = "Time;Travel;Force\n0;1;2\n1;2;4\n0.5;3;6\n"


@pytest.mark.parametrize(
    ("text", "overrides", "message"),
    [
        (
            PULL + "      time: Time\n      time_unit: s\n",
            [],
            "pull.csv: line 4: the time decreases, from 1 s to 0.5 s",
        ),
        (PULL + "      time: Time\n", [], "time_unit must be the unit of the time in the file, one of s, ms"),
        (
            PULL.replace("      load_unit: kN\n", ""),
            [],
            "task.tests.pull.load_unit must be given to read pull.csv",
        ),
        (
            PULL.replace("kN", "bar"),
            [],
            "task.tests.pull: pull.csv: load_unit must be the unit of the force in the file",
        ),
        (PULL.replace("Force", "force"), [], "did you mean 'Force'?"),
        (PULL.replace("Force", "7"), [], "no line with"),
        (PULL.replace("pull.csv", "none.csv"), [], "task.tests.pull: none.csv cannot be read"),
        (
            PULL.replace("amount:", "amont:"),
            [],
            "task.tests.pull.amont is no key of a test of kind pull; did you mean 'amount'",
        ),
        (PULL + "      kind: pul\n", [], "task.tests.pull.kind must be one of pull, twist"),
        (PULL + "      grip: {tag: top}\n", [], "task.tests.pull: "),
        (PULL + "      grip: {tag: top}\n", [], "has no vertices tagged 'top'"),
        ("  tests: {pull: {up_to: 0.01, rows: 0}}" + TWIN, [], "task.tests.pull.rows must be"),
        ("  tests: {pull: {up_to: far}}" + TWIN, [], "task.tests.pull.up_to must be"),
        (
            PULL + "    turn: {kind: twist}\n",
            [],
            "task.tests.turn.path must be given, as that of task.tests.pull",
        ),
        (PULL + "      mesh: bx\n", [], "task.tests.pull.mesh: mesh has no option 'bx'; did you mean 'box'"),
        ("  tests: {pull: {}}" + TWIN, [], "task.tests.pull.up_to must be given for a simulated test"),
        ("  tests: {p.q: {}}" + TWIN, [], "the name of a test must be of letters"),
        ("", [], "task.tests must have at least one test"),
        ("  tests: {pull: {up_to: 0.01}}", [], "task.twin.truth must have values"),
        (
            "  tests: {pull: {up_to: 0.01, rows: 1}}" + TWIN,
            ["task.unknowns=[poissons_ratio]"],
            "task.twin.truth has no value for forces.elastic.material.poissons_ratio",
        ),
        (PULL, ["task.unknowns=[]"], "task.unknowns must name at least one quantity"),
        (PULL, ["task.unknowns=[young]"], "no quantity is named 'young'"),
        (PULL, ["duration=1"], "duration has no effect with this task"),
        (PULL, ["trainable=[density]"], "trainable has no effect with this task"),
        (PULL, ["task.common.gripp=1"], "no key is named 'task.common.gripp'"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_place_and_a_remedy(run, text, overrides, message):
    Path("pull.csv").write_text(MEASURED)
    with pytest.raises(SystemExit) as refused:
        run(text, *overrides)
    assert message in str(refused.value)


def test_parts_of_a_test_replace_keys_of_the_whole_or_another_class():
    config = composed("task=laboratory", "mesh=box", "forces=[elastic,load]")
    config.task.tests = {
        "a": {"up_to": 1, "mesh": {"cells": [1, 1, 1]}},
        "b": {"up_to": 1, "mesh": {"_target_": "simlayer.ball_mesh"}, "forces": {"load": None}},
    }
    a, b = configured_tests(config, config.task.tests, {"kind": "pull", "grip": {"tag": "x_max"}})
    assert (list(a.config.mesh.cells), a.config.mesh.element) == ([1, 1, 1], "tet4")
    assert set(b.config.mesh) == {"_target_"}
    assert set(b.config.forces) == {"elastic"}
    assert len(a.config.constraints.fixed) == 2


CAVITY = """
  tests:
    inflation:
      kind: pressure_volume
      cavity: cavity
      up_to: 500.0
      rows: 3
      mesh: {_target_: support.meshes.hollow, element: hex8, amount: 0.0}
      forces:
        cavity:
          _target_: simlayer.app.actuators.cavity_pressure
          _partial_: true
          surface: {tag: cavity}
          pressure: 0.0
"""


def test_the_inflation_of_a_cavity_is_fitted(run, capsys):
    found = run(CAVITY + TWIN)
    assert found["parameters"]["forces.elastic.material.youngs_modulus"]["relative_error"] < 1e-6
    assert "3 values of the change of volume, up to" in capsys.readouterr().out
    # An open one is refused with the place of its rim.
    lid = "surface: {box: {lower: [0.3, 0.3, 0.3], upper: [0.7, 0.7, 0.5]}}"
    with pytest.raises(SystemExit, match=r"must be closed, got|none of the faces"):
        run(CAVITY.replace("surface: {tag: cavity}", lid) + TWIN, "output=open")
    with pytest.raises(SystemExit, match=r"no force is named 'chamber'; did you mean|there are"):
        run(CAVITY.replace("cavity: cavity", "cavity: chamber") + TWIN, "output=other")


FIELD = """
  tests:
    camera:
      kind: displacements
      at: {tag: z_max}
      components: xy
      mesh: {cells: [6, 2, 1], element: hex8}
      forces:
        load:
          _target_: simlayer.app.loads.distributed_load
          _partial_: true
          vertices: {tag: x_max}
          force: [10.0, 3.0, 0.0]
  twin:
    noise: 0.01
    truth:
      youngs_modulus:
        _target_: simlayer.app.synthetic_fields.inclusion
        _partial_: true
        inside: 3.0e+5
        outside: 1.0e+5
        center: [0.1, 0.05, 0.05]
        radius: 0.04
"""


def test_a_field_of_values_is_found_with_a_prior_and_drawn(run, capsys):
    found = run(FIELD, "priors=smoothness", "++fields.youngs_modulus=cells", "priors.smoothness.weight=1e-4")
    row = found["parameters"]["forces.elastic.material.youngs_modulus"]
    assert row["values"] == 12
    soft, stiff = row["regions"]
    assert soft["median_error"] < 0.1
    assert stiff["median_error"] < 0.3
    files = {path.name for path in Path("outputs/test").iterdir()}
    assert {"youngs_modulus.png", "camera.png"} <= files
    assert "mean of 12" in capsys.readouterr().out


def test_a_load_cell_and_a_camera_tell_together_what_neither_does_alone(run, capsys):
    text = """
  tests:
    pull: {up_to: 0.004, rows: 2}
    camera: {kind: displacements, at: {tag: z_max}, components: xy, moved_by: 0.004}
  twin: {truth: {youngs_modulus: 1.0e+5, poissons_ratio: 0.2}, noise: 0.001}
"""
    found = run(text, "task.unknowns=[youngs_modulus,poissons_ratio]", "task.common.rows=2")["parameters"]
    modulus = found["forces.elastic.material.youngs_modulus"]
    assert modulus["alone"]["camera"] is None
    assert found["forces.elastic.material.poissons_ratio"]["determined"]
    for row in found.values():
        assert abs(row["found"] - row["reference"]) < 4 * row["standard_error"]
    alone = "\n".join(line for line in text.splitlines() if "pull:" not in line)
    found = run(alone, "task.unknowns=[youngs_modulus,poissons_ratio]", "output=alone")["parameters"]
    assert not found["forces.elastic.material.youngs_modulus"]["determined"]
    printed = capsys.readouterr().out
    assert "NOT DETERMINED: youngs_modulus is not determined" in printed
    assert "leave it out of `task.unknowns`" in printed


def test_a_twin_on_a_finer_mesh_shows_the_error_of_the_mesh(run):
    text = "  tests: {pull: {up_to: 0.01, rows: 1}}" + TWIN.replace("noise", "mesh: refined, noise")
    row = run(text)["parameters"]["forces.elastic.material.youngs_modulus"]
    # A finer mesh is softer.
    assert 0.9e5 < row["found"] < 0.999e5


def test_parts_of_tests_are_found_in_ones_own_folder(run):
    Path("mine/constraints").mkdir()
    Path("mine/constraints/left.yaml").write_text("fixed: {tag: x_min}\n")
    text = "  tests: {pull: {up_to: 0.01, rows: 1, constraints: left}}"
    assert run(text + TWIN)["tests"]["pull"]["numbers"] == 1


SCAN = """
  tests:
    bent: {kind: scan, outlier_distance: 2.0e-3, GIVEN}
"""
HANGING = ["step.gravity=[0,0,-9.81]", "mesh.cells=[4,1,1]"]


def test_a_scan_is_simulated_fitted_and_drawn(run, capsys):
    text = SCAN.replace("GIVEN", "count: 200, outliers: 0.05, surface_reach: 0.02")
    found = run(text + TWIN.replace("noise: 0.0", "noise: 0.02"), *HANGING)
    row = found["parameters"]["forces.elastic.material.youngs_modulus"]
    assert abs(row["found"] - 1e5) < 4 * row["standard_error"]
    assert row["standard_error"] < 1e3
    told = found["tests"]["bent"]
    assert (told["kind"], told["numbers"], told["unit"]) == ("scan", 200, "m")
    assert 0.02 < told["scan"]["outliers"] < 0.1
    assert told["relative_rms"] < 0.4  # an outlier counts as 2 mm
    assert {"bent.png", "bent_stress.png"} <= {path.name for path in Path("outputs/test").iterdir()}
    printed = capsys.readouterr().out
    assert "bent: a scan of 200 points, half of them more than" in printed
    assert "of the median distance at rest" in printed
    assert "% outliers beyond 2 mm" in printed


@pytest.mark.parametrize("suffix", ["xyz", "ply"])
def test_the_file_of_a_scan_in_millimetres_and_a_frame_of_its_own_is_fitted_with_a_curve(run, suffix):
    points, stiff = scanned(), stiffness()
    write_scan(Path(f"bent.{suffix}"), 1e3 * points)
    Path("pull.csv").write_text("\n".join(f"{x};{stiff * 1e-6 * x:.12g}" for x in (1, 2, 3)))
    columns = "amount: 0, amount_unit: mm, load: 1, load_unit: kN"
    own = "step: {gravity: [0, 0, 0]}, mesh: {cells: [2, 1, 1]}"
    pull = f"pull: {{path: pull.csv, {columns}, {own}}}"
    given = f"path: bent.{suffix}, unit: mm, rigid_motion: true"
    found = run(SCAN.replace("GIVEN", given) + f"    {pull}\n", *HANGING)
    row = found["parameters"]["forces.elastic.material.youngs_modulus"]
    assert row["found"] == pytest.approx(1e5, rel=1e-3)
    assert set(row["alone"]) == {"bent", "pull"}
    moved = found["tests"]["bent"]["scan"]["moved"]
    assert moved["turned"] == pytest.approx(5.0, abs=0.05)


def scanned():
    """Points of the bar under its weight, turned by 5 degrees and moved by some millimetres."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        mesh = box_mesh(cells=(4, 1, 1), size=(0.2, 0.1, 0.1), element="hex8")
        forces = {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}
        step = Equilibrium(mesh, forces, fixed="x_min", gravity=(0.0, 0.0, -9.81))
        with torch.no_grad():
            corners = step(State.at_rest(mesh.vertices)).positions[mesh.boundary]
        shares = -torch.rand(6, len(corners), 3, generator=torch.Generator().manual_seed(0)).log()
        points = ((shares / shares.sum(-1, keepdim=True))[..., None] * corners).sum(-2).flatten(0, 1)
        turn = rotation_matrix(torch.tensor([0.6, 0.0, 0.8]) * torch.pi / 36)
        return (points @ turn.T + torch.tensor([0.003, 0.004, -0.002])).numpy()
    finally:
        torch.set_default_dtype(before)


def write_scan(path, points):
    if path.suffix == ".xyz":
        np.savetxt(path, points)
    else:  # triangles of points that are next to each other in no way
        meshio.Mesh(points, {"triangle": np.arange(len(points)).reshape(-1, 3)}).write(path)
