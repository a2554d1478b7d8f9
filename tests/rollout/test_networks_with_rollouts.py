"""Networks that contain a rollout, in what torch does to networks."""

import copy
import io
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from simlayer import (
    BackwardEuler,
    ElasticForce,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")


class Stiffness(nn.Module):
    """Predicts Young's modulus, and simulates with it."""

    def __init__(self, kind=SymplecticEuler, **options):
        super().__init__()
        torch.manual_seed(0)
        mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1))
        force = ElasticForce(mesh, StableNeoHookean(1e5, 0.4))
        step = kind(mesh, {"elastic": force}, dt=2e-3, density=1e3, fixed="x_min", gravity=(0.0, 0.0, -9.81))
        self.network, self.rollout = nn.Linear(2, 1), RolloutModule(step, 3, **options)
        self.register_buffer("vertices", mesh.vertices)

    def forward(self, observation):
        moduli = 1e5 * self.network(observation).exp()
        start = State.at_rest(self.vertices.expand(len(observation), -1, -1))
        return self.rollout(start, {"youngs_modulus": moduli}).positions


def observation():
    return torch.tensor([[0.1, 0.2], [-0.3, 0.4], [0.5, -0.6]])


def outputs(network, weights):
    end = network(observation())
    return end, torch.autograd.grad(end.square().sum(), list(weights))


# What torch's compiler says of what it does itself; the tests' checks of shapes are not for it to trace.
@pytest.mark.unchecked
@pytest.mark.filterwarnings("ignore::UserWarning:torch")
@pytest.mark.parametrize("options", [{"compile": False}, {"compile": "aot_eager"}], ids=str)
@pytest.mark.parametrize("kind", [SymplecticEuler, BackwardEuler])
def test_a_network_that_is_compiled_with_a_rollout_inside_computes_the_same(kind, options):
    network = Stiffness(kind, **options)
    expected = outputs(network, network.network.parameters())
    torch.compiler.reset()
    compiled = torch.compile(network, backend="aot_eager")
    found = outputs(compiled, network.network.parameters())
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=0)


def test_an_export_is_refused_with_what_to_do():
    with pytest.raises(RuntimeError, match=r"cannot be exported by torch.export.* call the rollout between"):
        torch.export.export(Stiffness(compile=False), (observation(),), strict=False)


def test_weights_are_loaded_as_plain_tensors():
    network, file = Stiffness(), io.BytesIO()
    network.rollout.step.forces["elastic"].material.poissons_ratio = 0.3
    torch.save(network.state_dict(), file)
    other = Stiffness()
    other.load_state_dict(torch.load(io.BytesIO(file.getvalue()), weights_only=True))
    assert torch.equal(other(observation()), network(observation()))


def test_a_copy_is_independent():
    network = Stiffness()
    before, other = network(observation()), copy.deepcopy(network)
    with torch.no_grad():
        other.network.weight.mul_(2)
    assert torch.equal(network(observation()), before)
    assert not torch.equal(other(observation()), before)


def test_optimizers_see_what_is_trainable_by_physical_names():
    network = Stiffness()
    assert {name for name, p in network.named_parameters() if p.requires_grad} == {
        "network.weight",
        "network.bias",
    }
    network.rollout.train_only("density", "gravity")
    groups = [
        {"params": [p for n, p in network.named_parameters() if n.startswith("network.")]},
        {"params": [network.rollout.step.get_parameter("log_density")], "lr": 1e-3},
        {"params": [network.rollout.step.get_parameter("gravity")], "lr": 1e-1},
    ]
    optimizer = torch.optim.Adam(groups, lr=1e-2)
    network(observation()).square().sum().backward()
    optimizer.step()
    trained = [p for group in groups for p in group["params"]]
    assert {id(p) for p in trained} == {id(p) for p in network.parameters() if p.requires_grad}
    assert all(p.grad.any() for p in trained)


def test_inference_mode_gives_the_same_positions_and_leaves_training_possible():
    network = Stiffness(compile=False)
    with torch.inference_mode():
        found = network(observation())
    end, gradients = outputs(network, network.network.parameters())
    assert torch.equal(found, end)
    assert all(gradient.any() for gradient in gradients)


# Each of two processes has its own observations; both print the gradient of all.
PROCESS = """
import sys
import torch
import torch.distributed as processes
from rollout.test_networks_with_rollouts import Stiffness, observation
from torch.distributed.fsdp import fully_shard
from torch.nn.parallel import DistributedDataParallel

rank, store, kind = int(sys.argv[1]), sys.argv[2], sys.argv[3]
torch.set_default_dtype(torch.float64)
processes.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
network = Stiffness(compile=False)
weight = network.network.weight
if kind == "ddp":
    run = DistributedDataParallel(network)
else:
    fully_shard(network.network)
    run = network
run(observation()[:2] if rank == 0 else observation()[2:].expand(2, -1)).square().sum().backward()
gradient = network.network.weight.grad
if kind == "fsdp":
    gradient = gradient.full_tensor()
print(" ".join(f"{number:.12e}" for number in gradient.flatten().tolist()), flush=True)
processes.barrier()  # a process that leaves early may abort the other one
processes.destroy_process_group()
"""


@pytest.mark.parametrize("kind", ["ddp", "fsdp"])
def test_networks_in_several_processes_share_their_gradients(kind, tmp_path):
    running = [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", PROCESS, str(rank), str(tmp_path / "store"), kind],
            cwd=Path(__file__).parents[1],
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        printed = [process.communicate(timeout=300)[0].strip() for process in running]
    finally:
        for process in running:
            process.kill()
    network = Stiffness(compile=False)
    sums = [network(part).square().sum() for part in (observation()[:2], observation()[2:].expand(2, -1))]
    (expected,) = torch.autograd.grad(sum(sums) / 2, [network.network.weight])
    for line in printed:
        found = torch.tensor([float(number) for number in line.split()])
        torch.testing.assert_close(found, expected.flatten(), rtol=1e-10, atol=0)
