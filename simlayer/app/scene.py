"""Building a scene from a composed configuration, and observing it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from jaxtyping import Bool, Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simlayer.app.config_tree import build
from simlayer.app.data import Data
from simlayer.app.selection import fixed_components
from simlayer.errors import ConfigError, ObservationError
from simlayer.identification.frames import max_frame_steps
from simlayer.identification.initial_state import InitialState
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.unknowns import assigned
from simlayer.materials.base import Material
from simlayer.mesh.mesh import Mesh
from simlayer.mesh.refinement import refine
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step

# A rollout of more is a mistake: it would take hours.
MOST_STEPS = 1_000_000


@dataclass(frozen=True)
class Scene:
    """A body, its fixed components, its observed simulation, and its known initial states `(B, N, 3)`."""

    mesh: Mesh
    fixed: Bool[Tensor, "N 3"]
    observed: ObservedRollout
    start: State

    @property
    def rollout(self) -> RolloutModule:
        return self.observed.rollout


def build_scene(config: DictConfig, mesh: Mesh, data: Data) -> Scene:
    """Return the scene at the first guess; a second call shares no module with the first."""
    step, fixed = build_step(config, mesh)
    release_time = (
        data.default_release if config.observation.release_time is None else config.observation.release_time
    )
    times = data.times(lambda: config.duration or natural_duration(step, mesh), release_time)
    guess = build(config.initial.guess)
    initial = InitialState(mesh, **{name: torch.as_tensor(value).double() for name, value in guess.items()})
    observed = ObservedRollout(
        build(config.rollout)(step, num_steps(config, step, times, release_time)),
        data.sensors(mesh),
        times,
        initial=initial,
        release_time=release_time,
        frames=config.observation.frames,
    )
    return Scene(mesh, fixed, observed, build(config.initial.known)(mesh, fixed))


def build_step(
    config: DictConfig, mesh: Mesh, material: Material | None = None
) -> tuple[Step, Bool[Tensor, "N 3"]]:
    """Return the step of a body with the values of its configuration, and its fixed components.

    With a `material`, forces have this object where their configuration refers to `${material}`.
    """
    fixed = fixed_components(mesh, config.constraints.fixed)
    parts = build(config.forces)
    if material is not None:
        written = OmegaConf.to_container(config.forces, resolve=False)
        assert isinstance(written, dict)
        shared = (name for name, node in written.items() if node.get("material") == "${material}")
        parts |= {name: partial(parts[name], material=material) for name in shared}
    forces = {name: _on(mesh, force) for name, force in parts.items()}
    masses = {name: _on(mesh, mass) for name, mass in build(config.masses).items()}
    dissipation, selected = build(config.dissipation), fixed if fixed.any() else None
    return build(config.step)(mesh, forces, fixed=selected, masses=masses, dissipation=dissipation), fixed


def build_body(config: DictConfig, task: str) -> tuple[Mesh, Step, State]:
    """Return a body, its step, and its one initial state `(N, 3)`, for a task without observations.

    Raises:
        ConfigError: if there is no duration, or there are several initial states.
    """
    if config.duration is None:
        raise ConfigError(f"duration must be given with task={task}, in seconds.")
    mesh = build(config.mesh)
    step, fixed = build_step(config, mesh)
    known = build(config.initial.known)(mesh, fixed)
    if len(known.positions) != 1:
        raise ConfigError(f"initial.known must be one state with task={task}, got several scenes.")
    return mesh, step, State(known.positions[0], known.velocities[0])


def _on(mesh: Mesh, part: Any) -> Any:
    """Return a part of a step, which a configuration may describe for any mesh (`_partial_: true`)."""
    return part(mesh) if isinstance(part, partial) else part


def num_steps(config: DictConfig, step: Step, times: Float[Tensor, "T"], release_time: float) -> int:
    """Return a number of steps that reaches the last observation in a whole number of frames.

    Raises:
        ObservationError: if the release is not before the last observation, or too long before it.
    """
    options = config.observation
    end = float(times[-1]) - release_time + options.margin
    if not end > 0:
        raise ObservationError(
            f"observation.release_time = {release_time} s is not before the last observation, "
            f"{float(times[-1]):g} s."
        )
    count = math.ceil(end / step.dt * (1 - 1e-6))
    if count > MOST_STEPS:
        raise ObservationError(
            f"from observation.release_time = {release_time:g} s to the last observation, at "
            f"{float(times[-1]):g} s of a clock that shows {float(times[0]):g} s at the first one, are "
            f"{count:,} steps of {step.dt:.2g} s, more than {MOST_STEPS:,}. Give the release by that clock "
            "(null: the first frame), fewer frames in data.window, or a longer step.dt (step=newmark)."
        )
    if len(times) == 1:
        return count
    frame = int(max_frame_steps(times, step.dt, options.frames, left=options.margin))
    return math.ceil(count / frame) * frame


def natural_duration(step: Step, mesh: Mesh) -> float:
    """Return the time that a wave takes to the other end of the body and back, at the first guess [s]."""
    material = getattr(step.forces["elastic"], "material", None) if "elastic" in step.forces else None
    if material is None or not hasattr(material, "youngs_modulus"):
        raise ObservationError("duration [s] must be given for a body without a single Young's modulus.")
    length = float((mesh.bounds[1] - mesh.bounds[0]).max())
    with torch.no_grad():
        speed = float((material.youngs_modulus.mean() / step.density.mean()).sqrt())
    return float(f"{2 * length / speed:.2e}")


@torch.no_grad()
def observe_scene(data: Data, scene: Scene, config: DictConfig) -> Float[Tensor, "B T K 3"]:
    """Return the observations of each scene: those in the file, or those of a twin with the true values."""
    if data.path is not None:
        if len(scene.start.positions) > 1:
            raise ObservationError(
                f"{data.path} holds observations of one scene, but initial.known describes "
                f"{len(scene.start.positions)}."
            )
        return data.recorded(scene.mesh)[None]
    # Building a second scene on the same mesh would only trace and compile its step again.
    same = data.twin == "same"
    twin = scene if same else build_scene(config, refine(scene.mesh), data)
    candidates = twin.observed.quantities_by_name()
    with assigned(candidates, data.true_values(twin.mesh, candidates)):
        twin.observed.check_end()
        points = twin.observed(twin.start)
    # The vertices of a mesh are the first ones of its refinement.
    count = scene.observed.sensors(scene.start.positions[0]).shape[-2]
    return data.disturb(points[..., :count, :])
