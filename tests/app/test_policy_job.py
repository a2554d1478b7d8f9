"""The task `reach`: a run that trains a policy, resumes, and refuses what it does not read."""

import json
from pathlib import Path

import pytest
import torch
from support.configs import composed

from simlayer.app.jobs import build_job
from simlayer.app.main import main
from simlayer.app.selection import parts_of_cells
from simlayer.mesh import MeshError, box_mesh

ARM = (
    "experiment=soft_arm",
    "duration=0.006",
    "task.goals=8",
    "task.held_out=4",
    "task.batch_size=4",
    "logger=csv",
    "run_name=test",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "imageio_ffmpeg", None)  # no movies
    return Path("outputs/test")


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_run_writes_its_measures_weights_and_pictures(folder, capsys):
    main([*ARM, "trainer.max_epochs=2"])
    found = results(folder)
    distance = found["measures"]["distance from unseen goals"]
    assert distance["unit"] == "m"
    assert 0 < distance["found"] < 2 * distance["initial"]
    assert found["ended"] == "all 2 epochs"
    assert "distance from unseen goals: " in capsys.readouterr().out
    assert {"learned.png", "convergence.png", "motion.pvd", "weights.pt"} <= {
        p.name for p in folder.iterdir()
    }
    weights = torch.load(folder / "weights.pt", weights_only=True)
    assert any(name.startswith("rollout.policy.network") for name in weights)
    rows = (folder / "csv/metrics.csv").read_text().splitlines()
    assert len(rows) == 4  # a head, and the epochs 0 to 2


def test_a_run_that_is_resumed_is_the_run_that_was_not_interrupted(folder):
    main([*ARM, "trainer.max_epochs=2", "scheduler=none"])
    once = results(folder)
    main([*ARM[:-1], "run_name=other", "trainer.max_epochs=1", "scheduler=none"])
    main([*ARM[:-1], "run_name=other", "trainer.max_epochs=2", "scheduler=none"])
    again = results(Path("outputs/other"))
    assert again["epochs"] == once["epochs"] == 2
    assert again["loss"]["found"] == pytest.approx(once["loss"]["found"], rel=1e-6)
    assert len((Path("outputs/other") / "csv/metrics.csv").read_text().splitlines()) == 4


def test_a_shape_is_trained_with_the_policy(folder):
    design = "{_target_:simlayer.learning.ThicknessProfile,_partial_:true,axis:z,rate:20}"
    main([*ARM, "trainer.max_epochs=1", f"task.design={design}", "step.dt=4e-4"])
    weights = torch.load(folder / "weights.pt", weights_only=True)
    assert weights["design.design"].shape == (5,)
    assert bool(weights["design.design"].any())


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("loss=last_positions", "loss has no effect with this task"),
        ("trainable=[density]", "trainable has no effect with this task"),
        ("optimizer=lbfgs", "set optimizer=adam, adamw or sgd"),
        ("trainer.devices=2", "runs in one process: set trainer.devices=1"),
        ("duration=null", "duration must be given with task=reach"),
        ("initial=pulled_and_twisted initial.known.pull=[1,2]", "initial.known must be one state"),
        ("task.controls=[activatoin]", "activatoin"),
        ("++task.parts={forces.muscle.activation:[2,2]}", "parts must be how many along x, y and z"),
        ("debug=gradients", "check_gradients"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, override, message):
    with pytest.raises(SystemExit) as refused:
        main([*ARM, *override.split()])
    assert message in str(refused.value)
    assert not folder.exists()


def test_goals_are_as_far_as_asked_along_each_axis():
    jobs = []
    for scale in ("1.0", "[2,1,0.5]"):
        torch.manual_seed(0)  # of the random controls
        jobs.append(build_job(composed(*ARM[:-1], f"task.goal_scale={scale}"), given=()))
    near, far = jobs
    rest = near.objective.point(near.training.positions)
    torch.testing.assert_close(
        far.goals - rest, (near.goals - rest) * torch.tensor([2.0, 1.0, 0.5]), rtol=1e-4, atol=1e-8
    )


def test_the_parts_of_a_body_are_counted_along_its_axes():
    mesh = box_mesh(cells=(4, 2, 2), size=(0.4, 0.2, 0.2), element="hex8")
    parts = parts_of_cells(mesh, [2, 1, 2])
    middles = mesh.vertices[mesh.cells].mean(1)
    assert torch.equal(parts, (middles[:, 0] > 0.2).long() + 2 * (middles[:, 2] > 0.1).long())
    # Parts finer than the cells are as many as the cells.
    assert parts_of_cells(mesh, [9, 1, 1]).unique().tolist() == [0, 1, 2, 3]
    with pytest.raises(MeshError, match="parts must be"):
        parts_of_cells(mesh, [0, 1, 1])
