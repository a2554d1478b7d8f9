"""Calls that compare specimens with tests."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import Argument, Call, count, instance, made, number, positive, selection, tensor, truth
from fuzz.kinds import NOTHING, File, Names, Numbers
from fuzz.scenes import VERTICES

from simlayer import Equilibrium, Step
from simlayer.laboratory import (
    DisplacementTest,
    GripMotion,
    LoadTest,
    Pull,
    ScanTest,
    SpecimenTest,
    Twist,
    identify_tests,
    read_scan,
)

FILES = ("exist", "folder", "file")


@cache
def _step() -> Equilibrium:
    mesh = scenes.mesh()
    ends = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
    return Equilibrium(mesh, scenes.forces(), fixed=ends)


def _load_test(**given: Any) -> LoadTest:
    rows = {"amounts": [0.01, 0.02], "loads": [1.0, 2.0]}
    defaults = {"step": _step(), "grip": "x_max", "motion": Pull((1, 0, 0)), **rows}
    return LoadTest(**(defaults | given))


def _displacement_test(**given: Any) -> DisplacementTest:
    points = scenes.positions()[:4]
    return DisplacementTest(**({"step": _step(), "points": points, "displacements": 0.1 * points} | given))


def _scan_test(**given: Any) -> ScanTest:
    return ScanTest(**({"step": _step(), "points": scenes.positions()[:4]} | given))


class _Tests:
    """One test, or a list of it."""

    def clean(self, value: Any) -> Any:
        several = list(value) if isinstance(value, list | tuple) else [value]
        return several if len(several) == 1 and isinstance(several[0], SpecimenTest) else NOTHING


def _rows(*values: float, **options: Any) -> Argument:
    return Argument(Numbers(lambda s: s == (2,), form="numbers", **options), lambda: list(values))


_direction = Argument(
    Numbers(lambda s: s == (3,), also=lambda x: bool(x.any()), form="numbers"), lambda: (1.0, 0.0, 0.0)
)
# NaN stands for what was not measured.
_gaps: dict[str, Any] = {"finite": False, "also": lambda x: bool(x.isfinite().any() and not x.isinf().any())}
_points = tensor(lambda: scenes.positions()[:4], lambda s: s == (4, 3))

CALLS: list[Call] = [
    *made("Pull", lambda axis: Pull(axis).axis, axis=_direction),
    *made(
        "Twist",
        lambda **given: Twist(**given).about,
        axis=_direction,
        about=Argument(Numbers(lambda s: s == (3,), form="numbers"), lambda: (0.0, 0.1, 0.0)),
    ),
    *made(
        "LoadTest",
        lambda **given: _load_test(**given).observed,
        step=instance(_step, Step),
        grip=selection("x_max", ("x_min", "x_max"), VERTICES),
        motion=instance(lambda: Pull((1, 0, 0)), GripMotion),
        amounts=_rows(0.01, 0.02),
        loads=_rows(1.0, 2.0, **_gaps).called("load", "measured"),
        times=_rows(0.5, 1.0, rising=True, words=(None,)),
        copies=positive(4.0),
        noise=number(0.1, 0.0, words=(None,)),
    ),
    *made(
        "DisplacementTest",
        lambda **given: _displacement_test(**given).observed,
        step=instance(_step, Step),
        points=_points,
        displacements=tensor(lambda: scenes.positions()[:4], lambda s: s == (4, 3), **_gaps).called(
            "displacements", "measured"
        ),
        rigid_motion=truth(True),
        surface_strain=truth(True),
        noise=number(1e-4, 0.0, words=(None,)),
    ),
    *made(
        "ScanTest",
        lambda **given: _scan_test(**given).observed,
        step=instance(_step, Step),
        points=tensor(lambda: scenes.positions()[:4], lambda s: len(s) == 2 and s[1] == 3, **_gaps),
        outlier_distance=number(1e-3, 0.0, words=(None,)),
        noise=number(1e-4, 0.0, words=(None,)),
    ),
    *made(
        "read_scan",
        lambda **given: read_scan(**{"path": scenes.scan_file(), "scale": 0.1, **given}),
        path=Argument(File(lambda path: path == scenes.scan_file()), scenes.scan_file).called(*FILES),
        scale=positive(0.1),
    ),
    *made(
        "identify_tests",
        lambda **given: (
            identify_tests(**{"tests": _load_test(), "unknowns": "youngs_modulus", **given}).values
        ),
        tests=Argument(_Tests(), _load_test, ("tests",)),
        unknowns=Argument(
            Names(("youngs_modulus", "log_youngs_modulus")), lambda: "youngs_modulus", ("quantity",)
        ),
        max_steps=count(30),
    ),
]
