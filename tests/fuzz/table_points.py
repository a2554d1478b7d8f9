"""Calls of material points, and of laws fitted to the curves of tests."""

from __future__ import annotations

import functools
import math
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from fuzz.calls import (
    Argument,
    Call,
    choice,
    count,
    function,
    instance,
    made,
    number,
    positive,
    tensor,
    text,
    truth,
)
from fuzz.kinds import Instance, Names
from torch import Tensor

from simlayer import Material, NeoHookean
from simlayer.errors import ImplausibleWarning
from simlayer.material_point import (
    DeformationPath,
    FittedLaw,
    MaterialPoint,
    StressCurve,
    compare_laws,
    fit_curves,
    fit_picture,
    read_curve,
)

_PATHS = ("uniaxial", "equibiaxial", "planar")
_STRETCH = (1.1, 1.3, 1.5)


def _law() -> NeoHookean:
    return NeoHookean(1e5, 0.4)


def _curve() -> StressCurve:
    return StressCurve(_STRETCH, (3e4, 7e4, 9e4))


def _fit(**options: Any) -> FittedLaw:
    """Fit a law, without warnings of what three points do not determine."""
    given: dict[str, Any] = {"material": _law(), "curves": _curve(), "unknowns": "youngs_modulus", **options}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImplausibleWarning)
        return fit_curves(given.pop("material"), given.pop("curves"), **given)


@functools.cache
def _known_fit() -> FittedLaw:
    return _fit()


@functools.cache
def _file() -> str:
    path = Path(tempfile.mkdtemp()) / "pull.txt"
    path.write_text("0.1 1.5 1\n0.2 2.5 2\n")
    return str(path)


def _read(**options: Any) -> Tensor:
    given = {"stress": 0, "stress_unit": "MPa", "strain": 1, "strain_unit": "1"} | options
    curve = read_curve(_file(), **given)
    return torch.stack([curve.stretch, curve.stress])


def _components(stretch: Tensor) -> Sequence[Tensor]:
    zero = 0 * stretch
    return (stretch, zero, zero, zero, stretch, zero, zero, zero, 1 / stretch**2)


def _compared(laws: Any) -> Any:
    return compare_laws(laws, _curve(), unknowns="youngs_modulus").laws


def _points(shape: Any) -> bool:
    return shape == (3,)


CALLS: list[Call] = [
    *made(
        "MaterialPoint",
        lambda material, incompressible: (
            MaterialPoint(material, incompressible=incompressible)(torch.tensor(_STRETCH)).stress
        ),
        material=instance(_law, Material),
        incompressible=truth(True),
    ),
    *made(
        "MaterialPoint.forward",
        lambda stretch, path: MaterialPoint(_law(), incompressible=True)(stretch, path).stress,
        stretch=tensor(
            lambda: torch.tensor(_STRETCH),
            lambda s: len(s) > 0 and math.prod(s) > 0,
            low=0.0,
            form="same",
        ),
        path=choice("uniaxial", *_PATHS, "simple_shear", other=Instance((DeformationPath,))),
    ),
    *made(
        "DeformationPath",
        lambda **given: DeformationPath(**given).rest,
        name=text("mine"),
        gradient=function(lambda: _components),
        rest=number(1.0),
    ),
    *made(
        "StressCurve",
        lambda **given: (
            (c := StressCurve(given.pop("stretch"), given.pop("stress"), **given)).stretch * c.stress
        ),
        stretch=tensor(lambda: torch.tensor(_STRETCH), _points, low=0.0, also=lambda x: bool((x != 1).any())),
        stress=tensor(lambda: torch.tensor(_STRETCH), _points),
        path=choice("uniaxial", *_PATHS, "simple_shear", other=Instance((DeformationPath,))),
        name=text("mine", lambda name: bool(name) and "." not in name, optional=True),
        noise=positive(1.0, words=(None,)),
        fit_offset=truth(False),
    ),
    *made(
        "fit_curves",
        lambda **given: _fit(**given).uncertainty.values,
        material=instance(_law, Material),
        unknowns=Argument(
            Names(("youngs_modulus", "poissons_ratio"), optional=True), lambda: ["youngs_modulus"]
        ),
        incompressible=truth(True),
        estimate_noise=truth(False),
        starts=count(1, 1, 20),
        seed=count(0, 0),
        max_steps=count(100, 20),
    ),
    *made(
        "FittedLaw.predict",
        lambda **given: torch.from_numpy(_known_fit().predict(**given)[0]),
        stretch=tensor(lambda: torch.tensor(_STRETCH), lambda s: len(s) == 1 and s[0] > 0, low=0.0),
        path=choice("uniaxial", *_PATHS, "simple_shear", other=Instance((DeformationPath,))),
    ),
    *made(
        "compare_laws",
        lambda laws: torch.tensor([law.aicc for law in _compared(laws)]),
        laws=Argument(Instance((dict,)), lambda: {"one": _law()}),
    ),
    *made(
        "fit_picture", lambda fit: torch.ones(len(fit_picture(fit).axes)), fit=instance(_known_fit, FittedLaw)
    ),
    *made(
        "read_curve",
        _read,
        stress=count(0, 0, 2),
        stress_unit=choice("MPa", "Pa", "kPa", "GPa", "N/mm²", "psi"),
        stress_kind=choice("nominal", "true"),
        strain=count(1, 0, 2),
        strain_unit=choice("1", "%", "mm/mm"),
        strain_kind=choice("strain", "stretch", "true strain"),
        test=choice("uniaxial", *_PATHS, other=Instance((DeformationPath,))),
        name=text("mine", lambda name: bool(name) and "." not in name, optional=True),
        noise=positive(1.0, words=(None,)),
        fit_offset=truth(False),
    ),
]
