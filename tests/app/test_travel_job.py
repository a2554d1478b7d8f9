"""The task `travel`: a run that trains gaits, resumes, and refuses what it does not read."""

import json
import sys
from pathlib import Path

import pytest

from simlayer.app.main import main

CRAWLER = (
    "experiment=crawler",
    "duration=0.01",
    "task.candidates=2",
    "task.periods=1",
    "task.epoch=1",
    "logger=csv",
    "run_name=test",
)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    return Path("outputs/test")


def results(folder):
    return json.loads((folder / "results.json").read_text())


def test_a_run_tells_how_far_the_best_gait_gets_and_in_twice_the_time(folder, capsys):
    main([*CRAWLER, "trainer.max_epochs=2"])
    assert results(folder)["measures"].keys() == {"way in 0.01 s", "way in 0.02 s"}
    assert "way in 0.02 s: " in capsys.readouterr().out
    for name in ("learned.png", "convergence.png", "motion.pvd", "weights.pt"):
        assert (folder / name).exists(), name


def test_a_run_that_is_resumed_is_the_run_that_was_not_interrupted(folder):
    main([*CRAWLER, "trainer.max_epochs=2"])
    main([*CRAWLER[:-1], "run_name=other", "trainer.max_epochs=1"])
    main([*CRAWLER[:-1], "run_name=other", "trainer.max_epochs=2"])
    once, again = results(folder), results(Path("outputs/other"))
    assert again["epochs"] == once["epochs"] == 2
    assert again["loss"]["found"] == pytest.approx(once["loss"]["found"], rel=1e-5)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("trainable=[density]", "trainable has no effect with this task"),
        ("duration=null", "duration must be given with task=travel"),
        ("task.direction=[0,0,0]", "direction must be three numbers"),
        ("task.knots=1", "knots must be"),
        ("optimizer=lbfgs", "set optimizer=adam, adamw or sgd"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(folder, override, message):
    with pytest.raises(SystemExit) as refused:
        main([*CRAWLER, override])
    assert message in str(refused.value)
    assert not folder.exists()
