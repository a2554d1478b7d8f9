"""A beam of 16 vertices as it is observed, for the tests of fits; in torch's default dtype."""

import torch
from support.scenes import beam, moving

from simlayer import RolloutModule, box_mesh
from simlayer.identification.initial_state import InitialState
from simlayer.identification.observation import ObservedRollout
from simlayer.identification.scenes import ObservedScenes
from simlayer.identification.sensors import Vertices
from simlayer.identification.unknowns import assigned

E = "forces.elastic.material.youngs_modulus"
NU = "forces.elastic.material.poissons_ratio"
DAMPING = "dissipation.damping.coefficient"
DT = 2e-3


def beam_mesh():
    return box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))


def observed_beam(num_steps=8, *, times=None, dt=DT, frames=4, release_time=0.0, **options):
    """All vertices of a clamped beam, at times [s] (by default the last one), with an initial state."""
    rollout = RolloutModule(beam(dt=dt, substeps=1, **options), num_steps, compile=False)
    times = torch.tensor([num_steps * dt]) if times is None else times
    return ObservedRollout(
        rollout,
        Vertices(),
        times,
        initial=InitialState(beam_mesh()),
        release_time=release_time,
        frames=frames,
    )


def observed_scenes(observed, truth=None, *, count=1):
    """Scenes that start in motion, and what was seen of them with other values of some quantities."""
    start = moving((3, 1, 1), count)
    with torch.no_grad(), assigned(observed.quantities_by_name(), truth or {}):
        return ObservedScenes(*start[:2], observed(start))
