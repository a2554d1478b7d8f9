"""Every option of every configuration group composes, and every experiment runs."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml

from simlayer.app.main import main
from simlayer.app.overrides import compose_arguments

ROOT = Path(__file__).parents[2]
OPTIONS = sorted(
    (path.parent.name, path.stem)
    for path in (ROOT / "configs").glob("*/*.yaml")
    if path.parent.name != "hydra"
)
EXPERIMENTS = sorted(path.stem for path in (ROOT / "configs/experiment").glob("*.yaml"))

# What an option leaves to the user, or needs beside it.
BESIDE = {
    ("mesh", "file"): ["mesh.path=beam.msh"],
    ("constraints", "box"): ["constraints.fixed.box.lower=[0,0,0]", "constraints.fixed.box.upper=[0,1,1]"],
    ("constraints", "plane"): ["constraints.fixed.plane={point:[0,0,0],normal:[1,0,0]}"],
    **{
        ("forces", name): [f"forces.{part}.points=[[0,0,0],[0.1,0,0]]"]
        for name, part in (("cable", "cable"), ("cable_servo", "cable"), ("spring", "spring"))
    },
    ("data", "marker_paths"): ["data.points={tip:[0.1,0,0]}"],
    ("task", "amortized"): ["task.prior={youngs_modulus:[1e4,1e5]}", "optimizer=adam"],
    ("task", "law"): ["task.loads=[[1,0,0]]", "task.unseen=[[0,1,0]]", "material=neural"],
    ("task", "travel"): ["forces=[elastic,muscle]", "task.controls=[activation]", "optimizer=adam"],
    ("task", "reach"): ["forces=[elastic,muscle]", "task.controls=[activation]", "optimizer=adam"],
}


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_every_option_composes(group, option):
    config, _ = compose_arguments([f"{group}={option}", *BESIDE.get((group, option), [])])
    assert config is not None
    # Interpolations that lead nowhere show when they are resolved.
    for key in config:
        assert config[key] is not None or key in ("duration", "objective")


@pytest.mark.parametrize(("group", "option"), OPTIONS)
def test_numbers_have_a_comment_with_their_unit_or_meaning(group, option):
    if group in ("debug", "hydra", "experiment"):
        pytest.skip("these override what has its comment elsewhere")
    lines = (ROOT / "configs" / group / f"{option}.yaml").read_text().splitlines()
    bare = [line for line in lines if re.search(r":\s+-?\d", line) and "#" not in line]
    allowed = (
        "poissons_ratio",
        "momentum",
        "eta_min",
        "tolerance_",
        "patience",
        "substeps",
        "seed",
        "history_",
    )
    assert not [line for line in bare if not line.strip().startswith(allowed)]


# An experiment on few cells, for few steps, without compiler: it has to run, not to find anything.
SHORT = {
    "silicone_beam": [
        "mesh.cells=[2,2,2]",
        "coarse.mesh={cells:[1,2,2]}",
        "coarse.step={dt:0.02}",
        "duration=0.02",
        "observation.release_time=0",
        "data.path=null",
        "data.frame_rate=100",
        "step.dt=0.01",
        "observation.frames=1",
        "data.window=null",
        "data.registration=null",
        "++data.truth.forces.elastic.material.youngs_modulus=2.5e5",
        "++data.truth.forces.viscosity.shear_viscosity=200",
        "++data.truth.release_time=0.001",
    ],
    "equilibrium": ["mesh.cells=[2,2,2]", "coarse.mesh={cells:[1,2,2]}"],
    "cantilever": ["mesh=box", "mesh.cells=[2,1,1]", "constraints.fixed.tag=x_min"],
    "blank": [
        "mesh=box",
        "mesh.cells=[2,1,1]",
        "constraints.fixed.tag=x_min",
        "trainable=[density]",
        "data.truth.density=900",
    ],
    "damping": [
        "mesh=box",
        "mesh.cells=[2,1,1]",
        "constraints.fixed.tag=x_min",
        "duration=0.02",
        "step.dt=4e-4",
    ],
    "initial_velocity": ["mesh.cells=[1,1,1]", "duration=0.02"],
    "bouncing_ball": ["duration=0.012"],
    "material_point": ["task.twin.points=5", "task.laws=[]"],
    "tensile_and_torsion": ["task.common.rows=2", "mesh.element=hex8"],
    "scan": ["mesh.cells=[3,2,2]", "++task.tests.bent.count=60", "task.twin.mesh=same"],
    "hysteresis": ["task.tests.pull.rows=2", "task.tests.pull.up_to=0.003", "step.dt=1.0"],
    "long_recording": ["duration=0.4", "callbacks.curriculum.start=1.0"],
    "friction": ["mesh.cells=[1,1,1]", "duration=0.02"],
    "spatially_varying": ["mesh.cells=[4,2,2]", "duration=0.004"],
    "amortized": ["duration=0.01", "task.bodies=8", "task.held_out=4", "task.unseen=2", "task.batch_size=4"],
    "learned_law": ["duration=0.008"],
    "crawler": ["duration=0.01", "task.candidates=2", "task.periods=1", "task.epoch=1"],
    "codesign": ["duration=0.003", "task.goals=4", "task.held_out=2", "task.batch_size=2"],
    "soft_arm": ["duration=0.003", "task.goals=4", "task.held_out=2", "task.batch_size=2"],
}


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_every_experiment_runs(experiment, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    options = [*SHORT[experiment], "debug=short"]
    if experiment not in ("tensile_and_torsion", "hysteresis", "scan"):
        options += ["rollout.compile=false"]
    options += ["trainer.max_epochs=1"]
    if experiment not in ("learned_law", "material_point", "tensile_and_torsion", "hysteresis", "scan"):
        options += ["material=linear"]
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)  # no movies
    if experiment == "blank":
        options = [option.replace("data.truth", "+data.truth") for option in options]
    main([f"experiment={experiment}", "run_name=test", *options])
    results = json.loads(Path("outputs/test/results.json").read_text())
    assert results.get("epochs", 1) == 1  # A fit at a material point has none.
    assert all(row["reference"] is not None for row in results["parameters"].values())
    assert results["parameters"] or results["measures"]


def test_an_experiment_says_in_its_header_what_it_prints():
    for name in EXPERIMENTS:
        text = (ROOT / f"configs/experiment/{name}.yaml").read_text()
        assert text.startswith("# @package _global_\n# ")
        if name != "blank":
            trained = yaml.safe_load(text).get("trainable", [])
            header = text.partition("\ndefaults:")[0]
            assert all(f"{parameter}: " in header for parameter in trained), name
            assert trained or re.search(r"^#   .+ -> ", header, re.MULTILINE), name


def test_the_help_lists_every_experiment():
    template = yaml.safe_load((ROOT / "configs/hydra/help/simlayer.yaml").read_text())["template"]
    block = template.partition("EXPERIMENTS")[2].partition("\n\n")[0]
    assert sorted(re.findall(r"^  (\w+) ", block, re.MULTILINE)) == EXPERIMENTS


def test_an_experiment_of_ones_own_is_found_in_ones_own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine/experiment").mkdir(parents=True)
    (tmp_path / "mine/experiment/own.yaml").write_text("# @package _global_\nname: own\n")
    config, arguments = compose_arguments(["experiment=own", "--config-dir", "mine"])
    assert config is not None
    assert config.name == "own"
    assert arguments[-1] == "experiment=own"


def test_the_sweep_overrides_what_there_is():
    sweep = yaml.safe_load((ROOT / "examples/wandb_sweep.yaml").read_text())
    arguments = []
    for key, choice in sweep["parameters"].items():
        value = choice.get("value", choice.get("min", choice.get("values", [None])[0]))
        arguments.append(f"{key}={value}")
    config, _ = compose_arguments(arguments)
    assert config is not None
    assert config.optimizer.lr == sweep["parameters"]["optimizer.lr"]["min"]
    assert sweep["metric"]["name"] == "loss"
    assert (ROOT / sweep["program"]).is_file()
