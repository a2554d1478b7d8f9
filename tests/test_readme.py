"""The README's code runs as printed, but for how long."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch

import simlayer
from simlayer.identification import Markers, ObservedRollout

README = (Path(__file__).parents[1] / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def shortened(block: str) -> str:
    for long, short in (
        ("num_steps=1000", "num_steps=12"),
        ("range(100)", "range(2)"),
        ("max_epochs=100", "max_epochs=1"),
    ):
        block = block.replace(long, short)
    return block


@pytest.fixture(scope="module")
def readme():
    """What the README's first three blocks define, run in order."""
    torch.manual_seed(0)
    names = {name: getattr(simlayer, name) for name in simlayer.__all__} | {"torch": torch}
    names |= {
        "network": torch.nn.Linear(4, 1),
        "observation": torch.randn(3, 4),
        "target": torch.zeros(3, 176, 3),
    }
    exec(shortened(BLOCKS[0]), names)
    names["layer_gradient"] = names["network"].weight.grad
    names["target"] = names["target"][0]
    exec(shortened(BLOCKS[1]), names)
    names["before"] = float(names["elastic"].material.youngs_modulus.detach())
    names["state"] = simlayer.State.at_rest(names["mesh"].vertices.double())
    names["loss"] = lambda final: final.positions.square().mean()
    return names


def test_the_layer_in_a_network_passes_its_gradient_to_the_network(readme):
    assert readme["final"].positions.shape == (3, 176, 3)
    assert float(readme["layer_gradient"].abs().sum()) > 0


def test_the_fit_changes_the_material(readme):
    assert float(readme["elastic"].material.youngs_modulus.detach()) != pytest.approx(1e5, rel=1e-4)


def test_the_policy_of_the_readme_gets_a_gradient(readme):
    exec(BLOCKS[2], readme)
    assert all(parameter.grad.any() for parameter in readme["steered"].policy.parameters())


def test_bodies_of_the_readme_that_differ_pass_their_gradient_to_the_network(readme):
    def make_step(mesh: simlayer.Mesh) -> simlayer.Step:
        elastic = simlayer.ElasticForce(mesh, simlayer.StableNeoHookean(1e5, 0.3))
        return simlayer.SymplecticEuler(
            mesh, {"elastic": elastic}, dt=2e-4, fixed="x_min", gravity=(0, 0, -9.81)
        )

    meshes = [simlayer.box_mesh(cells=(n, 1, 1), size=(0.02 * n, 0.02, 0.02)) for n in (1, 2, 3)]
    network = torch.nn.Linear(4, 1)
    samples = [(simlayer.Body(mesh), torch.randn(4), torch.zeros_like(mesh.vertices)) for mesh in meshes]
    exec(BLOCKS[3], dict(readme) | {"make_step": make_step, "network": network, "samples": samples})
    assert network.weight.grad.abs().min() > 0


# What Lightning says of every short fit on a CPU.
@pytest.mark.filterwarnings("ignore::UserWarning:lightning", "ignore::FutureWarning:lightning")
def test_lightning_trains_the_rollout(readme, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = dict(readme)
    exec(shortened(BLOCKS[4]), names)
    (value,) = names["model"].values().values()
    # One step of Adam, whose size is the learning rate, from where the fit before had ended.
    assert names["before"] != pytest.approx(float(value), rel=0.01)


def test_a_filmed_body_is_identified_from_numpy(readme, capsys):
    names = dict(readme)
    names["mesh"] = mesh = simlayer.box_mesh(cells=(3, 1, 1), size=(0.1, 0.03, 0.03))
    elastic = simlayer.ElasticForce(mesh, simlayer.LinearElastic(1e5, 0.3))
    step = simlayer.SymplecticEuler(
        mesh, {"elastic": elastic}, dt=5e-4, gravity=(0.0, 0.0, -9.81), fixed=mesh.vertices[:, 0] < 1e-9
    )
    names["rollout"] = simlayer.RolloutModule(step, 40, compile=False)
    names["times"] = np.linspace(0.002, 0.02, 35)
    markers = Markers(mesh, torch.tensor([[0.1, 0.0, 0.03], [0.1, 0.03, 0.0]]))
    filmed = ObservedRollout(names["rollout"], markers, torch.as_tensor(names["times"]))
    rest = simlayer.State.at_rest(mesh.vertices)
    names["data"] = filmed(rest).numpy()
    elastic.material.youngs_modulus = 0.9e5
    names["trials"] = np.stack([names["data"], filmed(rest).numpy()])
    elastic.material.youngs_modulus = 1.3e5
    exec(BLOCKS[5], names)
    assert names["fit"].steps <= 10
    assert names["fit"].values[names["fit"].uncertainty.names[0]] == pytest.approx(1e5, rel=1e-3)
    assert "youngs_modulus = 100" in capsys.readouterr().out
    exec(BLOCKS[6], names)
    moduli = next(iter(names["found"].values.values()))
    torch.testing.assert_close(moduli, moduli.new_tensor([1e5, 0.9e5]), rtol=1e-3, atol=0)
    assert "2 specimens: 2 fitted" in capsys.readouterr().out


def test_the_readmes_jacobian_has_a_derivative_for_every_coordinate(readme):
    names = dict(readme) | {"state": simlayer.State.at_rest(readme["mesh"].vertices)}
    exec(BLOCKS[7], names)
    assert names["jacobian"]["youngs_modulus"].shape == names["value"].shape


def test_the_readmes_body_falls_onto_its_floor(readme):
    # The fit before has changed the other elastic force.
    names = dict(readme)
    names["elastic"] = simlayer.ElasticForce(names["mesh"], simlayer.StableNeoHookean(1e5, 0.45))
    exec(BLOCKS[8], names)
    start = simlayer.State.at_rest(names["mesh"].vertices)
    moved = simlayer.RolloutModule(names["step"], 5, compile=False)(start).positions - start.positions
    assert bool((moved[:, 2] < 0).all())
    assert float(names["step"].dissipation["friction"].coefficient) == pytest.approx(0.5)


def test_the_readmes_muscle_is_driven_by_the_network(readme):
    names = dict(readme)
    names["elastic"] = simlayer.ElasticForce(names["mesh"], simlayer.StableNeoHookean(1e5, 0.45))
    exec(shortened(BLOCKS[9]), names)
    (gradient,) = torch.autograd.grad(names["bent"].positions.square().sum(), names["network"].weight)
    assert names["bent"].positions.shape == (3, 176, 3)
    assert float(gradient.abs().sum()) > 0


def test_the_gradients_check_on_the_readmes_own_scene(readme, capsys):
    exec(BLOCKS[10], readme)
    printed = capsys.readouterr().out
    assert "youngs_modulus" in printed
    assert "WRONG" not in printed


def test_the_readmes_own_material_and_potential_run_in_a_rollout(readme):
    names = dict(readme)
    exec(BLOCKS[11], names)
    mesh = names["mesh"]
    law = names["Gent"](shear_modulus=3e4, limit=2.0)
    forces = {
        "elastic": simlayer.ElasticForce(mesh, law),
        "anchor": names["Anchor"](torch.tensor([0.0, 0.0, 0.1]), 0.5),
    }
    rollout = simlayer.RolloutModule(simlayer.SymplecticEuler(mesh, forces, dt=1e-5), 3, compile=False)
    stiffness = torch.tensor([[-1.0], [1.0]], requires_grad=True)
    final = rollout(simlayer.State.at_rest(mesh.vertices), {"forces.anchor.log_stiffness": stiffness})
    final.positions.sum().backward()
    assert final.positions.shape == (2, 176, 3)
    assert bool((stiffness.grad != 0).all())
    assert float(law.energy_density(simlayer.Matrix3(*torch.eye(3).flatten().unbind()))) == pytest.approx(0)


def test_the_commands_of_the_readme_name_files_that_exist():
    root = Path(__file__).parents[1]
    for name in re.findall(r"[\w/.-]+\.(?:py|txt|png|md)\b", README):
        if "/" in name or name in ("train.py", "constraints.txt"):
            assert (root / name).exists(), name


def test_the_readmes_readouts_are_those_of_its_rollout(readme):
    names = dict(readme)
    short = simlayer.RolloutModule(names["rollout"].step, 20, compile=False)
    names["rollout"] = short
    with torch.no_grad():
        exec(BLOCKS[12], names)
    assert names["sigma"].shape == (21, 540, 1, 3, 3)
    assert names["smooth"].shape == (21, 176, 3, 3)
    assert names["held"].force.shape == (21, 3)
    assert names["balance"].residual.shape == (21,)
