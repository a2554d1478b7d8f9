"""Forces on the vertices of a body: elasticity, loads, viscosity, and the interfaces of new ones."""

from simlayer.forces.base import Force, Potential, RatePotential
from simlayer.forces.cell_potential import CellPotential
from simlayer.forces.elastic import ElasticForce
from simlayer.forces.elastoplastic import ElastoplasticForce
from simlayer.forces.inelastic import InelasticForce
from simlayer.forces.internal_variables import HistoryDependent
from simlayer.forces.kelvin_voigt import KelvinVoigt
from simlayer.forces.loads import DistributedLoad, NodalLoad
from simlayer.forces.material_check import check_material
from simlayer.forces.material_report import MaterialCheck, MaterialReport
from simlayer.forces.mean_dilatation import MeanDilatationForce
from simlayer.forces.neural_viscosity import NeuralViscosity
from simlayer.forces.rayleigh import RayleighDamping
from simlayer.forces.reference import ForceReference
from simlayer.forces.terms import Term
from simlayer.forces.viscoelastic import ViscoelasticForce

__all__ = [
    "CellPotential",
    "DistributedLoad",
    "ElasticForce",
    "ElastoplasticForce",
    "Force",
    "ForceReference",
    "HistoryDependent",
    "InelasticForce",
    "KelvinVoigt",
    "MaterialCheck",
    "MaterialReport",
    "MeanDilatationForce",
    "NeuralViscosity",
    "NodalLoad",
    "Potential",
    "RatePotential",
    "RayleighDamping",
    "Term",
    "ViscoelasticForce",
    "check_material",
]
