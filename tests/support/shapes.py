"""Bodies with every part that depends on the rest shape, and rest positions for them."""

from support.scenes import noise
from torch import Tensor

from simlayer import (
    BarrierContact,
    CoulombFriction,
    DistributedLoad,
    ElasticForce,
    Equilibrium,
    HalfSpace,
    KelvinVoigt,
    MassDamping,
    Mesh,
    NewtonSolver,
    PointMass,
    StableNeoHookean,
    State,
    Step,
    SymplecticEuler,
    box_mesh,
)


def block(element: str) -> Mesh:
    """Two cells 1 m wide, whose edges are a little curved: only so are the rules of all shapes equal."""
    mesh = box_mesh(cells=(2, 1, 1), size=(2.0, 1.0, 1.0), element=element)
    return Mesh(mesh.vertices + 1e-3 * noise(*mesh.vertices.shape), mesh.cells, vertex_sets=mesh.vertex_sets)


def other_shape(mesh: Mesh, *batch: int, amount: float = 0.02, seed: int = 20) -> Tensor:
    """Rest positions that differ from those of a mesh by a part of its cells' width."""
    return mesh.vertices + amount * noise(*batch, *mesh.vertices.shape, seed=seed)


def step_of(mesh: Mesh, kind: type[Step], **options) -> Step:
    """A step with gravity, tractions, forces on edges and contact, and what else its kind may have."""
    forces = {
        "elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.4)),
        "traction": DistributedLoad.of_traction(mesh, "x_max", traction=(500.0, 200.0, -900.0)),
        "edges": DistributedLoad(mesh, "x_max", force=(100.0, 200.0, -300.0), over="edges"),
        "ground": BarrierContact(
            mesh, HalfSpace(point=(0.0, 0.0, -0.2)), stiffness=1e4, activation_distance=0.3
        ),
    }
    defaults: dict = {"gravity": (1.0, -2.0, -9.81), "fixed": "x_min", "dt": 0.02}
    if kind is not Equilibrium:
        forces["viscosity"] = KelvinVoigt(mesh, shear_viscosity=200.0)
        friction = CoulombFriction("ground", coefficient=0.4, threshold_speed=1.0)
        defaults |= {
            "dissipation": {"damping": MassDamping(2.0), "friction": friction},
            "masses": {"tip": PointMass(mesh, "x_max", mass=100.0)},
        }
    if kind is SymplecticEuler:
        defaults["dt"] = 2e-3
    else:
        # Differences of solutions show how far these are from the minimum.
        defaults["newton"] = NewtonSolver(tolerance=1e-11)
    return kind(mesh, forces, **(defaults | options))


def start(mesh: Mesh) -> State:
    """A body that is a little deformed, and moves."""
    shape = mesh.vertices.shape
    return State(mesh.vertices + 5e-3 * noise(*shape, seed=3), 0.1 * noise(*shape, seed=4))
