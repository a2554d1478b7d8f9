"""Multiruns in one process and in several, killed and resumed, searched by Optuna; table and picture."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from simlayer.app.sweep import (
    RunRecorder,
    SweepRun,
    format_runs,
    objective,
    read_runs,
    sweep_folder,
    swept_values,
    write_summary,
)
from simlayer.app.sweep_picture import sweep_picture
from simlayer.errors import ConfigError

ROOT = Path(__file__).parents[2]

# A beam of one box, for a moment, with the material that is traced fastest.
SMALL = [
    *("mesh=box", "mesh.cells=[1,1,1]", "constraints.fixed.tag=x_min", "duration=0.002"),
    *("material=linear", "trainer.max_epochs=1"),
]


def found(value: float, error: float | None = None) -> dict[str, object]:
    row = {"found": value, "unit": "Pa"} | ({} if error is None else {"standard_error": error})
    return {
        "parameters": {"material.E": row},
        "loss": {"found": 1e-3 * value},
        "ended": "converged",
        "seconds": 2.0,
    }


def command(*arguments: str) -> list[str]:
    return [sys.executable, str(ROOT / "train.py"), "-m", "logger=none", *arguments]


def started(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    options = {"capture_output": True, "text": True, "cwd": folder, "env": environment, "timeout": 300}
    return subprocess.run(command(*arguments), **options)


def parameters(sweep: Path) -> dict[str, object]:
    files = sweep.glob("*/results.json")
    return {path.parent.name: json.loads(path.read_text())["parameters"] for path in files}


def test_runs_are_a_table_of_what_differs():
    runs = [
        SweepRun(0, ["a=1", "seed=0"], None, found(2.0)),
        SweepRun(1, ["a=1", "seed=1"], "seed must not be 1.\nmore", {}),
    ]
    head, first, second = format_runs(runs).splitlines()
    assert head.split() == ["run", "overrides", "loss", "found"]
    assert first.split(maxsplit=3) == ["0", "seed=0", "2.000e-03", "E = 2"]
    assert second.split(maxsplit=3) == ["1", "seed=1", "failed", "seed must not be 1."]


def test_the_table_has_what_was_set_and_found_and_why_a_run_has_failed(tmp_path):
    runs = [
        SweepRun(0, ["dt=0.1", "n=2"], None, found(2.0, 0.5)),
        SweepRun(1, ["dt=0.2", "n=2"], "too long", {}),
    ]
    assert write_summary(tmp_path, runs) == ["sweep.csv", "sweep.png"]
    first, second = csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines())
    assert first == {
        **{"run": "0", "dt": "0.1", "ended": "converged", "loss": "0.002", "material.E [Pa]": "2.0"},
        **{"standard error of material.E [Pa]": "0.5", "seconds": "2.0"},
    }
    assert (second["dt"], second["ended"], second["loss"]) == ("0.2", "too long", "")
    assert (tmp_path / "sweep.png").stat().st_size > 0


def test_a_sweep_without_results_has_a_table_and_no_picture(tmp_path):
    assert write_summary(tmp_path, [SweepRun(0, ["dt=0.1"], "too long", {})]) == ["sweep.csv"]
    assert not (tmp_path / "sweep.png").exists()


def test_what_differs_is_kept_though_some_runs_have_not_set_it():
    runs = [SweepRun(0, ["a=1", "b=x"], None, {}), SweepRun(1, ["a=1"], None, {})]
    assert swept_values(runs) == [{"b": "x"}, {}]


def test_a_picture_has_the_swept_number_as_its_axis_and_else_the_number_of_the_run():
    runs = [(0, found(2.0, 0.5)), (1, found(3.0, 0.5))]
    loss, modulus = sweep_picture(runs, [{"dt": 0.1}, {"dt": 0.2}]).axes
    assert (loss.get_xlabel(), loss.get_title(), modulus.get_title()) == ("dt", "loss", "E [Pa]")
    assert modulus.lines[0].get_xydata().tolist() == [[0.1, 2.0], [0.2, 3.0]]
    (axis, _) = sweep_picture(runs, [{"law": "a"}, {"law": "b"}]).axes
    assert axis.get_xlabel() == "run"
    assert axis.lines[0].get_xdata().tolist() == [0, 1]
    assert sweep_picture([(0, {})], [{}]) is None


def test_the_end_of_a_run_is_recorded_and_one_that_never_ended_is_interrupted(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0/results.json").write_text(json.dumps(found(2.0)))
    for number, error in ((0, None), (1, "wrong")):
        RunRecorder(tmp_path, number, ["a=1"]).write(error)
    RunRecorder(tmp_path, 10, ["a=1"])
    runs = read_runs(tmp_path)
    assert [(run.number, run.error) for run in runs] == [(0, None), (1, "wrong"), (10, "interrupted")]
    assert runs[0].results == found(2.0)


def test_a_run_prints_to_a_file_in_another_process_only(tmp_path, capsys):
    recorder = RunRecorder(tmp_path, 3, [])
    with recorder.output(os.getpid()):
        print("here")
    with recorder.output(-1):
        print("there")
    assert capsys.readouterr().out == f"here\nRun 3 has ended, see {tmp_path}/runs/3.log\n"
    assert (tmp_path / "runs/3.log").read_text() == "there\n"


def test_a_run_that_is_refused_leaves_the_record_of_the_earlier_one(tmp_path):
    (tmp_path / "0").mkdir()
    (tmp_path / "0/results.json").write_text(json.dumps(found(2.0)))
    RunRecorder(tmp_path, 0, ["a=1"]).write(None)
    RunRecorder(tmp_path, 0, ["a=2"]).refuse("another experiment")
    (run,) = read_runs(tmp_path)
    assert run == SweepRun(0, ["a=1"], None, found(2.0), "another experiment")
    assert "a=1 (an earlier run)" in format_runs([run])
    RunRecorder(tmp_path, 0, ["a=1"]).write(None)
    assert read_runs(tmp_path)[0].refused is None


def test_an_objective_is_a_number_of_the_results_or_the_error_lists_them():
    assert objective(found(2.0), "loss.found") == 2e-3
    for key in ("ended", "nothing", "loss"):
        with pytest.raises(ConfigError, match=rf"objective={key} is not a number .*loss\.found, seconds"):
            objective(found(2.0), key)


def test_the_folder_is_named_by_the_package_and_not_by_hydra():
    config = OmegaConf.create({"output": "here", "sweep_name": "a/b"})
    assert sweep_folder(config, ["seed=1"]) == Path("here/sweeps/a/b")
    with pytest.raises(ConfigError, match=r"output=DIR sweep_name=NAME"):
        sweep_folder(config, ["hydra.sweep.dir=there"])


def test_twenty_runs_in_two_processes_find_bitwise_what_they_find_one_after_another(tmp_path):
    swept = ["experiment=material_point", "task.laws=[]", "task.starts=1", "seed=range(0,20)"]
    for name, options in (("one", []), ("two", ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"])):
        result = started(tmp_path, *swept, f"sweep_name={name}", *options)
        assert result.returncode == 0, result.stderr
    one, two = (parameters(tmp_path / "outputs/sweeps" / name) for name in ("one", "two"))
    assert len(one) == 20
    assert one == two
    assert len({json.dumps(found) for found in one.values()}) == 20
    assert len((tmp_path / "outputs/sweeps/two/sweep.csv").read_text().splitlines()) == 21


def test_a_folder_that_cannot_be_made_is_an_error_of_one_line(tmp_path):
    (tmp_path / "outputs").write_text("")
    result = started(tmp_path, *SMALL, "seed=1", f"output={tmp_path}/outputs", "sweep_name=one")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        f"train.py: error: [Errno 20] Not a directory: '{tmp_path}/outputs/sweeps/one'"
    ]


def test_submitit_runs_jobs_and_a_failed_one_is_told_by_the_table_and_the_exit_code(tmp_path):
    options = [*SMALL, "hydra/launcher=submitit_local", "material.poissons_ratio=0.3,0.7", "sweep_name=jobs"]
    result = started(tmp_path, *options)
    assert result.returncode == 1
    good, bad = result.stdout.splitlines()[-3:-1]
    assert good.startswith("0    material.poissons_ratio=0.3")
    assert "failed" in bad
    assert bad.endswith("poissons_ratio must lie in (-1, 0.5), got 0.7.")


def test_a_sweep_that_was_killed_goes_on_where_it_stopped(tmp_path):
    options = [*SMALL, "material.youngs_modulus=2e5,3e5,4e5", "sweep_name=again"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    first, second = (tmp_path / "outputs/sweeps/again" / number for number in ("0", "1"))
    with subprocess.Popen(
        command(*options), cwd=tmp_path, env=environment, stdout=subprocess.PIPE
    ) as process:
        deadline = time.monotonic() + 120
        while not second.exists() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "outputs/sweeps/again/2").exists()
    before = json.loads((first / "results.json").read_text())
    result = started(tmp_path, *options)
    assert result.returncode == 0, result.stderr
    assert parameters(first.parent)["0"] == before["parameters"]
    assert sorted(parameters(first.parent)) == ["0", "1", "2"]
    assert [run.error for run in read_runs(first.parent)] == [None] * 3


def test_optuna_searches_what_has_no_gradient(tmp_path):
    options = [*SMALL, "hydra/sweeper=optuna", "hydra.sweeper.n_trials=3", "hydra.sweeper.n_jobs=1"]
    search = ["step.dt=interval(1e-4,3e-4)", "mesh.cells=choice([1,1,1],[2,1,1])", "objective=loss.found"]
    result = started(tmp_path, *options, *search, "sweep_name=search")
    assert result.returncode == 0, result.stderr
    sweep = tmp_path / "outputs/sweeps/search"
    best = OmegaConf.load(sweep / "optimization_results.yaml")
    losses = [run.results["loss"]["found"] for run in read_runs(sweep)]
    assert len(losses) == 3
    assert best.best_value == min(losses)
