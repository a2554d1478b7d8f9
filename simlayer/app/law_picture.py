"""The picture of a material: its stress along deformations of a point, over that of another one."""

from __future__ import annotations

import copy

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.material_point.paths import PATHS, DeformationPath
from simlayer.material_point.point import MaterialPoint
from simlayer.materials.base import Material
from simlayer.plotting import law_curves_picture

_COUNT = 41


def _dilation(s: Tensor) -> tuple[Tensor, ...]:
    return (s, 0 * s, 0 * s, 0 * s, s, 0 * s, 0 * s, 0 * s, s)


# Path, label, and range of each panel. All but the last keep the volume.
_PANELS = (
    (PATHS["uniaxial"], "stretch", 0.7, 1.5),
    (PATHS["equibiaxial"], "stretch", 0.8, 1.3),
    (PATHS["simple_shear"], "shear", 0.0, 0.6),
    (DeformationPath("change of volume", _dilation), "stretch", 0.9, 1.1),
)


def path_stress(
    material: Material, path: DeformationPath, parameter: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Return the nominal stress along a path [Pa], incompressible where the path leaves anything free."""
    law = copy.deepcopy(material).double().cpu().requires_grad_(False)
    return MaterialPoint(law, incompressible=bool(path.free))(parameter, path).stress.reshape(-1)


@torch.no_grad()
def law_picture(truth: Material, learned: Material) -> Figure:
    """Draw the stresses of a material that has learned over those of the true one."""
    laws = {"learned": learned, "true": truth}
    panels = {}
    for path, label, low, high in _PANELS:
        parameter = torch.linspace(low, high, _COUNT, dtype=torch.float64)
        stresses = {name: path_stress(law, path, parameter) for name, law in laws.items()}
        panels[path.name.replace("_", " ")] = (label, parameter, stresses)
    return law_curves_picture(panels)
