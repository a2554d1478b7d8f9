"""Fits that begin with a coarser simulation, and what the mesh and the step change."""

import json
import sys

import pytest
from support.configs import composed

from simlayer.app.coarse_start import start_from_coarse
from simlayer.app.interruption import Interrupted, Interruption
from simlayer.app.main import main
from simlayer.app.problem import build_problem
from simlayer.errors import ConfigError, SimulationError
from simlayer.identification.least_squares import LeastSquares

E = "forces.elastic.material.youngs_modulus"
# A beam of hex20, as its own twin, that is let go under its weight and filmed at its tip.
BEAM = (
    *("mesh=box", "mesh.cells=[6,2,2]", "mesh.element=hex20", "mesh.size=[0.1,0.03,0.03]"),
    *("material=linear", "material.youngs_modulus=2e5", "material.poissons_ratio=0.4"),
    *("data=marker_paths", "data.points={p:[0.1,0,0.03],q:[0.1,0.03,0]}", "data.frame_rate=100"),
    *("++data.truth.youngs_modulus=1e5", "constraints.fixed.tag=x_min", "initial=at_rest", "duration=0.1"),
    *("step=newmark", "step.dt=5e-3", "step.gravity=[0,0,-9.81]", f"trainable=[{E}]", "observation.frames=2"),
)
COARSE = ("coarse.mesh={cells:[3,1,1]}", "coarse.step={dt:1e-2}")


def problem(*overrides):
    return build_problem(composed(*BEAM, *overrides))


def start(problem):
    start_from_coarse(problem, Interruption(), loud=False)


@pytest.mark.usefixtures("float64")
def test_a_fit_begins_with_a_coarser_mesh_and_says_what_mesh_and_step_change(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    main([*BEAM, *COARSE, "logger=csv", "run_name=test"])
    results = json.loads((tmp_path / "outputs/test/results.json").read_text())
    row, out = results["parameters"][E], capsys.readouterr().out
    assert row["found"] == pytest.approx(1e5, rel=1e-4)  # the loss is small enough
    # From where the coarse fit ends, 3 % away; the first guess needs four.
    assert results["epochs"] <= 3
    assert row["discretization"].keys() == {"mesh", "step"}
    assert "coarse    1  loss = " in out
    assert f"Discretization of {E}: mesh " in out


@pytest.mark.usefixtures("float64")
def test_a_coarse_simulation_that_fails_leaves_the_first_guess(monkeypatch):
    fit = problem(*COARSE)

    def fail(*_):
        raise SimulationError("it tore")

    monkeypatch.setattr(LeastSquares, "linearized", fail)
    start(fit)
    assert fit.model.unknowns[0].value.item() == pytest.approx(2e5)


@pytest.mark.usefixtures("float64")
def test_a_coarse_simulation_that_always_fails_costs_a_run_nothing_else(tmp_path, monkeypatch, capsys):
    """Its explicit steps are longer than stable ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    mesh = ("mesh=box", "mesh.cells=[2,1,1]", "mesh.size=[0.1,0.03,0.03]", "constraints.fixed.tag=x_min")
    data = ("data=marker_paths", "data.points={p:[0.1,0,0.03]}", "data.frame_rate=100")
    motion = ("initial=at_rest", "duration=0.03", "step.dt=5e-4", "step.gravity=[0,0,-9.81]")
    moduli = ("material.youngs_modulus=1.1e5", "++data.truth.youngs_modulus=1e5", f"trainable=[{E}]")
    options = ("rollout.compile=false", "logger=csv", "run_name=test")
    main([*mesh, *data, *motion, *moduli, *options, "coarse.step={dt:5e-3}"])
    results, out = json.loads((tmp_path / "outputs/test/results.json").read_text()), capsys.readouterr().out
    assert "standard_error" in results["parameters"][E]
    assert "discretization" not in results["parameters"][E]
    assert "What the step changes is not known: the coarser simulation failed: dt = 0.005 s is beyond" in out
    assert (tmp_path / "outputs/test/found_over_target.png").is_file()


@pytest.mark.usefixtures("float64")
def test_a_signal_ends_the_coarse_fit_after_its_step():
    fit, interruption = problem(*COARSE), Interruption()
    interruption.asked = 2
    with pytest.raises(Interrupted):
        start_from_coarse(fit, interruption, loud=False)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (
            ["coarse.mesh={cells:[6,2,2]}"],
            "coarse.mesh must make the simulation coarser, got 24 cells",
        ),
        (["coarse.step={dt:2e-3}"], "coarse.step must make the simulation coarser, got steps of 0.002 s"),
        (
            ["coarse.mesh={cells:[3,1,1]}", "++fields.youngs_modulus=cells"],
            "coarse.mesh and coarse.step need a loss that is",
        ),
    ],
)
def test_what_is_not_coarser_is_refused(overrides, message):
    with pytest.raises(ConfigError, match=message):
        problem(*overrides)


@pytest.mark.usefixtures("float64")
def test_a_coarser_mesh_needs_points_that_are_given_by_position():
    config = composed(
        "mesh=box",
        "constraints.fixed.tag=x_min",
        "mesh.cells=[4,2,2]",
        "coarse.mesh={cells:[2,1,1]}",
        f"trainable=[{E}]",
    )
    with pytest.raises(ConfigError, match=r"coarse.mesh has .* points to compare with .* that were observed"):
        build_problem(config)
