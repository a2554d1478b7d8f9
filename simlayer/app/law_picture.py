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
    figure = Figure(figsize=(4 * len(_PANELS), 3.4), layout="constrained")
    for axis, (path, label, low, high) in zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True):
        parameter = torch.linspace(low, high, _COUNT, dtype=torch.float64)
        axis.plot(parameter, 1e-3 * path_stress(truth, path, parameter), "k--", lw=1, label="the truth")
        axis.plot(parameter, 1e-3 * path_stress(learned, path, parameter), lw=1.5, label="learned")
        axis.set(title=path.name.replace("_", " "), xlabel=label, ylabel="nominal stress [kPa]")
        axis.legend(frameon=False, fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
    return figure
