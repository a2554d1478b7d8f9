"""Runs of the main job, from the command line to what they write."""

from __future__ import annotations

import contextlib
import html
import io
import json
import os
import re
import runpy
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch

from simlayer import box_mesh
from simlayer.app.main import main
from simlayer.viewer import read_motion

ROOT = Path(__file__).parents[2]
E, NU = "forces.elastic.material.youngs_modulus", "forces.elastic.material.poissons_ratio"

# A beam of three boxes on one torch thread, of the material that is traced fastest.
SHORT = ["duration=0.005", "mesh.cells=[2,1,1]"]
SMALL = ["mesh=box", "mesh.cells=[3,1,1]", "constraints.fixed.tag=x_min", "logger=csv", "material=linear"]


DEFAULT = ["material=stable_neo_hookean", "logger=wandb_offline"]

SRUN = """#!/bin/bash
export SLURM_NTASKS=2 SLURM_NTASKS_PER_NODE=1 SLURM_LOCALID=0 SLURM_JOB_ID=4242 SLURM_NODELIST=127.0.0.1
SLURM_PROCID=1 SLURM_NODEID=1 "$@" & other=$!
SLURM_PROCID=0 SLURM_NODEID=0 "$@"
wait $other
"""


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Every test runs in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def default_run(tmp_path_factory):
    """The folder of a default run of a small beam that has converged, and what it printed."""
    place, out = tmp_path_factory.mktemp("default"), io.StringIO()
    with contextlib.chdir(place), contextlib.redirect_stdout(out):
        main([*SMALL, *DEFAULT, "run_name=test"])
    return place / "outputs/test", out.getvalue()


def run(*arguments: str) -> Path:
    """A run named "test", and its folder."""
    main([*SMALL, "run_name=test", *arguments])
    return Path("outputs/test")


def found(folder: Path) -> dict[str, float]:
    rows = json.loads((folder / "results.json").read_text())["parameters"]
    return {name: row["found"] for name, row in rows.items()}


def failure(*arguments: str) -> str:
    with pytest.raises(SystemExit) as error:
        main([*SMALL, *arguments])
    assert error.value.code not in (None, 0)
    return str(error.value.code)


def in_another_process(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "train.py"), *SMALL, *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        timeout=300,
    )


def test_the_truth_is_found_and_everything_is_written(default_run):
    folder, out = default_run
    assert found(folder) == pytest.approx({E: 1e5, NU: 0.4}, rel=1e-3)
    assert re.search(rf"{E}: 300000 Pa -> (100|99)\.?\d*.* k?Pa \(reference 100000 Pa, error 0\.\d\d%\)", out)
    assert "wandb sync" in out
    assert re.search(r"simlayer-view \S*outputs/test\n", out)
    assert "the fit's own mesh and step" in out
    results = json.loads((folder / "results.json").read_text())
    row = results["parameters"][E]
    assert row.keys() == {
        *("initial", "found", "reference", "relative_error", "unit"),
        *("determined", "standard_error"),
    }
    assert row["standard_error"] < 1e-3 * row["found"]
    assert (row["initial"], row["reference"], row["unit"]) == (pytest.approx(3e5), 1e5, "Pa")
    assert row["relative_error"] == pytest.approx(abs(row["found"] / 1e5 - 1))
    assert results["loss"]["found"] < 1e-6 < 0.1 < results["loss"]["initial"]
    pictures = "convergence", "found_over_target", "uncertainty", "stress", "energies_and_reactions"
    for picture in (f"{name}.png" for name in pictures):
        assert (folder / picture).read_bytes().startswith(b"\x89PNG")
    assert (folder / "motion.mp4").is_file()
    frames = re.findall(r'file="([^"]+)"', (folder / "motion.pvd").read_text())
    assert 10 <= len(frames) <= 41
    last = meshio.read(folder / frames[-1])
    assert last.points.shape == (16, 3)
    assert last.point_data.keys() == {
        *("displacement [m]", "velocity [m/s]", "reaction [N]"),
        *("von Mises stress [Pa]", "Cauchy stress [Pa]"),
    }
    shown = read_motion(folder)
    assert list(shown.points) == ["observed", "simulated"]
    # What was found lies over what was observed.
    gap = shown.points["simulated"].markers - shown.points["observed"].markers
    assert gap.norm(dim=-1).max() < 1e-3 * shown.fields["displacement [m]"].max()
    # And over the surface of the frame of that time, whose vertices were all observed.
    distances = torch.cdist(
        torch.from_numpy(shown.positions[-1]), shown.points["simulated"].markers[-1].double()
    )
    assert distances.amin(1).max() < 1e-2 * shown.fields["displacement [m]"].max()
    series = np.genfromtxt(folder / "readouts.csv", delimiter=",", names=True, deletechars="")
    assert len(series) == len(frames)
    largest = results["readouts"]["largest_von_mises_stress"]
    assert series["largest_von_Mises_stress_[Pa]"].max() == pytest.approx(largest["value"])
    assert largest["value"] > 0
    assert list((folder / "wandb").glob("offline-run-*/*.wandb"))
    assert json.loads((folder / "versions.json").read_text())["torch"]
    report = html.unescape((folder / "report.html").read_text(encoding="utf-8"))
    (command,) = re.findall(r"<pre>(.*run_name=test.*)</pre>", report)
    expected = [*SMALL, *DEFAULT, "run_name=test"]
    assert shlex.split(command)[-len(expected) :] == expected
    assert report.count("data:image/png;base64,") == len(list(folder.glob("*.png")))
    log = np.genfromtxt(folder / "csv/metrics.csv", delimiter=",", names=True, deletechars="")
    assert len(log) == results["epochs"] + 1
    assert log[E][0] == pytest.approx(3e5)
    assert log["loss"].min() == pytest.approx(results["loss"]["found"])


def test_what_a_motion_without_loads_does_not_determine_is_said_before_the_numbers(capsys):
    truth = ["++data.truth.density=900", "material.poissons_ratio=0.4"]
    folder = run(*SHORT, *truth, "step.gravity=[0,0,0]", f"trainable=[{E},density]")
    rows = json.loads((folder / "results.json").read_text())["parameters"]
    for name in (E, "density"):
        assert rows[name]["found"] is None
        assert not rows[name]["determined"]
    stopped = rows[E]["stopped"] / rows["density"]["stopped"]
    assert stopped == pytest.approx(1e5 / 900, rel=1e-4)
    lines = capsys.readouterr().out.partition("Ended: converged")[2].splitlines()
    assert lines[1].startswith(
        "NOT DETERMINED: youngs_modulus and density are not determined, only youngs_modulus / density: "
    )
    assert re.fullmatch(
        rf"{E}: 300000 Pa -> not determined \(stopped at \d+.* Pa\) \(reference .*\)", lines[2]
    )


DAMPINGS = {
    "viscosity": ("[elastic,kelvin_voigt]", "forces.viscosity.shear_viscosity", 20.0, 5.0),
    "learned viscosity": ("[elastic,neural_viscosity]", "forces.viscosity.shear_viscosity", 20.0, 5.0),
    "rayleigh": ("[elastic,rayleigh]", "forces.damping.coefficient", 2e-4, 1e-4),
}


@pytest.mark.parametrize("name", DAMPINGS)
def test_a_damping_force_is_found_on_a_body_that_carries_a_weight(name):
    forces, unknown, truth, guess = DAMPINGS[name]
    folder = run(
        f"forces={forces}",
        "dissipation=none",
        "masses=weight",
        "masses.weight.vertices.tag=x_max",
        f"trainable=[{unknown}]",
        f"{unknown}={guess}",
        f"++data.truth.{unknown}={truth}",
        "material.youngs_modulus=1e5",
        "material.poissons_ratio=0.4",
        "duration=0.015",
        "mesh.cells=[2,1,1]",
    )
    assert found(folder) == pytest.approx({unknown: truth}, rel=1e-3)


OPTIMIZERS = {
    # The loss of the second epoch is worse than that of the first, so that the best is not the last.
    "adam": ["optimizer=adam", "optimizer.lr=1", "scheduler=cosine", "scheduler.T_max=4"],
    # It does not stop early here, so that both parts have epochs to run.
    "gauss_newton": ["callbacks.stop.stopping_threshold=0"],
    "lbfgs": ["optimizer=lbfgs", "optimizer.max_iter=1", "callbacks.stop.stopping_threshold=0"],
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_resumed_run_in_a_moved_folder_equals_one_that_was_not_interrupted_to_the_last_bit(name):
    options = [*OPTIMIZERS[name], *SHORT]
    main([*SMALL, *options, "run_name=whole", "trainer.max_epochs=4"])
    main([*SMALL, *options, "run_name=parts", "trainer.max_epochs=2"])
    assert json.loads(Path("outputs/parts/results.json").read_text())["epochs"] == 2
    Path("outputs/parts").rename("outputs/moved")
    main([*SMALL, *options, "run_name=moved", "trainer.max_epochs=4"])
    whole, parts = (json.loads(Path(f"outputs/{k}/results.json").read_text()) for k in ("whole", "moved"))
    for key in ("parameters", "loss", "epochs"):
        assert parts[key] == whole[key]
    assert whole["epochs"] == 4
    if name == "adam":
        rows = np.genfromtxt("outputs/whole/csv/metrics.csv", delimiter=",", names=True)
        assert np.argmin(rows["loss"]) == 1


def test_a_converged_run_is_not_run_again(default_run, capsys):
    shutil.copytree(default_run[0], "outputs/test")
    run("material=stable_neo_hookean", "logger=wandb_offline")
    assert "has converged" in capsys.readouterr().out


def test_an_old_name_with_other_physics_is_refused_and_the_difference_shown(default_run):
    folder = Path(shutil.copytree(default_run[0], "outputs/test"))
    before = (folder / "results.json").read_text()
    changes = ["material.youngs_modulus=2e5", "trainer.max_epochs=2"]
    message = failure("run_name=test", "material=stable_neo_hookean", *changes)
    assert "material.youngs_modulus: 300000.0 -> 200000.0" in message
    assert "max_epochs" not in message
    assert (folder / "results.json").read_text() == before


def test_a_run_that_converged_in_the_last_epoch_that_it_was_allowed_is_resumed_and_ends_at_once():
    options = [*SHORT, f"trainable=[{E}]"]
    folder = run(*options)
    epochs = json.loads((folder / "results.json").read_text())["epochs"]
    shutil.rmtree(folder)
    for allowed, ended in ((epochs, f"all {epochs} epochs"), (epochs + 3, "converged")):
        run(*options, f"trainer.max_epochs={allowed}")
        results = json.loads((folder / "results.json").read_text())
        assert (results["ended"], results["epochs"]) == (ended, epochs)


def test_help_for_a_reader_that_has_enough_ends_without_an_error():
    command = f"{sys.executable} {ROOT / 'train.py'} --help | head -1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=120)
    assert result.stdout.startswith("Identify the parameters")
    assert result.stderr == ""


def test_a_fit_that_fails_keeps_what_it_had(capsys):
    # The time step is just stable for the truth, beyond which the large learning rate overshoots.
    guess = [f"trainable=[{E}]", "material={youngs_modulus:3e4,poissons_ratio:0.4}", "step.dt=9.4e-4"]
    guess += ["optimizer=adam", "optimizer.lr=0.5"]
    message = failure("run_name=test", *guess)
    assert "beyond the stable time step" in message
    results = json.loads(Path("outputs/test/results.json").read_text())
    assert results["ended"].startswith("failed, the fit has run to youngs_modulus = ")
    assert results["epochs"] >= 1


def test_two_processes_find_what_one_finds(folder):
    scenes = ["initial.known.pull=[2,1]", "initial.known.twist=[8,-4]"]
    # One has more to fit than the other, which the sum of their normal equations knows.
    options = [*SHORT, *scenes, "optimizer=gauss_newton", "trainer.max_epochs=2", "data.missing=0.3"]
    main([*SMALL, *options, "run_name=one"])
    result = in_another_process(*options, "trainer=ddp_cpu", "run_name=two")
    assert result.returncode == 0, result.stderr
    assert found(Path("outputs/two")) == pytest.approx(found(Path("outputs/one")), rel=1e-12)
    assert sorted(path.name for path in Path("outputs").iterdir()) == ["one", "two"]


def test_nodes_started_by_torchrun_or_by_slurm_find_what_one_process_finds(folder):
    scenes = ["initial.known.pull=[2,1]", "initial.known.twist=[8,-4]"]
    options = [*SMALL, *SHORT, *scenes, "optimizer=gauss_newton", "trainer.max_epochs=2"]
    main([*options, "run_name=one"])
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(ROOT / "train.py")]
    subprocess.run(
        [*torchrun, *options, "trainer=ddp_cpu", "run_name=two"], env=environment, check=True, timeout=300
    )
    # In place of SLURM's own: a process for each of two nodes, told by the environment which it is.
    (folder / "train.py").symlink_to(ROOT / "train.py")
    srun = folder / "bin/srun"
    srun.parent.mkdir()
    srun.write_text(SRUN)
    srun.chmod(0o755)
    script = ["bash", str(ROOT / "examples/slurm.sh"), *options, "run_name=nodes"]
    slurm = {
        "PATH": f"{srun.parent}:{environment['PATH']}",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NAME": "simlayer",
    }
    subprocess.run(script, env=environment | slurm, check=True, timeout=300)
    for name in ("two", "nodes"):
        assert found(Path("outputs") / name) == pytest.approx(found(Path("outputs/one")), rel=1e-12)


def test_a_multirun_is_one_folder_and_as_many_results_and_leaves_torchs_settings_as_they_were(capsys):
    before = torch.get_num_threads(), torch.get_default_dtype()
    settings = [*SHORT, "dtype=float32", "threads=2", "trainer.max_epochs=1"]
    main([*SMALL, "-m", "material.youngs_modulus=2e5,3e5", *settings])
    assert (torch.get_num_threads(), torch.get_default_dtype()) == before
    (sweep,) = Path("outputs/sweeps").iterdir()
    initial = [
        json.loads((sweep / k / "results.json").read_text())["parameters"][E]["initial"] for k in ("0", "1")
    ]
    assert initial == pytest.approx([2e5, 3e5])
    head, *rows, _ = capsys.readouterr().out.splitlines()[-4:]
    assert head.split() == ["run", "overrides", "loss", "found"]
    for number, row in enumerate(rows):
        assert row.startswith(f"{number}    material.youngs_modulus={(2e5, 3e5)[number]}")
        assert "poissons_ratio = " in row


def test_a_multirun_goes_on_after_a_run_that_fails_with_one_line_about_it_and_a_table_of_all(capsys):
    settings = [*SHORT, "trainer.max_epochs=1"]
    with pytest.raises(SystemExit) as ending:
        main([*SMALL, "-m", "material.poissons_ratio=0.3,0.7,0.4", *settings])
    assert ending.value.code == 1
    out, err = capsys.readouterr()
    (line,) = [line for line in err.splitlines() if "0.7" in line]
    assert line.endswith("poissons_ratio must lie in (-1, 0.5), got 0.7.")
    assert "run 1" in line
    assert not any(word in out + err for word in ("HYDRA", "Traceback", "Error executing"))
    rows = out.splitlines()[-4:-1]
    assert ["failed" in row for row in rows] == [False, True, False]


def test_a_multirun_of_runs_that_start_processes_is_refused_with_the_alternative():
    message = failure("-m", "seed=0,1", "optimizer=adam", "trainer=ddp_cpu", "initial.known.pull=[1,2]")
    assert "ddp_spawn" in message


def test_a_body_and_a_target_of_ones_own(folder, capsys):
    mesh = box_mesh(cells=(3, 1, 1), size=(100.0, 30.0, 30.0))
    surface = mesh.boundary.numpy()
    clamped = surface[np.isin(surface, mesh.vertex_sets["x_min"].numpy()).all(1)]
    blocks = [("tetra", mesh.cells.numpy()), ("triangle", clamped)]
    tags = [np.full(len(cells), tag) for tag, (_, cells) in enumerate(blocks, 1)]
    data = {"gmsh:physical": tags, "gmsh:geometrical": [tag.copy() for tag in tags]}
    names = {"body": np.array([1, 3]), "clamped": np.array([2, 2])}
    own = meshio.Mesh(mesh.vertices.double().numpy(), blocks, cell_data=data, field_data=names)
    own.write("my.msh", file_format="gmsh22", binary=False)
    options = ["mesh.path=my.msh", "mesh.scale=0.001", "logger=csv", "material=linear"]
    main([*options, "run_name=twin", "trainer.max_epochs=1"])
    frames = re.findall(r'file="([^"]+)"', Path("outputs/twin/motion.pvd").read_text())
    # What the run before found is the target now.
    deformed = Path("outputs/twin") / frames[-1]
    own = [f"data.path={deformed}", "initial=pulled_and_twisted", f"trainable=[{E}]"]
    own += ["material.youngs_modulus=3e5", "material.poissons_ratio=0.3", "run_name=own"]
    capsys.readouterr()
    main([*options, *own])
    assert re.search(
        r"Assumed:   released at 0 s .*, density 1000 kg/m³, gravity \(0, 0, -9.81\) m/s², dissipation none, "
        r"observed [\d.]+ s after the release\n",
        (out := capsys.readouterr().out),
    )
    row = json.loads(Path("outputs/own/results.json").read_text())["parameters"][E]
    assert row["reference"] is None
    assert row["found"] == pytest.approx(found(Path("outputs/twin"))[E], rel=0.02)
    assert f"{E}: 300000 Pa -> " in out


def test_a_refined_twin_shows_the_bias_of_the_mesh(capsys):
    folder = run("data.twin=refined", "trainer.max_epochs=4")
    # The fit's coarse beam is too stiff, so that it looks softer than it is.
    assert 0.9e5 < found(folder)[E] < 0.98e5
    assert "eight times the cells" in capsys.readouterr().out


def test_checked_gradients_fit_nothing_and_write_nothing(capsys):
    main([*SMALL, "debug=gradients", "run_name=test"])
    out = capsys.readouterr().out
    assert "all within 1e-06" in out
    assert E in out
    assert not Path("outputs/test").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["material.youngs_moduls=1"], "'material.youngs_moduls'; did you mean 'material.youngs_modulus'?"),
        (["optimizer=adm"], "optimizer has no option 'adm'; did you mean 'adam'?"),
        ([f"trainable=[{E}s]"], f"did you mean '{E}'?"),
        (["mesh.cells=[0,1,1]"], "mesh: cells[0] must be an int"),
        (["constraints.fixed.tag=hand"], "no vertices tagged 'hand'; its tags: 'x_min'"),
        (["constraints.fixed.tag=null"], "exactly one of tag, box, plane, got none"),
        (["data.path=nowhere.vtu"], "data.path: nowhere.vtu does not exist"),
        (["trainer.max_epochs=many"], "trainer.max_epochs must be a number"),
        (["material.poissons_ratio=0.7"], "poissons_ratio must lie in (-1, 0.5), got 0.7"),
        (["trainer.gradient_clip_val=1"], "Gauss-Newton and gradient clipping"),
        (["dtype=float16"], "dtype must be float32 or float64"),
        (["trainable=[density]"], "no truth for density"),
        (["trainer.devices=2", "optimizer=adam"], "cannot be shared equally by 2 processes"),
    ],
)
def test_a_mistake_is_one_message_and_leaves_nothing_behind(arguments, message, folder):
    assert message in failure(*arguments)
    assert not [path for path in folder.rglob("*") if path.is_file()]
    assert not list(folder.glob("outputs/*"))


def test_the_default_run_has_no_warnings_and_the_script_exits_with_zero(folder):
    result = in_another_process("trainer.max_epochs=1", "logger=wandb_offline")
    assert result.returncode == 0
    assert result.stderr == ""
    assert "epoch    1  loss = " in result.stdout


def test_without_a_login_w_and_b_is_one_line_with_the_alternative(monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    message = failure("run_name=test", "logger=wandb", *SHORT)
    assert "wandb login" in message
    assert "logger=wandb_offline" in message


def test_an_exception_in_a_material_of_ones_own_shows_where_it_was_raised(monkeypatch, tmp_path, capsys):
    source = "from simlayer import LinearElastic\n\n\nclass Broken(LinearElastic):\n"
    source += "    def energy_density(self, F):\n        raise ValueError('no temperature')\n"
    (tmp_path / "own_material.py").write_text(source)
    (tmp_path / "mine/material").mkdir(parents=True)
    lines = ["_target_: own_material.Broken", "youngs_modulus: 1.0e5", "poissons_ratio: 0.3"]
    (tmp_path / "mine/material/broken.yaml").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(SystemExit) as end:
        main([*SMALL, *SHORT, "--config-dir", "mine", "material=broken"])
    assert end.value.code == 1
    error = capsys.readouterr().err
    assert "own_material.py" in error
    assert "ValueError: no temperature" in error


def test_a_recording_whose_clock_runs_long_begins_at_its_first_frame_or_is_refused(tmp_path):
    times = 1000 + np.arange(1, 6) * 2e-3
    rows = [f"{t},0.1,0.015,{0.015 - 20 * (t - times[0]) ** 2}" for t in times]
    (tmp_path / "take.csv").write_text("\n".join(["time_s,tip_x_m,tip_y_m,tip_z_m", *rows, ""]))
    options = ["data=marker_paths", "data.path=take.csv", "data.points={tip: [0.1, 0.015, 0.015]}"]
    options += ["run_name=test", f"trainable=[{E}]", "trainer.max_epochs=1"]
    message = failure(*options, "observation.release_time=0")
    assert "steps of" in message
    assert "clock that shows 1000" in message
    folder = run(*options)
    assert json.loads((folder / "results.json").read_text())["epochs"] == 1


def test_a_mistake_is_one_line_that_begins_with_the_program(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["train.py"])
    (line,) = failure("optimizer=adm").splitlines()
    assert line.startswith("train.py: error: ")


def test_the_script_at_the_top_is_the_same_program_and_prints_its_help(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["train.py", "--help"])
    with contextlib.suppress(SystemExit):
        runpy.run_path(str(ROOT / "train.py"), run_name="__main__")
    out = capsys.readouterr().out
    for word in ("EXPERIMENTS", "data.path=", "optimizer: adam, adamw, auto, gauss_newton,", "run_name=foo"):
        assert word in out
