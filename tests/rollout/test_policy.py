"""Policies: networks that set quantities by what they see, while a rollout runs."""

import re

import pytest
import torch
from support.scenes import beam, moving, noise
from torch import nn

from simlayer import (
    BackwardEuler,
    DivergenceError,
    ElasticForce,
    Muscle,
    Newmark,
    NewtonSolver,
    Policy,
    RecurrentPolicy,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
    parameter_jacobian,
)

pytestmark = pytest.mark.usefixtures("float64")

MESH = (2, 1, 1)
STEPS = {SymplecticEuler: 2e-3, Newmark: 2e-2, BackwardEuler: 2e-2}


class Steer(Policy):
    """Pulls by what it sees of the last vertex, and stiffens by it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.network = nn.Sequential(nn.Linear(9, 5), nn.Tanh(), nn.Linear(5, 4))

    def forward(self, state, goal):
        out = self.network(seen(state, goal))
        return {"gravity": 20 * out[..., :3], "log_youngs_modulus": 11 + out[..., 3:].tanh()}


class Remember(RecurrentPolicy):
    """As `Steer`, by a recurrent network."""

    def __init__(self, **options):
        super().__init__(**options)
        self.cell, self.out = nn.GRUCell(9, 4), nn.Linear(4, 3)

    def initial_memory(self, state, goal):
        return (torch.zeros(len(state.positions), 4),)

    def forward(self, state, memory, goal):
        (hidden,) = memory
        hidden = self.cell(seen(state, goal), hidden)
        return {"gravity": 20 * self.out(hidden)}, (hidden,)


def seen(state, goal):
    return torch.cat([state.positions[..., -1, :], state.velocities[..., -1, :], goal], -1)


def policy(kind=Steer, **options):
    torch.manual_seed(0)
    return kind(**options)


def rollout(kind, own, steps=7, **options):
    force = ElasticForce(mesh := box_mesh(cells=MESH, size=(0.2, 0.1, 0.1)), StableNeoHookean(1e5, 0.4))
    step = kind(mesh, {"elastic": force}, dt=STEPS[kind], density=1e3, fixed="x_min")
    if not step.explicit:
        step.newton = NewtonSolver(tolerance=1e-10)  # differences see what is not solved
    return RolloutModule(step, steps, policy=own, **options)


def start():
    return moving(MESH, 2)


def goals():
    return noise(2, 3, seed=3)


def gradients(rollout, goal):
    """The end, and its gradients by the policy's weights, the goal and the density."""
    parameters = [*rollout.policy.parameters(), *rollout.train_only("density")]
    goal = goal.clone().requires_grad_()
    end = rollout(start(), policy_inputs=(goal,))
    loss = (end.positions * noise(*end.positions.shape, seed=1)).sum() + end.velocities.square().sum()
    return end, torch.autograd.grad(loss, [*parameters, goal])


@pytest.mark.parametrize("interval", [1, 3])
@pytest.mark.parametrize("own", [Steer, Remember])
@pytest.mark.parametrize("kind", STEPS)
def test_gradients_are_those_of_central_differences(kind, own, interval):
    module = rollout(kind, policy(own, interval=interval))
    _, found = gradients(module, goals())
    leaves = [*module.policy.parameters(), module.step.log_density]
    with torch.no_grad():
        for index, (leaf, gradient) in enumerate(zip(leaves, found, strict=False)):
            way, values = noise(*leaf.shape, seed=index), []
            for sign in (1, -1):
                leaf.add_(sign * 1e-5 * way)
                end = module(start(), policy_inputs=(goals(),))
                leaf.sub_(sign * 1e-5 * way)
                weights = noise(*end.positions.shape, seed=1)
                values.append((end.positions * weights).sum() + end.velocities.square().sum())
            expected = (values[0] - values[1]) / 2e-5
            torch.testing.assert_close((gradient * way).sum(), expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("own", [Steer, Remember])
@pytest.mark.parametrize("kind", STEPS)
def test_checkpoints_change_no_bit_of_gradients(kind, own):
    module = rollout(kind, policy(own, interval=2), compile=False, checkpoint=3)
    _, kept = gradients(module, goals())
    module.checkpoint = 2
    _, again = gradients(module, goals())
    module.checkpoint = "none"
    _, reference = gradients(module, goals())
    for one, two, three in zip(kept, again, reference, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        torch.testing.assert_close(one, three, rtol=1e-12, atol=1e-14)


def test_a_compiled_step_has_the_policy_of_an_eager_one():
    module = rollout(SymplecticEuler, policy(Remember, interval=2), compile=False)
    end, found = gradients(module, goals())
    module.compiler = "aot_eager"
    other, compiled = gradients(module, goals())
    torch.testing.assert_close(other.positions, end.positions, rtol=1e-10, atol=0)
    for one, two in zip(found, compiled, strict=True):
        torch.testing.assert_close(one, two, rtol=1e-8, atol=1e-12)


@pytest.mark.parametrize("own", [Steer, Remember])
@pytest.mark.parametrize("kind", STEPS)
def test_forward_mode_goes_through_a_policy(kind, own):
    module = rollout(kind, policy(own, interval=2))
    parameters = dict(module.policy.named_parameters()) | {"density": module.train_only("density")[0]}
    goal = nn.Parameter(goals())

    def weighted():
        end = module(start(), policy_inputs=(goal,))
        weights = noise(*end.positions.shape, seed=1)
        return (end.positions * weights).sum() + sum(past.square().sum() for past in end[2])

    value, jacobian = parameter_jacobian(weighted, parameters | {"goal": goal})
    loss = weighted()
    expected = torch.autograd.grad(loss, [*parameters.values(), goal])
    torch.testing.assert_close(value, loss.detach())
    for name, gradient in zip(jacobian, expected, strict=True):
        torch.testing.assert_close(jacobian[name], gradient, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("kind", STEPS)
def test_answers_hold_for_the_interval(kind):
    calls = []

    class Counting(Policy):
        def forward(self, state):
            calls.append(state.positions.clone())
            return {"gravity": torch.sin(1e3 * state.positions[..., -1, :])}

    module = rollout(kind, Counting(interval=3))
    frames = module.trajectory(start())
    del calls[0]  # the first call looks at what the policy returns
    assert len(calls) == 3
    for index, positions in enumerate(calls):
        torch.testing.assert_close(positions, frames.positions[3 * index])
    gravity = torch.sin(1e3 * frames.positions[[0, 0, 0, 3, 3, 3, 6], :, -1])
    module.policy = None
    again = module.trajectory(start(), controls={"gravity": gravity})
    torch.testing.assert_close(frames.positions, again.positions, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("kind", STEPS)
def test_a_rollout_goes_on_with_the_memory_of_another(kind):
    own = policy(Remember, interval=2)
    whole = rollout(kind, own, 8)(start(), policy_inputs=(goals(),))
    half = rollout(kind, own, 4)
    again = half(half(start(), policy_inputs=(goals(),)), policy_inputs=(goals(),))
    torch.testing.assert_close(again, whole, rtol=1e-10, atol=1e-12)
    assert again.history[-1].shape == (2, 4)


def test_frames_hold_the_memory_at_their_times():
    frames = rollout(SymplecticEuler, policy(Remember)).trajectory(start(), policy_inputs=(goals(),), every=2)
    assert frames.history[-1].shape == (4, 2, 4)
    assert not frames.history[-1][0].any()


def test_what_derives_from_a_control_and_an_answer_follows_from_both():
    class Harden(Policy):
        def forward(self, state):
            return {"youngs_modulus": torch.full((2, 1), 2e5)}

    ratios = torch.linspace(0.1, 0.4, 7)[:, None]
    module = rollout(Newmark, Harden(interval=4))
    end = module(start(), controls={"poissons_ratio": ratios})
    module.policy = None
    moduli = torch.full((2, 1), 2e5)
    expected = module(start(), {"youngs_modulus": moduli}, controls={"poissons_ratio": ratios})
    torch.testing.assert_close(end.positions, expected.positions)


def test_forward_mode_follows_what_derives_from_a_control_and_an_answer():
    class Harden(Policy):
        def forward(self, state):
            return {"youngs_modulus": 1e5 * (1 + state.positions[..., -1, :1] ** 2)}

    module = rollout(SymplecticEuler, Harden(interval=3))
    ratios = nn.Parameter(torch.linspace(0.1, 0.4, 7)[:, None])

    def height():
        return module(start(), controls={"poissons_ratio": ratios}).positions[..., 2].sum()

    _, jacobian = parameter_jacobian(height, {"ratios": ratios})
    torch.testing.assert_close(jacobian["ratios"], torch.autograd.grad(height(), ratios)[0])


@pytest.mark.parametrize("checkpoint", [3, "sqrt"])
def test_random_answers_are_the_same_in_backward(checkpoint):
    class Noisy(Steer):
        def forward(self, state, goal):
            answer = super().forward(state, goal)
            return answer | {"gravity": answer["gravity"] * (1 + 0.1 * torch.randn(2, 3))}

    found = []
    for setting in ("none", checkpoint):
        module = rollout(Newmark, policy(Noisy), checkpoint=setting)
        torch.manual_seed(1)
        found.append(gradients(module, goals())[1])
    for one, two in zip(*found, strict=True):
        torch.testing.assert_close(one, two)


def test_a_policy_has_the_weights_of_the_call_in_backward():
    module = rollout(SymplecticEuler, policy(), checkpoint=2, compile=False)
    end = module(start(), policy_inputs=(goals(),))
    expected = torch.autograd.grad(end.positions.sum(), list(module.policy.parameters()), retain_graph=True)
    kept = list(module.policy.parameters())
    for layer in (module.policy.network[0], module.policy.network[2]):
        layer.weight, layer.bias = nn.Parameter(0 * layer.weight), nn.Parameter(0 * layer.bias)
    found = torch.autograd.grad(end.positions.sum(), kept, retain_graph=True)
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)
    with torch.no_grad():
        kept[0].mul_(2)
    with pytest.raises(RuntimeError, match="modified in place between the forward and the backward pass"):
        torch.autograd.grad(end.positions.sum(), kept)


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor that is not a leaf")
def test_a_compiled_network_may_be_part_of_a_policy():
    module = rollout(SymplecticEuler, policy(interval=2), compile=False)
    _, expected = gradients(module, goals())
    module.policy.network = torch.compile(module.policy.network, backend="aot_eager")
    _, found = gradients(module, goals())
    for one, two in zip(found, expected, strict=True):
        torch.testing.assert_close(one, two)


class Returning(Policy):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, state):
        return self.answer


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (torch.ones(3), TypeError, "policy (Returning) must return a mapping of names of quantities"),
        ({"gravty": torch.ones(3)}, KeyError, "policy (Returning): no quantity is named 'gravty'"),
        ({"gravity": torch.ones(2, 4).double()}, ValueError, "policy (Returning): gravity has shape (2, 4)"),
        ({"gravity": torch.ones(3).float()}, TypeError, "policy (Returning): gravity is torch.float32"),
        (
            {"gravity": torch.ones(5, 3).double()},
            ValueError,
            "has set 'gravity' for a batch (5,), the rollout has",
        ),
        ({"rest_positions": torch.ones(1, 3).double()}, ValueError, "the same in all steps of a rollout"),
        ({"density": -torch.ones(1).double()}, ValueError, "density must be positive"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(answer, error, message):
    with pytest.raises(error, match=re.escape(message)):
        rollout(SymplecticEuler, Returning(answer))(start())


def test_a_value_that_leaves_its_range_on_the_way_is_named():
    class Drift(RecurrentPolicy):
        def initial_memory(self, state):
            return (torch.tensor(300.0),)

        def forward(self, state, memory):
            return {"density": memory[0]}, (memory[0] - 100,)

    with pytest.raises(
        ValueError, match=r"policy \(Drift\) has set density to 0, .* log_density, the stored"
    ):
        rollout(Newmark, Drift())(start())


def test_the_names_of_answers_are_the_same_at_every_call():
    class Fickle(RecurrentPolicy):
        def initial_memory(self, state):
            return (torch.zeros(()),)

        def forward(self, state, memory):
            name = "gravity" if memory[0] == 0 else "density"
            return {name: torch.ones(3 if name == "gravity" else 1)}, (memory[0] + 1,)

    with pytest.raises(ValueError, match="must set the same quantities at every call"):
        rollout(SymplecticEuler, Fickle())(start())


@pytest.mark.unchecked
def test_inputs_for_a_policy_need_one_and_a_control_is_set_once():
    with pytest.raises(TypeError, match="policy_inputs are for the policy of a rollout"):
        RolloutModule(beam(), 2)(moving(), policy_inputs=(torch.ones(3),))
    module = rollout(SymplecticEuler, policy())
    with pytest.raises(TypeError, match=r"policy_inputs\[0\] must be a tensor, got 3"):
        module(start(), policy_inputs=(3,))
    with pytest.raises(ValueError, match="'gravity' is given in controls and set by the policy"):
        module(start(), controls={"gravity": torch.ones(7, 3)}, policy_inputs=(goals(),))
    with pytest.raises(TypeError, match="policy must be"):
        RolloutModule(beam(), 2, policy=len)


def test_a_rollout_that_diverges_under_a_policy_names_the_step():
    class Shake(RecurrentPolicy):
        def initial_memory(self, state):
            return (torch.ones(()),)

        def forward(self, state, memory):
            return {"gravity": memory[0].expand(3)}, (memory[0] * 1e60,)

    with pytest.raises(DivergenceError, match=r"no longer finite after step 5"):
        rollout(SymplecticEuler, Shake())(State.at_rest(start().positions))


def test_a_policy_is_part_of_the_module_and_not_of_its_physical_quantities():
    module = rollout(SymplecticEuler, policy())
    assert any(name.startswith("policy.network") for name in module.state_dict())
    module.train_only("density")
    assert all(parameter.requires_grad for parameter in module.policy.parameters())
    assert "Steer" in repr(module)


@pytest.mark.parametrize("kind", STEPS)
def test_what_derives_from_answers_follows_from_the_rest_positions_of_the_call_too(kind):
    class Weigh(Policy):
        def forward(self, state):
            return {"density": torch.full((2, 1), 2e3)}

    module = rollout(kind, Weigh(interval=2))
    shape = start().positions[0] * 0 + 1.2 * module.step.elements.mesh.vertices
    state = State.at_rest(shape.expand(2, -1, -1))
    forces = {"gravity": torch.tensor([0.0, 0.0, -9.81]), "rest_positions": shape}
    end = module(state, forces)
    module.policy = None
    expected = module(state, forces | {"density": torch.full((2, 1), 2e3)})
    torch.testing.assert_close(end.positions, expected.positions, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("activation", [0.0, 1.0])
def test_a_policy_may_set_the_ends_of_a_closed_range(activation):
    class Hold(Policy):
        def forward(self, state):
            return {"activation": torch.full((2, 1), activation)}

    module = rollout(SymplecticEuler, Hold(interval=3))
    mesh, muscle = module.step.elements.mesh, {"fibres": (1.0, 0.0, 0.0), "peak_stress": 1e4}
    forces = dict(module.step.forces) | {"muscle": Muscle(mesh, **muscle)}
    step = SymplecticEuler(mesh, forces, dt=1e-3, density=1e3, fixed="x_min")
    end = RolloutModule(step, 7, policy=Hold(interval=3))(start())
    expected = RolloutModule(step, 7)(start(), {"activation": torch.full((2, 1), activation)})
    torch.testing.assert_close(end.positions, expected.positions, rtol=1e-12, atol=0)
