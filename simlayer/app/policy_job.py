"""The job of training a policy: a network that moves a body to goals."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from omegaconf import DictConfig
from torch import nn
from torch.utils.data import DataLoader, DistributedSampler, TensorDataset

from simlayer.app.config_tree import build
from simlayer.app.controls import control_groups
from simlayer.app.movie import write_motion
from simlayer.app.network_job import FIT_KEYS, NetworkJob
from simlayer.app.scene import build_body
from simlayer.app.selection import select
from simlayer.app.surroundings import surroundings
from simlayer.learning.network_policy import NetworkPolicy
from simlayer.learning.objectives import DistanceToGoal
from simlayer.learning.policy_training import PolicyTraining
from simlayer.learning.reachable import reachable_points
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.paraview import write_frames
from simlayer.plotting import reach_picture


class ReachJob(NetworkJob):
    """Trains a policy that brings a point of a body to any goal that it can reach.

    Goals are where the point comes to by constant controls, drawn at random; some are held out.

    Args:
        config: the composed configuration.
        controls: names of the quantities that the policy sets, with a range of finite ends.
        parts: for some of them, which have a value per cell, into how many parts along x, y and z the body is
            divided, each of which gets a number of its own.
        point: the vertices whose mean is the point, and which the policy sees; see `select`.
        hidden: the widths of the hidden layers.
        length: the unit of displacements that the policy sees [m].
        speed: the unit of velocities [m/s].
        interval: after how many steps it is asked again.
        goals, held_out: how many are trained on, and how many tried.
        batch_size: goals of one step of the optimizer.
        last: the share of the motion that counts, at its end.
        goal_scale: how far goals are from where the point rests, over how far it came by constant controls;
            one number, or three along x, y and z.
        quantities: of the step that are trained with the policy, the same for all goals.
        design: called with the mesh, makes a module for `PolicyTraining`, such as `ThicknessProfile`.
    """

    unread = FIT_KEYS

    def __init__(
        self,
        config: DictConfig,
        *,
        controls: Sequence[str],
        parts: Mapping[str, Sequence[int]],
        point: Mapping[str, Any],
        hidden: Sequence[int],
        length: float,
        speed: float,
        interval: int,
        goals: int,
        held_out: int,
        batch_size: int,
        last: float,
        goal_scale: float | Sequence[float] = 1.0,
        quantities: Sequence[str] = (),
        design: Callable[[Mesh], nn.Module] | None = None,
    ) -> None:
        self.mesh, step, start = build_body(config, "reach")
        steps, vertices = math.ceil(config.duration / step.dt), select(self.mesh, point)
        self.objective, self.batch_size = DistanceToGoal(vertices, last=last), batch_size
        groups = control_groups(step, self.mesh, controls, parts)
        free = build(config.rollout)(step, steps)
        count = goals + 2 * held_out
        found = reachable_points(
            free, start, groups, self.objective.point, count=count, batch_size=batch_size
        )
        rest = self.objective.point(start.positions)
        found = rest + torch.tensor(goal_scale).to(rest) * (found - rest)
        # The best epoch is chosen by some, and tried on others.
        self.goals, self.held_out, self.unseen = found.split([goals, held_out, held_out])
        self.policy = NetworkPolicy(
            step,
            groups,
            vertices=vertices,
            num_inputs=3,
            hidden=hidden,
            length=length,
            speed=speed,
            interval=interval,
        )
        self.policy.standardize(self.goals)
        self.spread = float((found - found.mean(0)).norm(dim=-1).mean())
        self.training = PolicyTraining(
            build(config.rollout)(step, steps, policy=self.policy),
            start,
            self.objective,
            quantities=quantities,
            design=None if design is None else design(self.mesh),
            scale=self.spread,
            optimizer=build(config.optimizer) or None,
            scheduler=build(config.scheduler) or None,
        )
        super().__init__(config, self.training, {"objective": "m"})

    def loaders(self) -> tuple[DataLoader[Any], DataLoader[Any]]:
        train, tried = (TensorDataset(goals) for goals in (self.goals, self.held_out))
        # Its order is that of the epoch, of a run that is resumed too.
        order: DistributedSampler[Any] = DistributedSampler(
            train, num_replicas=1, rank=0, seed=self.config.seed
        )
        return (
            DataLoader(train, self.batch_size, sampler=order, drop_last=True),
            DataLoader(tried, self.batch_size),
        )

    def tried(self) -> dict[str, tuple[float, str]]:
        distance = torch.cat([self.training.objectives(part) for part in self.unseen.split(self.batch_size)])
        return {"distance from unseen goals": (float(distance.mean()), "m")}

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        rollout, policy = self.training.rollout, self.policy
        weights = sum(parameter.numel() for parameter in policy.parameters())
        count, dt = rollout.num_steps, rollout.step.dt
        numbers = f"{policy.controls.size} numbers of {', '.join(policy.controls.names)}"
        goals = f"{len(self.goals)} to train on, {len(self.unseen)} unseen ones to try it; on average "
        return [
            ("Body", str(self.mesh)),
            ("Time", f"{count} steps of {dt:.2g} s, {count * dt:.3g} s in total"),
            ("Policy", f"{weights:,} weights, asked every {policy.interval} steps; it sets {numbers}"),
            ("Goals", f"{goals}{1e3 * self.spread:.3g} mm from their middle"),
        ]

    def write_motion(self, folder: Path) -> None:
        """Draw the point's way to some goals, and write the motion to the first."""
        goals = self.unseen[: self.batch_size]
        motion, rollout = self.training(goals), self.training.rollout
        times = torch.arange(len(motion.positions)) * self.training.every * rollout.step.dt
        ways = self.objective.point(motion.positions)
        reach_picture(times, ways, goals).savefig(folder / "learned.png", dpi=150)
        write_motion(folder, self.mesh, motion.positions[:, 0], times, **surroundings(rollout.step))
        write_frames(folder / "motion.pvd", self.mesh, motion.positions[:, 0], times=times)
