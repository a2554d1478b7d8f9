"""Further recordings of a body, each with keys of `data` that differ, and a release time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jaxtyping import Float
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from simlayer.app.config_tree import build
from simlayer.app.data import Data
from simlayer.app.scene import Scene
from simlayer.errors import ConfigError, ObservationError
from simlayer.identification.observation import ObservedRollout
from simlayer.motion_capture.recording import Recording


@dataclass(frozen=True)
class Take:
    """A recording, and its simulation.

    Attributes:
        data: where the observations come from.
        observed: the rollout with the sensors, times and release of this recording.
        points: the observed points, `(T, K, 3)`.
    """

    data: Data
    observed: ObservedRollout
    points: Float[Tensor, "T K 3"]

    def on(self, scene: Scene, *, frames: int) -> Take:
        """Return the same recording with another simulation, and the release time that it has now.

        Args:
            scene: the other simulation.
            frames: the least number of frames of its rollout between two observations.
        """
        observed = ObservedRollout(
            scene.rollout,
            self.data.sensors(scene.mesh),
            self.observed.times,
            initial=scene.observed.initial,
            release_time=float(self.observed.release_time.detach()),
            frames=frames,
        )
        return Take(self.data, observed, self.points)


def build_take(config: DictConfig, scene: Scene, part: DictConfig, *, key: str, slack: float = 0.0) -> Take:
    """Return a recording of the same motion as the scene's own.

    Args:
        config: the composed configuration.
        scene: the simulation.
        part: `data`, keys that differ from the configuration's own, and `release_time`.
        key: where that is in the configuration.
        slack: by how much the release may move [s].

    Raises:
        ObservationError: if the recording is longer than the simulation.
    """
    data: Data = build(OmegaConf.merge(config.data, part.data))
    release = part.get("release_time")
    release = data.default_release if release is None else release
    times, rollout = data.times(lambda: config.duration, release), scene.rollout
    left = rollout.num_steps * rollout.step.dt - (float(times[-1]) - release + slack)
    # A last frame at the end itself may be beyond it by rounding.
    if left < -1e-9 * rollout.num_steps * rollout.step.dt:
        raise ObservationError(
            f"{key}.data ends {-left:.3g} s after the simulation: make {key}.data.window shorter, or "
            "observation.margin longer."
        )
    observed = ObservedRollout(
        rollout,
        data.sensors(scene.mesh),
        times,
        initial=scene.observed.initial,
        release_time=release,
        frames=config.observation.frames,
    )
    return Take(data, observed, data.recorded(scene.mesh))


def build_takes(config: DictConfig, scene: Scene, own: Take) -> dict[str, Take]:
    """Return all recordings that are fitted, the configuration's own first, by the names of their files.

    Raises:
        ConfigError: if there are several, of which one has no file.
        ObservationError: if a recording is longer than the simulation.
    """
    takes = [own]
    for number, part in enumerate(config.takes):
        takes.append(build_take(config, scene, part, key=f"takes[{number}]"))
    if len(takes) > 1 and any(take.data.path is None for take in takes):
        raise ConfigError("takes are recordings: set data.path, and data.path of each of them, to a file.")
    return dict(zip(take_names([take.data.path or "data" for take in takes]), takes, strict=True))


def take_names(paths: Sequence[str]) -> list[str]:
    """Return a name for each recording: that of its file, with a number where it would not be unique."""
    stems = [Path(path).stem.replace(".", "_") for path in paths]
    names: list[str] = []
    for number, stem in enumerate(stems, 1):
        # A module has no parts that are named like its methods, such as `train`.
        name = f"{stem}_{number}" if stems.count(stem) > 1 or hasattr(nn.Module, stem) else stem
        while name in names or (name != stem and name in stems):
            name += "_"
        names.append(name)
    return names


def all_releases(trainable: Sequence[str], takes: Sequence[str]) -> list[str]:
    """Return names of unknowns in which `release_time` stands for that of every take."""
    if len(takes) == 1:
        return list(trainable)
    every = [f"{take}.release_time" for take in takes]
    return [name for given in trainable for name in (every if given == "release_time" else [given])]


def recorded_points(takes: Mapping[str, Take], simulated: Mapping[str, Tensor]) -> dict[str, Recording]:
    """Return the observed and the simulated points of each recording, with times since the release."""
    points = {}
    for name, take in takes.items():
        which = f" {name}" if len(takes) > 1 else ""
        times = (take.observed.times - take.observed.release_time).detach().cpu()
        for kind, markers in {"observed": take.points, "simulated": simulated[name]}.items():
            points[kind + which] = Recording(times, markers.detach().cpu(), source=kind)
    return points
