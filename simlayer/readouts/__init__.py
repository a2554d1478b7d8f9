"""What a simulation tells: strains, stresses, energies, reactions, contact loads, momenta.

Each is a function of a rollout (or a step), a state and the values of a call, differentiable in both. States
may have any axes of batch, so that the frames of a trajectory are read at once:

    frames = rollout.trajectory(state)
    sigma = readouts.cauchy_stress(rollout, frames)                 # (T, M, Q, 3, 3)

Values that a rollout has as controls are parameters here, with the axis of time in front.
"""

from simlayer.readouts.balance import EnergyBalance, energy_balance
from simlayer.readouts.body import (
    angular_momentum,
    cavity_volume,
    centre_of_mass,
    momentum,
    volume,
)
from simlayer.readouts.contact_loads import ContactLoad, contact_loads
from simlayer.readouts.energy import Energies, energies, powers
from simlayer.readouts.points import quadrature_points
from simlayer.readouts.projection import project_to_vertices
from simlayer.readouts.reaction import Wrench, nodal_reactions, reaction
from simlayer.readouts.strain import (
    deformation_gradient,
    green_strain,
    logarithmic_strain,
    principal_stretches,
)
from simlayer.readouts.stress import cauchy_stress, piola_kirchhoff_stress, von_mises, von_mises_stress

__all__ = [
    "ContactLoad",
    "Energies",
    "EnergyBalance",
    "Wrench",
    "angular_momentum",
    "cauchy_stress",
    "cavity_volume",
    "centre_of_mass",
    "contact_loads",
    "deformation_gradient",
    "energies",
    "energy_balance",
    "green_strain",
    "logarithmic_strain",
    "momentum",
    "nodal_reactions",
    "piola_kirchhoff_stress",
    "powers",
    "principal_stretches",
    "project_to_vertices",
    "quadrature_points",
    "reaction",
    "volume",
    "von_mises",
    "von_mises_stress",
]
