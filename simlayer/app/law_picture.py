"""The picture of a material: its stress along deformations of a point, over that of another one."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from simlayer.forces.elastic import traced_energy_density
from simlayer.materials.base import Material

_COUNT = 41


def _uniaxial(s: Tensor) -> tuple[Tensor, ...]:
    return (s, 0 * s, 0 * s, 0 * s, s**-0.5, 0 * s, 0 * s, 0 * s, s**-0.5)


def _equibiaxial(s: Tensor) -> tuple[Tensor, ...]:
    return (s, 0 * s, 0 * s, 0 * s, s, 0 * s, 0 * s, 0 * s, s**-2)


def _shear(s: Tensor) -> tuple[Tensor, ...]:
    one = torch.ones_like(s)
    return (one, s, 0 * s, 0 * s, one, 0 * s, 0 * s, 0 * s, one)


def _volume(s: Tensor) -> tuple[Tensor, ...]:
    return (s, 0 * s, 0 * s, 0 * s, s, 0 * s, 0 * s, 0 * s, s)


# Title, label, range, and deformation gradient of each path; of the first three the volume is constant.
_PATHS: tuple[tuple[str, str, float, float, Callable[[Tensor], tuple[Tensor, ...]]], ...] = (
    ("uniaxial", "stretch", 0.7, 1.5, _uniaxial),
    ("equibiaxial", "stretch", 0.8, 1.3, _equibiaxial),
    ("simple shear", "shear", 0.0, 0.6, _shear),
    ("change of volume", "stretch", 0.9, 1.1, _volume),
)


def path_stress(
    material: Material, path: Callable[[Tensor], tuple[Tensor, ...]], parameter: Float[Tensor, "n"]
) -> Float[Tensor, "n"]:
    """Return the derivative of the energy density along a path of deformation gradients [Pa].

    By the power of the stress on it, P : dF/ds; for constant volume this needs no pressure.
    """
    law = copy.deepcopy(material).double().cpu().requires_grad_(False)
    density = traced_energy_density(law)
    F, dF = torch.func.jvp(path, (parameter,), (torch.ones_like(parameter),))[:2]
    P = density.gradient(density.coefficients(law, 1), F)
    return sum((p * d for p, d in zip(P, dF, strict=True)), torch.zeros_like(parameter)).reshape(-1)


@torch.no_grad()
def law_picture(truth: Material, learned: Material) -> Figure:
    """Draw the stresses of a material that has learned over those of the true one."""
    figure = Figure(figsize=(4 * len(_PATHS), 3.4), layout="constrained")
    for axis, (title, label, low, high, path) in zip(figure.subplots(1, len(_PATHS)), _PATHS, strict=True):
        parameter = torch.linspace(low, high, _COUNT, dtype=torch.float64)
        axis.plot(parameter, 1e-3 * path_stress(truth, path, parameter), "k--", lw=1, label="the truth")
        axis.plot(parameter, 1e-3 * path_stress(learned, path, parameter), lw=1.5, label="learned")
        axis.set(title=title, xlabel=label, ylabel="derivative of the energy density [kPa]")
        axis.legend(frameon=False, fontsize="small")
        axis.spines[["top", "right"]].set_visible(False)
    return figure
