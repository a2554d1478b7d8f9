"""Runs that end before their time, by a signal or a kill, lose at most their epoch."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from simlayer.app.interruption import Interrupted, raised_on_sigterm
from simlayer.app.main import main
from simlayer.identification.module import ParameterIdentification

ROOT = Path(__file__).parents[2]
SMALL = [
    *("mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min", "logger=csv", "material=linear"),
    *("duration=0.005", "run_name=test", "trainer.max_epochs=4", "callbacks.stop.stopping_threshold=0"),
]
ADAM = ["optimizer=adam", "optimizer.lr=0.3"]
LBFGS = ["optimizer=lbfgs", "optimizer.max_iter=3"]

KILLED_WHILE_IT_WRITES_THE_THIRD_CHECKPOINT = """
import os, signal, sys
from pathlib import Path
from simlayer.app import checkpoints, main
count = 0
def write(path, content, whole=checkpoints.write_whole):
    global count
    count += 1
    if count < 3:
        return whole(path, content)
    Path(f"{path}.part").write_bytes(content[:len(content) // 2])
    os.kill(os.getpid(), signal.SIGKILL)
checkpoints.write_whole = write
main.main(sys.argv[1:])
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    return tmp_path / "outputs" / "test"


def results(folder):
    return json.loads((folder / "results.json").read_text())


def check_equals_a_whole_run(folder, *options):
    main([*SMALL, *options, "run_name=whole"])
    whole, parts = results(folder.with_name("whole")), results(folder)
    for key in ("parameters", "loss", "epochs", "ended"):
        assert parts[key] == whole[key]
    log = np.genfromtxt(folder / "csv/metrics.csv", delimiter=",", names=True)
    assert log["step"].tolist() == [0, 1, 2, 3, 4]
    assert log["loss"].min() >= whole["loss"]["found"]


def test_a_run_killed_while_it_writes_a_checkpoint_resumes_to_the_same_numbers(folder, capsys):
    arguments = [*SMALL, *ADAM]
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_WHILE_IT_WRITES_THE_THIRD_CHECKPOINT, *arguments],
        capture_output=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        timeout=300,
    )
    assert killed.returncode == -signal.SIGKILL
    assert not (folder / "results.json").exists()
    # As if the file system had not kept the whole file either.
    (folder / "checkpoints/last.ckpt").write_bytes((folder / "checkpoints/last.ckpt.part").read_bytes())
    main(arguments)
    out = capsys.readouterr().out
    assert f"{folder / 'checkpoints/last.ckpt'} cannot be read" in out
    assert f"after 2 epoch(s), from {folder / 'checkpoints/previous.ckpt'}" in out
    check_equals_a_whole_run(folder, *ADAM)


def interrupted(monkeypatch, *arguments: str, at: int, signals: list[int]) -> tuple[int, int]:
    """Signal a run during one of its evaluations; return its exit code and the evaluations that followed."""
    total_loss, calls = ParameterIdentification.total_loss, []

    def signalling(self, batch):
        calls.append(None)
        if len(calls) == at:
            for number in signals:
                os.kill(os.getpid(), number)
        return total_loss(self, batch)

    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    monkeypatch.setattr(ParameterIdentification, "total_loss", signalling)
    with pytest.raises(SystemExit) as end:
        main([*SMALL, *arguments])
    monkeypatch.setattr(ParameterIdentification, "total_loss", total_loss)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    return end.value.code, len(calls) - at


# The first evaluation is that of the first guess; an epoch of L-BFGS has several, and one at its end.
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_obeyed_within_one_evaluation_and_the_best_so_far_is_written(
    monkeypatch, folder, number, capsys
):
    code, after = interrupted(monkeypatch, *LBFGS, at=4, signals=[number])
    assert (code, after) == (128 + number, 0)
    found = results(folder)
    assert found["ended"] == f"interrupted by {number.name}"
    assert found["epochs"] == 0
    assert found["loss"]["found"] < found["loss"]["initial"]
    assert (folder / "found_over_target.png").is_file()
    assert "error" in capsys.readouterr().out
    if number == signal.SIGTERM:
        main([*SMALL, *LBFGS])
        check_equals_a_whole_run(folder, *LBFGS)


def test_a_signal_in_the_last_evaluation_of_an_epoch_keeps_the_epoch(monkeypatch, folder):
    assert interrupted(monkeypatch, *ADAM, at=3, signals=[signal.SIGINT]) == (130, 0)
    assert results(folder)["epochs"] == 1
    assert (folder / "checkpoints/last.ckpt").is_file()


def test_a_second_interrupt_ends_at_once_and_leaves_the_best_so_far(monkeypatch, folder):
    code, after = interrupted(monkeypatch, *ADAM, at=6, signals=[signal.SIGINT, signal.SIGINT])
    assert (code, after) == (130, 0)
    found = results(folder)
    assert found["epochs"] == 2
    assert found["loss"]["found"] < found["loss"]["initial"]
    assert not (folder / "found_over_target.png").exists()


def test_results_that_were_cut_short_are_named_with_the_remedy(monkeypatch, folder):
    interrupted(monkeypatch, *ADAM, at=4, signals=[signal.SIGINT, signal.SIGINT])
    path = folder / "results.json"
    path.write_text(path.read_text()[:50])
    with pytest.raises(SystemExit, match=f"{path} cannot be read.*remove it to resume"):
        main([*SMALL, *ADAM])


def test_sigterm_is_raised_while_processes_may_wait_to_be_ended_and_only_then():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted, match="SIGTERM"), raised_on_sigterm():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) == before
