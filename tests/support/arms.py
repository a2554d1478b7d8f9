"""A small arm with two muscles, and the states and policies that go with it."""

from simlayer import (
    ElasticForce,
    MassDamping,
    Muscle,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.learning import NetworkPolicy

NAMES = ["forces.upper.activation", "forces.lower.activation"]


def arm():
    """Return the step of an arm that is held at one end, its state at rest, and the vertices of its tip."""
    mesh = box_mesh(cells=(3, 1, 2), size=(0.09, 0.03, 0.03))
    high = mesh.vertices[mesh.cells].mean(1)[:, 2] > 0.015
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(3e4, 0.3)),
        "upper": Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=1e4, activation=0.5, cells=high),
        "lower": Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=1e4, activation=0.5, cells=~high),
    }
    step = SymplecticEuler(
        mesh,
        forces,
        dt=8e-4,
        gravity=(0.0, 0.0, 0.0),
        dissipation={"damping": MassDamping(30.0)},
        fixed=mesh.vertex_sets["x_min"],
    )
    return step, State.at_rest(mesh.vertices), mesh.vertex_sets["x_max"]


def steered_arm(num_steps=60, **options):
    """Return a rollout with a policy that sees its tip and a goal, the state at rest, and the tip."""
    step, start, tip = arm()
    policy = NetworkPolicy(step, NAMES, vertices=tip, num_inputs=3, length=0.01, interval=10, **options)
    return RolloutModule(step, num_steps, policy=policy, compile=False), start, tip
