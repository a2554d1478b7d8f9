"""Differentiable simulation of deformable bodies as plain torch modules."""

import warnings

from simlayer.contact import (
    BarrierContact,
    Box,
    Capsule,
    Contact,
    ContactForce,
    ContactState,
    CoulombFriction,
    Cylinder,
    HalfSpace,
    Obstacle,
    Sphere,
)
from simlayer.dissipation import Dissipation, MassDamping, SmoothVelocityClamp, StepContext
from simlayer.errors import (
    ContactWarning,
    ConvergenceError,
    DivergenceError,
    ObservationError,
    PenetrationError,
    SimulationError,
    UnstableStepError,
)
from simlayer.forces import (
    DistributedLoad,
    ElasticForce,
    Force,
    KelvinVoigt,
    MaterialCheck,
    MaterialReport,
    NodalLoad,
    Potential,
    RatePotential,
    RayleighDamping,
    Term,
    check_material,
)
from simlayer.linalg import Matrix3
from simlayer.materials import (
    Corotated,
    IsotropicMaterial,
    LinearElastic,
    Material,
    MooneyRivlin,
    NeoHookean,
    NeuralHyperelastic,
    StableNeoHookean,
    StVenantKirchhoff,
)
from simlayer.mesh import (
    Mesh,
    MeshError,
    ball_mesh,
    box_mesh,
    read_mesh,
    refine,
    to_quadratic_elements,
    write_frames,
)
from simlayer.quantities import PhysicalModule, Quantity, derived_quantity, to_physical, to_stored
from simlayer.rollout import (
    GradientCheck,
    GradientReport,
    Policy,
    RecurrentPolicy,
    RolloutModule,
    check_gradients,
    motion_controls,
    obstacle_controls,
    parameter_jacobian,
)
from simlayer.solvers import ConjugateGradients, LinearSolver, NewtonSolver, SparseDirect
from simlayer.state import State
from simlayer.steps import BDF2, BackwardEuler, Equilibrium, Newmark, PointMass, Step, SymplecticEuler

__all__ = [
    "BDF2",
    "BackwardEuler",
    "BarrierContact",
    "Box",
    "Capsule",
    "ConjugateGradients",
    "Contact",
    "ContactForce",
    "ContactState",
    "ContactWarning",
    "ConvergenceError",
    "Corotated",
    "CoulombFriction",
    "Cylinder",
    "Dissipation",
    "DistributedLoad",
    "DivergenceError",
    "ElasticForce",
    "Equilibrium",
    "Force",
    "GradientCheck",
    "GradientReport",
    "HalfSpace",
    "IsotropicMaterial",
    "KelvinVoigt",
    "LinearElastic",
    "LinearSolver",
    "MassDamping",
    "Material",
    "MaterialCheck",
    "MaterialReport",
    "Matrix3",
    "Mesh",
    "MeshError",
    "MooneyRivlin",
    "NeoHookean",
    "NeuralHyperelastic",
    "Newmark",
    "NewtonSolver",
    "NodalLoad",
    "ObservationError",
    "Obstacle",
    "PenetrationError",
    "PhysicalModule",
    "PointMass",
    "Policy",
    "Potential",
    "Quantity",
    "RatePotential",
    "RayleighDamping",
    "RecurrentPolicy",
    "RolloutModule",
    "SimulationError",
    "SmoothVelocityClamp",
    "SparseDirect",
    "Sphere",
    "StVenantKirchhoff",
    "StableNeoHookean",
    "State",
    "Step",
    "StepContext",
    "SymplecticEuler",
    "Term",
    "UnstableStepError",
    "ball_mesh",
    "box_mesh",
    "check_gradients",
    "check_material",
    "derived_quantity",
    "motion_controls",
    "obstacle_controls",
    "parameter_jacobian",
    "read_mesh",
    "refine",
    "to_physical",
    "to_quadratic_elements",
    "to_stored",
    "write_frames",
]

# Names of earlier versions that the README showed.
_RENAMED = {
    "BlockJacobi": "ConjugateGradients",
    "Linear": "LinearElastic",
    "Newton": "NewtonSolver",
    "Surroundings": "StepContext",
    "derived": "derived_quantity",
    "quadratic": "to_quadratic_elements",
    "refined": "refine",
}


def __getattr__(name: str) -> object:
    if name not in _RENAMED:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    new = _RENAMED[name]
    warnings.warn(f"simlayer.{name} is now simlayer.{new}.", DeprecationWarning, stacklevel=2)
    return globals()[new]
