"""Calls that compare specimens with tests."""

from __future__ import annotations

import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    choice,
    count,
    instance,
    made,
    number,
    positive,
    selection,
    tensor,
    truth,
)
from fuzz.kinds import NOTHING, File, Instance, Named, Names, Numbers
from fuzz.scenes import VERTICES
from support.meshes import hollow

from simlayer import CavityPressure, ElasticForce, Equilibrium, Mesh, NeoHookean, Step
from simlayer.laboratory import (
    DisplacementTest,
    GripMotion,
    LoadTest,
    PressureVolumeTest,
    Pull,
    ScanTest,
    SpecimenTest,
    Twist,
    align_scan,
    identify_tests,
    read_displacements,
    read_load_curve,
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
    points, moved = scenes.positions()[:4], {"grip": "x_max", "motion": Pull((1, 0, 0)), "amount": 0.01}
    defaults = {"step": _step(), "points": points, "displacements": 0.1 * points, **moved}
    return DisplacementTest(**(defaults | given))


@cache
def _inflated() -> Equilibrium:
    mesh = hollow("hex8")
    elastic = ElasticForce(mesh, NeoHookean(1e4, 0.3))
    forces = {"elastic": elastic, "chamber": CavityPressure(mesh, "cavity")}
    return Equilibrium(mesh, forces, fixed="x_min")


def _pressure_volume(**given: Any) -> PressureVolumeTest:
    rows = {"pressures": [1.0, 2.0], "volumes": [1e-6, 2e-6]}
    return PressureVolumeTest(**({"step": _inflated(), "cavity": "chamber", **rows} | given))


@cache
def _file() -> str:
    path = Path(tempfile.mkdtemp()) / "pull.txt"
    path.write_text("0.1 1.5 1\n0.2 2.5 2\n")
    return str(path)


def _curve(**options: Any) -> torch.Tensor:
    given = {"amount": 0, "amount_unit": "mm", "load": 1, "load_unit": "N"} | options
    return read_load_curve(_file(), **given).amounts


def _field(**options: Any) -> torch.Tensor:
    columns = {"points": {"x": 0}, "displacements": {"x": 1}}
    given = columns | {"points_unit": "mm", "displacements_unit": "mm", "confidence": 2} | options
    return read_displacements(_file(), **given).points


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
        coupled=Argument(
            Named(Instance((GripMotion,)), ("x_min",)), lambda: {"x_min": Pull((0, 1, 0))}, ("grip",)
        ),
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
        grip=selection("x_max", ("x_min", "x_max"), VERTICES),
        motion=instance(lambda: Pull((1, 0, 0)), GripMotion),
        amount=number(0.01),
        noise=number(1e-4, 0.0, words=(None,)),
    ),
    *made(
        "ScanTest",
        lambda **given: _scan_test(**given).observed,
        step=instance(_step, Step),
        points=tensor(lambda: scenes.positions()[:4], lambda s: len(s) == 2 and s[1] == 3, **_gaps),
        outlier_distance=number(1e-3, 0.0, words=(None,)),
        surface_reach=number(0.1, 0.0, words=(None,)),
        rigid_motion=truth(False),
        noise=number(1e-4, 0.0, words=(None,)),
    ),
    *made(
        "align_scan",
        lambda **given: align_scan(**{"points": scenes.positions(), "mesh": scenes.mesh(), **given}).points,
        points=tensor(scenes.positions, lambda s: len(s) == 2 and s[1] == 3, **_gaps),
        mesh=instance(scenes.mesh, Mesh),
        positions=tensor(
            scenes.positions, lambda s: s == (VERTICES, 3), also=lambda x: bool(x.any()), words=(None,)
        ),
        outlier_distance=number(1e-3, 0.0, words=(None,)),
        max_steps=count(100),
    ),
    *made(
        "read_scan",
        lambda **given: read_scan(**{"path": scenes.scan_file(), "scale": 0.1, **given}),
        path=Argument(File(lambda path: path == scenes.scan_file()), scenes.scan_file).called(*FILES),
        scale=positive(0.1),
    ),
    *made(
        "read_scan(unit=)",
        lambda **given: read_scan(scenes.scan_file(), **given),
        unit=choice("mm", "m", "cm", "µm", "in"),
    ),
    *made(
        "PressureVolumeTest",
        lambda **given: _pressure_volume(**given).observed,
        step=instance(_inflated, Equilibrium),
        cavity=choice("chamber"),
        pressures=_rows(1.0, 2.0),
        volumes=_rows(1e-6, 2e-6, **_gaps).called("volumes", "measured"),
        noise=number(1e-9, 0.0, words=(None,)),
    ),
    *made(
        "read_load_curve",
        _curve,
        amount=count(0, 0, 2),
        amount_unit=choice("mm", "m", "cm", "µm", "in"),
        load=count(1, 0, 2),
        load_unit=choice("N", "kN", "mN", "lbf"),
    ),
    *made(
        "read_displacements",
        _field,
        points_unit=choice("mm", "m", "cm", "µm", "in"),
        displacements_unit=choice("mm", "m", "cm", "µm", "in"),
        least_confidence=number(0.5, high=2.01),
        origin=Argument(Numbers(lambda s: s == (3,), form="numbers"), lambda: (0.0, 0.0, 0.1)),
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
