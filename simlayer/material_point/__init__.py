"""Laws along the deformations of mechanical tests, and fitted to their curves, without a mesh."""

from simlayer.material_point.comparison import ComparedLaw, Comparison, compare_laws
from simlayer.material_point.curves import StressCurve
from simlayer.material_point.fit import fit_curves
from simlayer.material_point.fitted_law import FittedLaw
from simlayer.material_point.paths import DeformationPath
from simlayer.material_point.picture import fit_picture
from simlayer.material_point.point import MaterialPoint, PointResponse
from simlayer.material_point.predictions import Prediction
from simlayer.material_point.read_curve import read_curve
from simlayer.material_point.residual_runs import ResidualRuns

__all__ = [
    "ComparedLaw",
    "Comparison",
    "DeformationPath",
    "FittedLaw",
    "MaterialPoint",
    "PointResponse",
    "Prediction",
    "ResidualRuns",
    "StressCurve",
    "compare_laws",
    "fit_curves",
    "fit_picture",
    "read_curve",
]
