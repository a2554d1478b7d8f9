"""Laws along the deformations of mechanical tests, and fitted to their curves, without a mesh."""

from simlayer.material_point.paths import DeformationPath
from simlayer.material_point.point import MaterialPoint, PointResponse

__all__ = ["DeformationPath", "MaterialPoint", "PointResponse"]
