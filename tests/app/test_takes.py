"""Recordings that are fitted together, from files."""

import json
import sys

import pytest
import torch
from omegaconf import OmegaConf
from support.configs import composed
from support.recordings import write_csv

from simlayer import ElasticForce, LinearElastic, RolloutModule, State, SymplecticEuler, box_mesh
from simlayer.app.announcement import describe_fit
from simlayer.app.config_checks import check_config
from simlayer.app.main import main
from simlayer.app.problem import build_problem
from simlayer.app.takes import all_releases, take_names
from simlayer.errors import ConfigError
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.sensors import Markers
from simlayer.motion_capture.recording import Recording
from simlayer.viewer import read_motion

E = "forces.elastic.material.youngs_modulus"


def record(path, *, first, release, frames, seed):
    """Two markers on a beam that is let go under its weight, filmed with 20 µm of noise."""
    mesh = box_mesh(cells=(2, 1, 1), size=(0.06, 0.03, 0.03))
    elastic = ElasticForce(mesh, LinearElastic(1e5, 0.3))
    step = SymplecticEuler(mesh, {"elastic": elastic}, dt=5e-4, fixed="x_min", gravity=(0.0, 0.0, -9.81))
    times = first + 0.002 * torch.arange(frames, dtype=torch.float64)
    markers = Markers(mesh, torch.tensor([[0.06, 0.0, 0.03], [0.06, 0.03, 0.0]]))
    observed = ObservedRollout(RolloutModule(step, 200, compile=False), markers, times, release_time=release)
    with torch.no_grad():
        points = observed(State.at_rest(mesh.vertices[None]))[0]
    noise = 2e-5 * torch.randn(points.shape, generator=torch.Generator().manual_seed(seed))
    write_csv(path, Recording(times, points + noise, ("p", "q")))


@pytest.mark.usefixtures("float64")
def test_one_modulus_is_found_from_two_takes_with_a_release_and_a_residual_each(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    record(tmp_path / "b.csv", first=2.0, release=2.0031, frames=40, seed=0)
    record(tmp_path / "a.csv", first=0.5, release=0.5012, frames=35, seed=1)
    main(
        [
            *("mesh=box", "mesh.cells=[2,1,1]", "mesh.size=[0.06,0.03,0.03]", "constraints.fixed.tag=x_min"),
            *("material=linear", "material.youngs_modulus=1.3e5", "material.poissons_ratio=0.3"),
            *("data=marker_paths", "data.points={p:[0.06,0,0.03],q:[0.06,0.03,0]}", "data.path=b.csv"),
            *("step.dt=5e-4", "takes=[{data:{path:a.csv},release_time:0.5}]", "observation.release_time=2.0"),
            *("observation.margin=0.01", f"trainable=[{E},release_time]", "logger=csv", "run_name=test"),
        ]
    )
    results = json.loads((tmp_path / "outputs/test/results.json").read_text())
    rows = results["parameters"]
    assert list(rows) == [E, "b.release_time", "a.release_time"]
    truth = {E: 1e5, "b.release_time": 2.0031, "a.release_time": 0.5012}
    for name, value in truth.items():
        assert abs(rows[name]["found"] - value) < 4 * rows[name]["standard_error"]
    assert rows[E]["standard_error"] < 0.02 * 1e5
    assert {name: row["rms"] for name, row in results["takes"].items()} == pytest.approx(
        {"a": 3**0.5 * 2e-5, "b": 3**0.5 * 2e-5}, rel=0.15
    )
    out = capsys.readouterr().out
    assert "Residual of take a: 0.03" in out
    assert "±" in out
    assert (
        out.count("There is no motion.mp4, which needs the extra `movie`: pip install 'simlayer[movie]'") == 1
    )
    assert (tmp_path / "outputs/test/found_over_a.png").is_file()
    assert (tmp_path / "outputs/test/uncertainty.png").is_file()
    points = read_motion(tmp_path / "outputs/test").points
    assert list(points) == ["observed b", "simulated b", "observed a", "simulated a"]
    # By the clock of the simulation, which starts at the release that was found for each.
    for name, first in (("b", 2.0), ("a", 0.5)):
        expected = first - rows[f"{name}.release_time"]["found"]
        assert float(points[f"observed {name}"].times[0]) == pytest.approx(expected, abs=1e-9)


@pytest.mark.usefixtures("float64")
def test_the_release_of_every_take_that_was_not_given_is_said_to_be_assumed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    record(tmp_path / "b.csv", first=2.0, release=2.0031, frames=20, seed=0)
    record(tmp_path / "a.csv", first=0.5, release=0.5012, frames=20, seed=1)
    config = composed(
        *("mesh=box", "mesh.cells=[2,1,1]", "mesh.size=[0.06,0.03,0.03]", "constraints.fixed.tag=x_min"),
        *("data=marker_paths", "data.points={p:[0.06,0,0.03],q:[0.06,0.03,0]}", "data.path=b.csv"),
        *("takes=[{data:{path:a.csv}}]", "step.dt=5e-4", f"trainable=[{E}]"),
    )
    problem = build_problem(config)

    def assumed(config, *given):
        return dict(describe_fit(config, problem, given=given))["Assumed"]

    assert "released at 2 s (b) and 0.5 s (a) of the files' clocks" in assumed(config, "takes")
    assert "released at 0.5 s (a) of the file's clock" in assumed(config, "takes", "observation.release_time")
    config.takes = [{**config.takes[0], "release_time": 0.5}]
    assert "released at 2 s (b) of the file's clock" in assumed(config, "takes")
    assert "released" not in assumed(config, "takes", "observation")


def test_release_time_stands_for_that_of_every_take():
    assert all_releases([E, "release_time"], ["a", "b"]) == [E, "a.release_time", "b.release_time"]
    assert all_releases([E, "release_time"], ["a"]) == [E, "release_time"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["takes=[{data:{path:nowhere.csv}}]"], "takes.0.data.path: nowhere.csv does not exist"),
        (["takes=[{release_time:0.1}]"], "takes[0] must have data, and may have release_time"),
        (["takes=[{data:{path:null}}]", "trainer=ddp_cpu"], "in one process: set trainer.devices=1"),
    ],
)
def test_takes_that_cannot_be_fitted_say_why(overrides, message):
    with pytest.raises(ConfigError) as error:
        check_config(composed(*overrides), multirun=False)
    assert message in str(error.value)
    assert OmegaConf.is_list(composed("takes=[]").takes)


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.csv", "b.c.csv"], ["a", "b_c"]),
        (["x/a.csv", "y/a.csv", "a_1.csv"], ["a_1_", "a_2", "a_1"]),
        (["train.csv"], ["train_1"]),
    ],
)
def test_every_recording_has_a_name_of_its_own_that_a_module_can_have(paths, names):
    assert take_names(paths) == names
