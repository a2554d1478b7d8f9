"""The fit that a configuration describes: observations, a scene, and a model with its unknowns."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float
from omegaconf import DictConfig
from torch import Tensor

from simlayer.app.coarse import CoarserFit, build_coarser
from simlayer.app.config_checks import num_processes
from simlayer.app.config_tree import build, flatten
from simlayer.app.data import Data
from simlayer.app.holdout import HoldOut, build_holdout
from simlayer.app.scene import Scene, build_scene, observe_scene
from simlayer.app.takes import Take, all_releases, build_takes
from simlayer.errors import ConfigError, ObservationError
from simlayer.identification.gauss_newton import MOST_UNKNOWNS
from simlayer.identification.losses import residual
from simlayer.identification.module import ParameterIdentification
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.takes import ObservedTakes
from simlayer.state import State


@dataclass(frozen=True)
class FitProblem:
    """A fit before it begins.

    Attributes:
        data: where the observations come from.
        scene: the simulation.
        scenes: the initial states and the observations, one per take.
        takes: all recordings that are fitted, by name; `data` is the first one.
        model: the model at the first guess.
        reference: the true values of unknowns, where they are known.
        holdout: observations that are not fitted, if there are any.
        coarser: the same fit by coarser simulations, each coarser than the one before.
    """

    data: Data
    scene: Scene
    scenes: ObservedScenes
    model: ParameterIdentification
    reference: dict[str, Tensor]
    takes: dict[str, Take]
    holdout: HoldOut | None
    coarser: list[CoarserFit]

    @torch.no_grad()
    def motion(self, every: int) -> State:
        """Return the frames of the first scene, so many steps apart, with the present values of the model.

        `(F, 1, N, 3)` each. What the fit has simulated with these values is not simulated again.
        """
        observed = self.scene.observed
        scenes = ObservedScenes(*(part.to(observed.since_first.device) for part in self.scenes))
        known = self.model.known_motion(scenes)
        if known is not None and every == self.model.observed.every:
            return State(known.positions[:, :1], known.velocities[:, :1])
        start = State(scenes.positions[:1], scenes.velocities[:1])
        return observed.rollout.trajectory(observed.start(start), every=every)


def build_problem(config: DictConfig) -> FitProblem:
    """Return the fit that a configuration describes."""
    data: Data = build(config.data)
    scene = build_scene(config, build(config.mesh), data)
    points = observe_scene(data, scene, config)
    takes = build_takes(config, scene, Take(data, scene.observed, points[0]))
    build_model = partial(_build_model, points)
    scenes, model = build_model(config, scene, takes)
    reference = _reference(data, scene, model)
    holdout = build_holdout(config, scene)
    coarser = build_coarser(config, data, scene, takes, build_model)
    shapes = [unknown.parameter.shape for unknown in model.unknowns]
    others = [[unknown.parameter.shape for unknown in coarse.model.unknowns] for coarse in coarser]
    if coarser and (not model.few_squares or any(other != shapes for other in others)):
        raise ConfigError(
            "coarse.mesh and coarse.step need a loss that is a sum of squares, without priors, and at most "
            f"{MOST_UNKNOWNS} unknown numbers, as many on each mesh (no fields); set both to null."
        )
    return FitProblem(data, scene, scenes, model, reference, takes, holdout, coarser)


def _build_model(
    points: Float[Tensor, "B T K 3"], config: DictConfig, scene: Scene, takes: dict[str, Take]
) -> tuple[ObservedScenes, ParameterIdentification]:
    """Return the initial states and observations of some recordings of a scene, and the model of the fit.

    `points` are those of every scene if there is one recording, and not used if there are several.
    """
    observed: ObservedRollout | ObservedTakes
    if len(takes) == 1:
        (observed,) = (take.observed for take in takes.values())
        scenes = ObservedScenes(*scene.start[:2], points)
    else:
        observed = every = ObservedTakes({name: take.observed for name, take in takes.items()})
        padded = [every.padded(take.points, torch.nan) for take in takes.values()]
        positions, velocities = (part.expand(len(takes), -1, -1) for part in scene.start[:2])
        scenes = ObservedScenes(positions, velocities, torch.stack(padded))
    if len(scenes.positions) % num_processes(config):
        raise ConfigError(
            f"{len(scenes.positions)} scene(s) cannot be shared equally by {num_processes(config)} "
            "processes. Change trainer.devices, or the number of scenes (initial.known.pull=[1, 2])."
        )
    loss = build(config.loss)(scale=_motion(scene, scenes))
    for each in scenes.observed:
        if not bool(loss(each.nan_to_num(), each).isfinite()):
            raise ObservationError(
                f"no point was observed in the frames that count, {loss.frames!r}: there is nothing to fit."
            )
    return scenes, ParameterIdentification(
        observed,
        trainable=all_releases(config.trainable, list(takes)),
        loss=loss,
        optimizer=build(config.optimizer) or None,
        priors={name: prior(scene.mesh) for name, prior in build(config.priors).items()},
        scheduler=build(config.scheduler) or None,
        fields=flatten(config.fields),
    )


def _reference(data: Data, scene: Scene, model: ParameterIdentification) -> dict[str, Tensor]:
    """Return the true values of the unknowns of a twin."""
    if data.path is not None:
        return {}
    truth = data.true_values(scene.mesh, model.candidates)
    names = [unknown.name for unknown in model.unknowns]
    if without := [name for name in names if name not in truth]:
        raise ConfigError(
            f"the twin has no truth for {without[0]}, so that the fit would start at the solution; set "
            f"++data.truth.{without[0]}=..., or data.path to a file."
        )
    return {name: torch.as_tensor(truth[name], dtype=torch.float64) for name in names}


def _motion(scene: Scene, scenes: ObservedScenes) -> float:
    """Return the root mean square distance of the observed points from their places at rest [m]."""
    rest = scene.observed.sensors(scene.start.positions)[:, None]
    motion = residual(rest.expand_as(scenes.observed), scenes.observed)["rms"]
    if not motion > 0:
        raise ObservationError("the observations show the rest shape itself, without any motion to fit.")
    return motion
