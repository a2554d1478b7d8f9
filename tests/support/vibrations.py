"""A lightly damped vibration over many periods, whose frequency is to be found; in torch's default dtype."""

import torch

from simlayer import (
    ElasticForce,
    LinearElastic,
    MassDamping,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification import Vertices

TRUE_E = 1e4
DT = 0.01


def cube():
    return box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))


def vibration(modulus=TRUE_E, *, num_steps=400):
    """A clamped cube that shears back and forth some three times a second, damped at 0.1 / s."""
    force = ElasticForce(cube(), LinearElastic(modulus, 0.3))
    damping = {"damping": MassDamping(0.1)}
    step = SymplecticEuler(cube(), {"elastic": force}, dt=DT, fixed="x_min", density=1e3, dissipation=damping)
    return RolloutModule(step, num_steps, compile=False)


def struck():
    """At rest, with velocities across at the free end [m/s]."""
    x = cube().vertices
    return State(x, x[:, :1] / 0.1 * torch.tensor([0.0, 0.05, 0.2]))


def sensors():
    return Vertices([5, 7])


def recording(*, num_steps=400, noise=1e-4, every=4):
    """Times and the paths of two points, `(T, 2, 3)`, with noise [m]."""
    times = torch.arange(every, num_steps + 1, every) * DT
    with torch.no_grad():
        frames = vibration(num_steps=num_steps).trajectory(struck(), every=every)
    points = frames.positions[1:, [5, 7]]
    generator = torch.Generator().manual_seed(0)
    return times, points + noise * torch.randn(points.shape, generator=generator, dtype=torch.float64)
