"""Coarser simulations of the same scene, and what the errors of mesh and step do to the results of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import torch
from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from simlayer.app.config_tree import build
from simlayer.app.data import Data
from simlayer.app.scene import Scene, build_scene
from simlayer.app.takes import Take
from simlayer.errors import ConfigError, ObservationError, SimulationError
from simlayer.identification.discretization import Refinement, discretization_change
from simlayer.identification.least_squares import Linearization
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.unknowns import assigned
from simlayer.state import State


@dataclass(frozen=True)
class CoarserFit:
    """The same fit by a coarser simulation.

    Attributes:
        part: what is coarser than in the fit before, "mesh" or "step".
        refinement: by how much the fit before is finer.
        takes: the recordings with their coarser simulations, by name.
        scenes: initial states and observations.
        model: the simulation and its unknowns.
    """

    part: str
    refinement: Refinement
    takes: dict[str, Take]
    scenes: ObservedScenes
    model: ParameterIdentification

    def assign(self, other: ParameterIdentification) -> None:
        """Set the unknowns to the values of another model."""
        for own, unknown in zip(self.model.unknowns, other.unknowns, strict=True):
            own.parameter.data.copy_(unknown.parameter.data)

    @torch.no_grad()
    def points(self, values: Mapping[str, Tensor]) -> dict[str, Float[Tensor, "T K 3"]]:
        """Return the points of each recording [m], by its name, that are simulated with these values."""
        with assigned(self.model.candidates, values):
            points = self.model(State(self.scenes.positions, self.scenes.velocities))
        # Of a single recording the first scene is meant; of several, frames that are missing come first.
        pairs = zip(self.takes.items(), points, strict=False)
        return {name: own[-len(take.observed.times) :] for (name, take), own in pairs}


ModelBuilder = Callable[[DictConfig, Scene, dict[str, Take]], tuple[ObservedScenes, ParameterIdentification]]


def build_coarser(
    config: DictConfig, data: Data, scene: Scene, takes: dict[str, Take], build_model: ModelBuilder
) -> list[CoarserFit]:
    """Return the configured coarser fits: with a coarser mesh, then with a coarser step on that mesh, too.

    Args:
        config: the composed configuration.
        data: the first recording.
        scene: the simulation.
        takes: the recordings, by name.
        build_model: returns the initial states with the observations, and the model, of a scene.

    Raises:
        ConfigError: if a simulation is not coarser, or its mesh lacks points that were observed.
    """
    found: list[CoarserFit] = []
    for part in ("mesh", "step"):
        if not config.coarse[part]:
            continue
        config = cast("DictConfig", OmegaConf.merge(config, {part: config.coarse[part]}))
        coarse = build_scene(config, build(config.mesh), data)
        ratio = _ratio(part, scene, coarse)
        order = config.coarse.order if part == "mesh" else coarse.rollout.step.order
        own = {n: take.on(coarse, frames=config.observation.frames) for n, take in takes.items()}
        for name, take in takes.items():
            _check_points(take, own[name], coarse)
        found.append(CoarserFit(part, Refinement(ratio, order), own, *build_model(config, coarse, own)))
        scene = coarse
    return found


def _ratio(part: str, fine: Scene, coarse: Scene) -> float:
    """Return by how much larger the coarse cells, or steps, are."""
    if part == "mesh":
        counts = len(fine.mesh.cells), len(coarse.mesh.cells)
        ratio, change = (counts[0] / counts[1]) ** (1 / 3), f"{counts[1]:,} cells for {counts[0]:,}"
    else:
        steps = [scene.rollout.step.dt / scene.rollout.step.substeps for scene in (fine, coarse)]
        ratio, change = steps[1] / steps[0], f"steps of {steps[1]:g} s for those of {steps[0]:g} s"
    if not ratio > 1.01:
        raise ConfigError(
            f"coarse.{part} must make the simulation coarser, got {change}; set coarse.{part}=null to do "
            "without."
        )
    return ratio


def _check_points(fine: Take, coarse: Take, scene: Scene) -> None:
    count = coarse.observed.sensors(scene.start.positions[0]).shape[-2]
    if count != fine.points.shape[-2]:
        raise ConfigError(
            f"coarse.mesh has {count} points to compare with {fine.points.shape[-2]} that were observed: "
            "give these by their positions (data=marker_paths), not by vertices of the mesh."
        )


@torch.no_grad()
def discretization_changes(
    coarser: list[CoarserFit], model: ParameterIdentification, scenes: ObservedScenes, at: Linearization
) -> dict[str, Float[Tensor, "P"]]:
    """Return by how much an infinitely fine "mesh", and "step", would change the values found [SI].

    Each takes one rollout of a coarser simulation. Where that fails, the rest is left out, and the reason
    printed.

    Args:
        coarser: the fits by coarser simulations, each coarser than the one before.
        model: the model, with the values found.
        scenes: what was fitted.
        at: its residuals and Jacobian at these values.
    """
    squares, finer, changes = model.least_squares(), at.residuals, {}
    for coarse in coarser:
        coarse.assign(model)
        try:
            residuals = coarse.model.least_squares().residuals(coarse.scenes)
        except (SimulationError, ObservationError) as error:
            print(f"What the {coarse.part} changes is not known: the coarser simulation failed: {error}")
            break
        changes[coarse.part] = discretization_change(
            squares, at, finer - residuals, scenes, coarse.refinement
        )
        finer = residuals
    return changes
