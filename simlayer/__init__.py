"""Differentiable simulation of deformable bodies as plain torch modules."""

from simlayer.contact_state import ContactState
from simlayer.dissipation.base import Dissipation, Surroundings
from simlayer.dissipation.damping import MassDamping
from simlayer.dissipation.friction import CoulombFriction
from simlayer.dissipation.velocity_clamp import SmoothVelocityClamp
from simlayer.errors import (
    ContactWarning,
    ConvergenceError,
    DivergenceError,
    ObservationError,
    PenetrationError,
    SimulationError,
    UnstableStepError,
)
from simlayer.fields import Matrix3
from simlayer.forces.base import Contact, Force, Potential, RatePotential
from simlayer.forces.contact import BarrierContact
from simlayer.forces.elastic import ElasticForce
from simlayer.forces.kelvin_voigt import KelvinVoigt
from simlayer.forces.load import DistributedLoad, NodalLoad
from simlayer.forces.rayleigh import RayleighDamping
from simlayer.implicit.newton import Newton
from simlayer.implicit.solvers import BlockJacobi, LinearSolver, SparseDirect
from simlayer.masses import PointMass
from simlayer.materials import (
    Corotated,
    IsotropicMaterial,
    Linear,
    Material,
    MooneyRivlin,
    NeoHookean,
    StableNeoHookean,
    StVenantKirchhoff,
)
from simlayer.mesh import Mesh, MeshError, box_mesh
from simlayer.mesh_ball import ball_mesh
from simlayer.mesh_io import read_mesh, write_frames
from simlayer.mesh_refine import quadratic, refined
from simlayer.motion import motion_controls, obstacle_controls
from simlayer.obstacles.base import Obstacle
from simlayer.obstacles.box import Box
from simlayer.obstacles.capsule import Capsule
from simlayer.obstacles.cylinder import Cylinder
from simlayer.obstacles.half_space import HalfSpace
from simlayer.obstacles.sphere import Sphere
from simlayer.quantities import PhysicalModule, Quantity, derived
from simlayer.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.backward_euler import BackwardEuler
from simlayer.steps.base import Step
from simlayer.steps.bdf2 import BDF2
from simlayer.steps.equilibrium import Equilibrium
from simlayer.steps.newmark import Newmark
from simlayer.steps.symplectic_euler import SymplecticEuler
from simlayer.verification import GradientCheck, GradientReport, check_gradients

__all__ = [
    "BDF2",
    "BackwardEuler",
    "BarrierContact",
    "BlockJacobi",
    "Box",
    "Capsule",
    "Contact",
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
    "Linear",
    "LinearSolver",
    "MassDamping",
    "Material",
    "Matrix3",
    "Mesh",
    "MeshError",
    "MooneyRivlin",
    "NeoHookean",
    "Newmark",
    "Newton",
    "NodalLoad",
    "ObservationError",
    "Obstacle",
    "PenetrationError",
    "PhysicalModule",
    "PointMass",
    "Potential",
    "Quantity",
    "RatePotential",
    "RayleighDamping",
    "RolloutModule",
    "SimulationError",
    "SmoothVelocityClamp",
    "SparseDirect",
    "Sphere",
    "StVenantKirchhoff",
    "StableNeoHookean",
    "State",
    "Step",
    "Surroundings",
    "SymplecticEuler",
    "UnstableStepError",
    "ball_mesh",
    "box_mesh",
    "check_gradients",
    "derived",
    "motion_controls",
    "obstacle_controls",
    "quadratic",
    "read_mesh",
    "refined",
    "write_frames",
]
