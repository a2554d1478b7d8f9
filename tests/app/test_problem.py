"""The fit that a configuration describes, and the motion that it has found."""

import sys

import pytest
import torch
from support.configs import composed

from simlayer import RolloutModule
from simlayer.app.main import main
from simlayer.app.problem import build_problem

BEAM = (
    *(
        "mesh=box",
        "mesh.cells=[3,1,1]",
        "mesh.size=[0.1,0.03,0.03]",
        "material=linear",
        "rollout.compile=false",
    ),
    *("data=marker_paths", "data.points={p:[0.1,0,0.03],q:[0.1,0.03,0]}", "data.frame_rate=500"),
    *("++data.truth.youngs_modulus=1.1e5", "constraints.fixed.tag=x_min", "initial=at_rest", "duration=0.02"),
    *("step=newmark", "step.dt=2e-3", "step.gravity=[0,0,-9.81]", "trainable=[youngs_modulus]"),
)


@pytest.mark.usefixtures("float64")
def test_frames_of_the_motion_are_as_many_steps_apart_as_asked():
    problem = build_problem(composed(*BEAM))
    each, fifth = problem.motion(1).positions, problem.motion(5).positions
    assert each.shape == (11, 1, *problem.scene.mesh.vertices.shape)
    assert torch.equal(fifth, each[::5])


def test_a_fit_by_gauss_newton_simulates_nothing_twice(tmp_path, monkeypatch):
    """Not for the picture of an epoch either, and its results."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    trajectory, moduli = RolloutModule.trajectory, []

    def counted(self, *args, **kwargs):
        moduli.append(self.step.forces["elastic"].material.youngs_modulus.tolist())
        return trajectory(self, *args, **kwargs)

    monkeypatch.setattr(RolloutModule, "trajectory", counted)
    main([*BEAM, "logger=wandb_offline", "run_name=test", "observation.frames=1"])
    assert len(moduli) > 3
    # The first guess is drawn at the end, too, when its motion is no longer known.
    assert len(set(map(str, moduli))) == len(moduli) - 1, moduli
