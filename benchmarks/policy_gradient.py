"""A policy trained by the gradient of rollouts, and by PPO, on one body in equal time.

    python benchmarks/policy_gradient.py [seconds]

The arm, the network and the targets of `examples/soft_arm.py`, float32, eager, one thread; both methods are
rewarded by the distance of the tip after every action. Printed is how far it is from unseen targets in the
last quarter of the motion, without noise, against the time of the processor.
"""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

import simlayer as sl
from simlayer.reinforcement import RolloutEnvironment

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
import soft_arm as arm

ACTIONS = arm.STEPS // arm.EVERY  # per episode


class Task:
    """The arm, targets to train on, and targets to judge by."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.mesh, self.step = arm.body()
        targets = arm.reachable(sl.RolloutModule(self.step, arm.STEPS, compile=False), self.mesh, 320)
        self.targets, self.unseen = targets.split([256, 64])

    def error(self, policy: arm.Reach) -> float:
        """Return the mean distance of tips from unseen targets in the last quarter of the motion [m]."""
        start = sl.State.at_rest(self.mesh.vertices.expand(len(self.unseen), -1, -1))
        rollout = sl.RolloutModule(self.step, arm.STEPS, policy=policy, compile=False)
        with torch.no_grad():
            motion = rollout.trajectory(start, policy_inputs=(self.unseen,), every=arm.EVERY)
            return float(arm.settled(self.mesh, motion, self.unseen).mean())


# A method trains a policy for as long as it is asked on: it takes the fraction of the time that is spent.
Method = Callable[[Task, arm.Reach], Callable[[float], None]]


def by_gradient(task: Task, policy: arm.Reach) -> Callable[[float], None]:
    """Return an update by the gradient of one short piece of motions, as in the example."""
    optimizer = torch.optim.Adam(policy.parameters())
    rollout = sl.RolloutModule(task.step, arm.PIECE, policy=policy, compile=False, validate=False)
    practice = arm.Practice(task.mesh, rollout, task.targets)

    def update(spent: float) -> None:
        optimizer.param_groups[0]["lr"] = 1e-2 * 0.5 * (1 + math.cos(math.pi * spent))
        optimizer.zero_grad()
        (practice() / 0.01).mean().backward()
        nn.utils.clip_grad_norm_(policy.parameters(), 1.0)
        optimizer.step()

    return update


class Agent(nn.Module):
    """Normal logits of activations around those of the policy, and a value of what it observes."""

    def __init__(self, policy: arm.Reach) -> None:
        super().__init__()
        self.mean, self.log_deviation = policy.network, nn.Parameter(torch.zeros(arm.MUSCLES))
        self.value = nn.Sequential(
            nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh(), nn.Linear(64, 1)
        )

    def actions(self, seen: Tensor) -> torch.distributions.Independent:
        normal = torch.distributions.Normal(self.mean(seen), self.log_deviation.exp())
        return torch.distributions.Independent(normal, 1)


def by_ppo(
    task: Task,
    policy: arm.Reach,
    *,
    batch: int = 256,
    lr: float = 1e-3,
    discount: float = 0.9,
    trace: float = 0.95,
    epochs: int = 10,
    minibatch: int = 512,
) -> Callable[[float], None]:
    """Return an update by proximal policy optimization (Schulman et al. 2017) on one episode of a batch."""
    goals, agent = torch.zeros(batch, 3), Agent(policy)
    rest = sl.State.at_rest(task.mesh.vertices.expand(batch, -1, -1))
    optimizer = torch.optim.Adam(agent.parameters(), eps=1e-5)

    def start(_: torch.Generator) -> sl.State:
        goals.copy_(task.targets[torch.randint(len(task.targets), (batch,))])
        return rest

    environment = RolloutEnvironment(
        sl.RolloutModule(task.step, arm.EVERY, compile=False, validate=False),
        start,
        {arm.ACTIVATION: (0.0, 1.0, len(task.mesh.cells))},
        observe=lambda state: policy.observe(state, goals),
        reward=lambda state, _: -(arm.tip(task.mesh, state.positions) - goals).norm(dim=-1) / 0.01,
        max_actions=ACTIONS,
    )

    def update(spent: float) -> None:
        optimizer.param_groups[0]["lr"] = lr * (1 - spent)
        seen, taken, rewards = episode(environment, agent, policy.cells)
        with torch.no_grad():
            values = agent.value(seen)[..., 0]
            advantages = generalized_advantages(rewards, values, discount, trace)
            returns = (advantages + values[:-1]).flatten()
            seen, taken, advantages = seen[:-1].flatten(0, 1), taken.flatten(0, 1), advantages.flatten()
            before = agent.actions(seen).log_prob(taken)
        for rows in (rows for _ in range(epochs) for rows in torch.randperm(len(seen)).split(minibatch)):
            advantage = (advantages[rows] - advantages[rows].mean()) / (advantages[rows].std() + 1e-8)
            ratio = (agent.actions(seen[rows]).log_prob(taken[rows]) - before[rows]).exp()
            gain = torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage).mean()
            misfit = (agent.value(seen[rows])[:, 0] - returns[rows]).square().mean()
            optimizer.zero_grad()
            (0.5 * misfit - gain).backward()
            nn.utils.clip_grad_norm_(agent.parameters(), 0.5)
            optimizer.step()

    return update


@torch.no_grad()
def episode(environment: RolloutEnvironment, agent: Agent, cells: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return what is seen `(T + 1, B, 9)`, the logits that are drawn and the rewards `(T, B)`."""
    seen, taken, rewards = [torch.as_tensor(environment.reset()[0])], [], []
    for _ in range(ACTIONS):
        taken.append(agent.actions(seen[-1]).sample())
        after, reward, *_ = environment.step((taken[-1].sigmoid() @ cells).numpy())
        seen.append(torch.as_tensor(after))
        rewards.append(torch.as_tensor(reward).float())
    return torch.stack(seen), torch.stack(taken), torch.stack(rewards)


def generalized_advantages(rewards: Tensor, values: Tensor, discount: float, trace: float) -> Tensor:
    """Return advantages `(T, B)` (Schulman et al. 2016); an episode is cut short, so its end has a value."""
    advantages, last = torch.empty_like(rewards), torch.zeros_like(rewards[0])
    for t in reversed(range(len(rewards))):
        error = rewards[t] + discount * values[t + 1] - values[t]
        advantages[t] = last = error + discount * trace * last
    return advantages


def errors(method: Method, seconds: float, marks: list[float]) -> Iterator[tuple[float, float, int]]:
    """Yield the time spent on training [s], the error then [m], and the number of updates, at these times."""
    task = Task()
    policy = arm.Reach(task.mesh, task.targets)
    update, spent, count = method(task, policy), 0.0, 0
    for mark in marks:
        while spent < mark:
            started = time.process_time()
            update(min(spent / seconds, 1.0))
            spent, count = spent + time.process_time() - started, count + 1
        yield spent, task.error(policy), count


def main(seconds: float = 90.0) -> None:
    torch.set_num_threads(1)
    marks = [seconds / 16, seconds / 8, seconds / 4, seconds / 2, seconds]
    for name, method in (("gradient", by_gradient), ("PPO", by_ppo)):
        for spent, error, count in errors(method, seconds, marks):
            print(f"{name:>8}: {spent:6.1f} s, {count:4d} updates, {1e3 * error:5.2f} mm", flush=True)


if __name__ == "__main__":
    main(*map(float, sys.argv[1:2]))
