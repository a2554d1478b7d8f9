"""Building a scene from a composed configuration."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from hydra.utils import instantiate
from jaxtyping import Bool, Float
from omegaconf import DictConfig
from torch import Tensor

from simlayer.app.data import Data
from simlayer.app.selection import held_components
from simlayer.errors import ObservationError
from simlayer.identification.initial_state import InitialState
from simlayer.identification.observation import ObservedRollout, most_frame_steps
from simlayer.identification.unknowns import taking
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.refinement import refine
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


@dataclass(frozen=True)
class Scene:
    """A body, what of it is held, its simulation as it is seen, and its known initial states `(B, N, 3)`."""

    mesh: Mesh
    held: Bool[Tensor, "N 3"]
    observed: ObservedRollout
    start: State

    @property
    def rollout(self) -> RolloutModule:
        return self.observed.rollout


def build_scene(config: DictConfig, mesh: Mesh, data: Data) -> Scene:
    """The scene at the first guess; every module in it is new, also on a second call."""
    held = held_components(mesh, config.constraints.fixed)
    forces = {name: _on(mesh, force) for name, force in built(config.forces).items()}
    masses = {name: _on(mesh, mass) for name, mass in built(config.masses).items()}
    step = built(config.step)(mesh, forces, fixed=held, masses=masses, dissipation=built(config.dissipation))
    release_time = config.observation.release_time
    times = data.times(lambda: config.duration or natural_duration(step, mesh), release_time)
    guess = built(config.initial.guess)
    initial = InitialState(mesh, **{name: torch.as_tensor(value).double() for name, value in guess.items()})
    observed = ObservedRollout(
        built(config.rollout)(step, num_steps(config, step, times)),
        data.sensors(mesh),
        times,
        initial=initial,
        release_time=release_time,
        frames=config.observation.frames,
    )
    return Scene(mesh, held, observed, built(config.initial.known)(mesh, held))


def built(node: Any) -> Any:
    """What a configuration node describes, as plain Python objects."""
    return instantiate(node, _convert_="all") if node is not None else {}


def _on(mesh: Mesh, part: Any) -> Any:
    """A part of a step, which a configuration describes as it is or, partially, for any mesh."""
    return part(mesh) if isinstance(part, partial) else part


def num_steps(config: DictConfig, step: Step, times: Float[Tensor, "T"]) -> int:
    """Enough to reach the last time, and a whole number of frames."""
    options = config.observation
    end = float(times[-1]) - options.release_time + options.margin
    if not end > 0:
        raise ObservationError(
            f"observation.release_time = {options.release_time} s is not before the last time seen, "
            f"{float(times[-1]):g} s."
        )
    count = math.ceil(end / step.dt * (1 - 1e-6))
    if len(times) == 1:
        return count
    frame = int(most_frame_steps(times, step.dt, options.frames, left=options.margin))
    return math.ceil(count / frame) * frame


def natural_duration(step: Step, mesh: Mesh) -> float:
    """How long a wave takes from one end of the body to the other and back, at the first guess [s]."""
    law = getattr(step.forces["elastic"], "material", None) if "elastic" in step.forces else None
    if law is None or not hasattr(law, "youngs_modulus"):
        raise ObservationError("duration [s] must be given for a body without one Young's modulus.")
    length = float((mesh.bounds[1] - mesh.bounds[0]).max())
    with torch.no_grad():
        speed = float((law.youngs_modulus.mean() / step.density.mean()).sqrt())
    return float(f"{2 * length / speed:.2e}")


@torch.no_grad()
def seen_by(data: Data, scene: Scene, config: DictConfig) -> Float[Tensor, "B T K 3"]:
    """What was seen in each scene: what the file holds, or what a twin with the truth shows."""
    if data.path is not None:
        if len(scene.start.positions) > 1:
            raise ObservationError(
                f"{data.path} is what was seen of one scene, but initial.known describes "
                f"{len(scene.start.positions)}."
            )
        return data.recorded(scene.mesh)[None]
    # Building a second scene on the same mesh would only trace and compile its step again.
    same = data.twin == "same"
    mesh = scene.mesh if same else refine(scene.mesh)
    twin = scene if same else build_scene(config, mesh, data)
    truth = {name: data.true_value(name, mesh) for name in data.truth}
    with taking(twin.observed.quantities_by_name(), truth):
        twin.observed.check_end()
        points = twin.observed(twin.start)
    # The vertices of a mesh are the first ones of its refinement.
    seen = scene.observed.sensors(scene.start.positions[0]).shape[-2]
    return data.disturbed(points[..., :seen, :])
