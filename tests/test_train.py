"""The main job, from the command line to what it writes."""

import importlib.util
import json
import re
from pathlib import Path

import meshio
import numpy as np
import pytest
import torch

import simlayer
from simlayer import DivergenceError, box_mesh
from simlayer.training.identification import identify

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def train():
    specification = importlib.util.spec_from_file_location("train", ROOT / "train.py")
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A block of 0.1 m with two named faces, in mm."""
    mesh = box_mesh(cells=(4, 2, 2), size=(100.0, 40.0, 40.0))
    faces = [
        mesh.boundary.numpy()[np.isin(mesh.boundary.numpy(), mesh.vertex_sets[name].numpy()).all(1)]
        for name in ("x_min", "x_max")
    ]
    blocks = [("tetra", mesh.cells.numpy()), ("triangle", faces[0]), ("triangle", faces[1])]
    tags = [np.full(len(cells), tag) for tag, (_, cells) in enumerate(blocks, 1)]
    path = tmp_path_factory.mktemp("mesh") / "block.msh"
    meshio.Mesh(
        mesh.vertices.double().numpy(),
        blocks,
        cell_data={"gmsh:physical": tags, "gmsh:geometrical": [tag.copy() for tag in tags]},
        field_data={"body": np.array([1, 3]), "left": np.array([2, 2]), "right": np.array([3, 2])},
    ).write(path, file_format="gmsh22", binary=False)
    return ["--mesh", str(path), "--scale", "0.001", "--fixed", "left"]


@pytest.fixture(scope="module")
def finished(train, small, tmp_path_factory):
    """The folder that a run on the small block wrote, and what it returned."""
    folder = tmp_path_factory.mktemp("outputs") / "new" / "folder"
    return folder, train.main([*small, "--output", str(folder)])


def test_the_truth_is_found_within_one_percent(finished):
    rows = finished[1]["parameters"]
    assert list(rows) == ["youngs_modulus [Pa]", "poissons_ratio"]
    for row, initial, reference in zip(rows.values(), (3e5, 0.3), (1e5, 0.4), strict=True):
        assert row["initial"] == pytest.approx(initial, rel=1e-5)
        assert row["reference"] == reference
        assert row["relative_error"] == pytest.approx(abs(row["found"] / reference - 1))
        assert row["relative_error"] < 0.01
    assert finished[1]["loss"]["found"] < 1e-5 < 0.1 < finished[1]["loss"]["initial"]
    assert finished[1]["ended"] == "converged"


def test_results_pictures_and_frames_are_written(finished):
    folder, results = finished
    assert json.loads((folder / "results.json").read_text()) == results
    for name in ("convergence.png", "found_over_target.png"):
        assert (folder / name).read_bytes().startswith(b"\x89PNG")
        assert (folder / name).stat().st_size > 10_000
    frames = re.findall(r'file="([^"]+)"', (folder / "motion.pvd").read_text())
    assert 10 <= len(frames) <= 41
    start, end = (meshio.read(folder / frames[k]).points for k in (0, -1))
    assert start.max() == pytest.approx(0.1)
    assert 1e-3 < np.abs(end - start).max() < 0.05


def test_what_is_printed(train, small, tmp_path, capsys):
    results = train.main([*small, "--output", str(tmp_path), "--iterations", "2", "--dtype", "float32"])
    out = capsys.readouterr().out
    row = results["parameters"]["youngs_modulus [Pa]"]
    table = f"youngs_modulus [Pa]: 300000 -> {row['found']:.6g} (reference 100000, error"
    for expected in ("(stable: ", "float32", "all within 0.02", "\n   2  loss = ", table, str(tmp_path)):
        assert expected in out
    assert "\n   3  loss" not in out
    assert results["simulations"] == 2
    assert results["ended"] == "all 2 simulations run"


def test_one_thread_for_the_run_and_the_same_as_before_after_it(train, small, tmp_path, monkeypatch):
    during, before = [], torch.get_num_threads()
    monkeypatch.setattr(train, "progress", lambda *_: during.append(torch.get_num_threads()))
    train.main([*small, "--output", str(tmp_path), "--iterations", "1", "--threads", str(before + 1)])
    assert during == [before + 1]
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mesh", "nowhere.msh"], r"train.py: error: nowhere.msh does not exist"),
        (["--mesh", str(ROOT / "train.py")], r"train.py: error: .* could not be read"),
        (["--fixed", "hand"], r"cantilever.msh has no vertices tagged 'hand'; its tags: 'clamped', 'tip'"),
        (["--scale", "0"], r"scale must be positive and finite .*, got 0.0"),
    ],
)
def test_bad_input_is_named(train, tmp_path, arguments, message):
    with pytest.raises(SystemExit, match=message):
        train.main([*arguments, "--output", str(tmp_path)])
    assert not list(tmp_path.iterdir())


def test_an_output_that_is_a_file_is_refused_at_once(train, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit, match=r"--output must name a folder, but .*file is a file"):
        train.main(["--output", str(tmp_path / "file")])


@pytest.mark.parametrize("number", ["0", "-3", "2.5", "many"])
def test_counts_are_whole_numbers_from_one_on(train, number, capsys):
    with pytest.raises(SystemExit):
        train.main(["--iterations", number])
    assert "--iterations: must be a whole number of at least 1" in capsys.readouterr().err


def test_vertices_around_the_middle_can_not_be_held(train):
    mesh = box_mesh(cells=(2, 2, 2))
    with pytest.raises(simlayer.MeshError, match="must lie at one end"):
        train.pulled_and_twisted(mesh, torch.arange(len(mesh.vertices)), pull=1.0, twist=1.0)


def test_the_velocities_pull_and_twist(train):
    mesh = box_mesh(cells=(2, 2, 2), size=(0.2, 0.1, 0.1))
    velocities, length = train.pulled_and_twisted(mesh, mesh.vertex_sets["x_min"], pull=2.0, twist=8.0)
    assert length == pytest.approx(0.2)
    assert velocities[mesh.vertex_sets["x_min"]].abs().max() == 0
    far = mesh.vertex_sets["x_max"]
    assert velocities[far, 0].numpy() == pytest.approx(2.0)
    y, z = (mesh.vertices[far, 1:] - 0.05).T
    # About the x axis at 8 m/s / 0.2 m.
    torch.testing.assert_close(velocities[far, 1:], 40 * torch.stack([-z, y], 1), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("failure", "ended"),
    [(KeyboardInterrupt(), "interrupted"), (DivergenceError("too fast"), "a trial failed: too fast")],
)
def test_what_was_found_before_an_interrupt_or_a_failure_is_kept(train, small, tmp_path, failure, ended):
    scene = train.build_scene(train.parse([*small, "--steps", "20"]))
    losses = []

    def loss():
        if len(losses) == 2:
            raise failure
        losses.append((scene.rollout(scene.start).positions - scene.target).square().sum() * 1e5)
        return losses[-1]

    fit = identify(scene.rollout, loss, [train.E, train.NU], limit=9, report=lambda *_: None)
    assert fit.ended == ended
    assert [trial.loss for trial in fit.trials] == [value.item() for value in losses]
    material = scene.rollout.step.forces["elastic"].material
    assert fit.best.loss == min(losses).item() < losses[0].item()
    assert material.youngs_modulus.item() == fit.best.values[train.E]
    assert material.poissons_ratio.item() == fit.best.values[train.NU]


def test_an_interrupt_before_the_first_simulation_says_so(train, small, tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "check_gradients", interrupted)
    with pytest.raises(SystemExit, match="interrupted before there was anything to keep"):
        train.main([*small, "--output", str(tmp_path)])


def test_wrong_gradients_end_the_run(train, small, tmp_path, monkeypatch):
    report = simlayer.verification.GradientReport
    monkeypatch.setattr(report, "passed", property(lambda self: False))
    with pytest.raises(SystemExit, match="these gradients are wrong"):
        train.main([*small, "--output", str(tmp_path)])
    assert not (tmp_path / "results.json").exists()
