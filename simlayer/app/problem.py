"""What is fitted to what."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from omegaconf import DictConfig
from torch import Tensor

from simlayer.app.config_checks import num_processes
from simlayer.app.data import Data
from simlayer.app.holdout import Unseen, unseen_of
from simlayer.app.scene import Scene, build_scene, built, seen_by
from simlayer.errors import ConfigError, ObservationError
from simlayer.identification.module import ParameterIdentification, Scenes


@dataclass(frozen=True)
class Task:
    """What is fitted to what.

    Attributes:
        data: what was seen, and how.
        scene: what is simulated.
        scenes: the initial states, and what was seen of them.
        model: at the first guess.
        reference: the truth, as far as it is known.
        unseen: what was seen of the same body at another time, which is not fitted, if there is any.
    """

    data: Data
    scene: Scene
    scenes: Scenes
    model: ParameterIdentification
    reference: dict[str, Tensor]
    unseen: Unseen | None


def build_task(config: DictConfig) -> Task:
    data: Data = built(config.data)
    scene = build_scene(config, built(config.mesh), data)
    scenes = Scenes(scene.start.positions, scene.start.velocities, seen_by(data, scene, config))
    if len(scenes.positions) % num_processes(config):
        raise ConfigError(
            f"{len(scenes.positions)} scene(s) can not be shared equally by {num_processes(config)} "
            "processes. Change trainer.devices, or the number of scenes (initial.known.pull=[1, 2])."
        )
    loss = built(config.loss)(scale=_motion(scene, scenes))
    for seen in scenes.seen:
        if not bool(loss(seen.nan_to_num(), seen).isfinite()):
            raise ObservationError(
                f"no point was seen in the frames that count, {loss.frames!r}: nothing to fit."
            )
    model = ParameterIdentification(
        scene.observed,
        trainable=config.trainable,
        loss=loss,
        optimizer=built(config.optimizer),
        priors={name: prior(scene.mesh) for name, prior in built(config.priors).items()},
        scheduler=built(config.scheduler) or None,
        fields=config.fields,
    )
    truth = data.truth if data.path is None else {}
    without = [unknown.name for unknown in model.unknowns if unknown.name not in truth]
    if data.path is None and without:
        raise ConfigError(
            f"the twin has no truth for {without[0]}, so that the fit would start at the solution; set "
            f"++data.truth.{without[0]}=..., or data.path to a file."
        )
    reference = {
        unknown.name: torch.as_tensor(data.true_value(unknown.name, scene.mesh), dtype=torch.float64)
        for unknown in model.unknowns
        if unknown.name in truth
    }
    return Task(data, scene, scenes, model, reference, unseen_of(config, scene))


def _motion(scene: Scene, scenes: Scenes) -> float:
    """How far the points seen are from where they are at rest, as a root mean square [m]."""
    rest = scene.observed.sensors(scene.start.positions)[:, None]
    motion = float((scenes.seen - rest).square().sum(-1).nanmean().sqrt())
    if not motion > 0:
        raise ObservationError("what was seen is the rest shape itself, without any motion to compare with.")
    return motion
