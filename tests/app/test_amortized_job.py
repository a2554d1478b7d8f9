"""The task `amortized`: a run that trains a network to identify bodies, and what it refuses."""

import json
from pathlib import Path

import pytest
import torch

from simlayer.app.main import main

BEAMS = (
    "experiment=amortized",
    "duration=0.02",
    "task.bodies=32",
    "task.held_out=8",
    "task.batch_size=16",
    "task.unseen=4",
    "logger=csv",
    "run_name=test",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Path("outputs/test")


def test_a_run_tells_the_errors_of_predictions_and_of_what_is_made_of_them(folder, capsys):
    main([*BEAMS, "trainer.max_epochs=2"])
    found = json.loads((folder / "results.json").read_text())
    assert found["measures"].keys() == {
        "median error of youngs_modulus, held-out bodies",
        "median error of coefficient, held-out bodies",
        "share within one standard deviation",
    }
    predicted = found["unseen"]["predicted"]["median_error/youngs_modulus"]
    refined = found["unseen"]["after 3 steps of Gauss-Newton"]["median_error/youngs_modulus"]
    # A network of two epochs knows little, and the recordings nearly all.
    assert refined < 0.1 < predicted
    printed = capsys.readouterr().out
    assert "after 3 steps of Gauss-Newton: median error of youngs_modulus" in printed
    assert {"learned.png", "convergence.png", "weights.pt"} <= {path.name for path in folder.iterdir()}
    weights = torch.load(folder / "weights.pt", weights_only=True)
    assert all(name.startswith("network.") for name in weights)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.twin=refined", "data.twin has no effect with this task"),
        ("trainable=[density]", "trainable has no effect with this task"),
        ("initial.known.pull=[1,2]", "initial.known must be one state"),
        ("++task.prior.youngs_modulis=[1,2]", "youngs_modulis"),
        ("++task.prior.density=[20,1]", "must have the lower value first"),
        ("task.unsen=3", "did you mean 'task.unseen'?"),
        ("data.noise=0", "noise"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, override, message):
    with pytest.raises(SystemExit) as refused:
        main([*BEAMS, override])
    assert message in str(refused.value)
    assert not folder.exists()
