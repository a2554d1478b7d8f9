"""The task `law`: a run that trains a material, and what it refuses."""

import json
import sys
from pathlib import Path

import pytest
import torch

from simlayer import NeoHookean
from simlayer.app.law_picture import _PANELS, path_stress
from simlayer.app.main import main

BEAM = ("experiment=learned_law", "duration=0.01", "logger=csv", "run_name=test")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    return Path("outputs/test")


def test_a_run_tells_the_error_under_loads_that_were_not_learned_from(folder):
    main([*BEAM, "trainer.max_epochs=2"])
    found = json.loads((folder / "results.json").read_text())
    row = found["measures"]["error of displacements under unseen loads"]
    assert 0 < row["found"] < row["initial"]
    assert found["loss"]["found"] < found["loss"]["initial"]
    assert {"learned.png", "convergence.png", "motion.pvd", "weights.pt"} <= {
        p.name for p in folder.iterdir()
    }


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("step.gravity=[0,0,1]", "step.gravity has no effect with this task"),
        ("task.loads=[[1,2]]", "task.loads must be accelerations"),
        ("task.unseen=[[0,0,nan]]", "task.unseen must be accelerations"),
        ("duration=null", "duration must be given with task=law"),
        ("optimizer=gauss_newton", "set optimizer=adam, adamw or sgd, or lbfgs"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, override, message):
    with pytest.raises(SystemExit) as refused:
        main([*BEAM, override])
    assert message in str(refused.value)
    assert not folder.exists()


@pytest.mark.usefixtures("float64")
def test_the_stresses_of_the_picture_are_those_of_tests_at_constant_volume_and_of_its_change():
    material = NeoHookean(1e5, 0.3)
    s = torch.tensor([0.8, 1.0, 1.3])
    uniaxial, *_, dilation = (path for path, *_ in _PANELS)
    mu, lam = material.mu.detach(), material.lam.detach()
    torch.testing.assert_close(path_stress(material, uniaxial, s), mu * (s - s**-2))
    torch.testing.assert_close(path_stress(material, dilation, s), mu * (s - 1 / s) + 3 * lam * s.log() / s)
