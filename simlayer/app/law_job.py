"""The job of training a material that learns, by motions of a body whose material is another one."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from jaxtyping import Float
from omegaconf import DictConfig, open_dict
from torch import Tensor
from torch.utils.data import DataLoader, TensorDataset

from simlayer.app.config_tree import build
from simlayer.app.law_picture import law_picture
from simlayer.app.movie import write_motion
from simlayer.app.network_job import FIT_KEYS, NetworkJob
from simlayer.app.scene import build_body, build_step
from simlayer.app.surroundings import surroundings
from simlayer.errors import ConfigError
from simlayer.learning.motion_training import MotionTraining
from simlayer.mesh.paraview import write_frames

_MATERIAL = "forces.elastic.material"


class LawJob(NetworkJob):
    """Trains the material of a body by its motions under some loads, and tries it under others.

    The motions are those of the same body with a material that is hidden from the training.

    Args:
        config: the composed configuration; its `material` is the one that learns.
        truth: the configuration of the hidden material.
        loads: accelerations of the whole body that are learned from [m/s²], `(S, 3)`.
        unseen: others, which it is tried on, `(U, 3)`.
        every: the steps from one observed frame to the next.
    """

    unread = (*FIT_KEYS, "step.gravity")
    full_batch: ClassVar[bool] = True

    def __init__(
        self,
        config: DictConfig,
        *,
        truth: Mapping[str, Any],
        loads: Sequence[Sequence[float]],
        unseen: Sequence[Sequence[float]],
        every: int,
    ) -> None:
        self.every = every
        self.mesh, step, start = build_body(config, "law")
        hidden = config.copy()
        with open_dict(hidden):
            hidden.material = truth
        true_step, _ = build_step(hidden, self.mesh)
        steps = every * math.ceil(config.duration / step.dt / every)
        # The frames of both are at the same times.
        true_step.dt = step.dt
        self.seen, self.unseen = (_loads(key, x) for key, x in (("loads", loads), ("unseen", unseen)))
        self.truth: Any = true_step.forces["elastic"].material
        self.material: Any = step.forces["elastic"].material
        teacher = MotionTraining(
            build(config.rollout)(true_step, steps), start, _MATERIAL, inputs=["gravity"], every=every
        )
        with torch.no_grad():
            self.motions, self.unseen_motions = teacher(self.seen), teacher(self.unseen)
        self.training = MotionTraining(
            build(config.rollout)(step, steps),
            start,
            _MATERIAL,
            inputs=["gravity"],
            every=every,
            scale=float(self.motions.square().sum(-1).mean().sqrt()),
            optimizer=build(config.optimizer) or None,
            scheduler=build(config.scheduler) or None,
        )
        super().__init__(config, self.training, {"error": ""})

    def loaders(self) -> tuple[Any, Any]:
        # The best epoch is chosen by the motions that it learns from: those unseen choose nothing.
        seen = DataLoader(TensorDataset(self.seen, self.motions), len(self.seen))
        return seen, seen

    def tried(self) -> dict[str, tuple[float, str]]:
        error = self.training(self.unseen) - self.unseen_motions
        relative = float(error.norm() / self.unseen_motions.norm())
        return {"error of displacements under unseen loads": (relative, "")}

    def description(self, *, given: Collection[str]) -> list[tuple[str, str]]:
        rollout = self.training.rollout
        count, dt = rollout.num_steps, rollout.step.dt
        weights = sum(p.numel() for p in self.training.parameters() if p.requires_grad)
        largest = 1e3 * float(self.motions.norm(dim=-1).max())
        return [
            ("Body", str(self.mesh)),
            ("Time", f"{count} steps of {dt:.2g} s, {count * dt:.3g} s in total"),
            ("Material", f"{type(self.material).__name__} with {weights} weights; hidden: {self.truth}"),
            ("Motions", f"{len(self.seen)}, up to {largest:.3g} mm; {len(self.unseen)} more to try it"),
        ]

    def write_motion(self, folder: Path) -> None:
        """Draw the stress of the material over that of the truth; write the motion under an unseen load."""
        law_picture(self.truth, self.material).savefig(folder / "learned.png", dpi=150)
        found = self.training(self.unseen[:1])[0]
        frames = torch.cat([self.training.positions[None], self.training.positions + found])
        times = torch.arange(len(frames)) * self.every * self.training.rollout.step.dt
        beside = surroundings(self.training.rollout.step)
        write_motion(folder, self.mesh, frames, times, **beside)
        write_frames(folder / "motion.pvd", self.mesh, frames, times=times)


def _loads(key: str, loads: Sequence[Sequence[float]]) -> Float[Tensor, "S 3"]:
    try:
        tensor = torch.tensor([[float(x) for x in load] for load in loads])
    except (TypeError, ValueError):
        tensor = torch.empty(0)
    if tensor.ndim != 2 or tensor.shape[1] != 3 or not bool(tensor.isfinite().all()):
        raise ConfigError(f"task.{key} must be accelerations [[x, y, z], ...] in m/s², got {loads}.")
    return tensor
