"""Calls that make bodies, materials, forces and obstacles."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    anything,
    at_vertices,
    choice,
    components,
    count,
    indices,
    instance,
    made,
    number,
    over,
    positive,
    quantity,
    selection,
    shaped,
    tensor,
    text,
    truth,
    vectors,
)
from fuzz.kinds import File, Named, Numbers, Selection, Several
from fuzz.scenes import CELLS, SETS, VERTICES

import simlayer
from simlayer import (
    BarrierContact,
    Box,
    Cable,
    CableServo,
    Capsule,
    CavityPressure,
    CoulombFriction,
    Cylinder,
    DistributedLoad,
    ElasticForce,
    ForceLength,
    HalfSpace,
    KelvinVoigt,
    MassDamping,
    Material,
    Mesh,
    Muscle,
    NeuralViscosity,
    NodalLoad,
    Obstacle,
    PointMass,
    PositionServo,
    RayleighDamping,
    SmoothVelocityClamp,
    Sphere,
    Spring,
    StableNeoHookean,
)

FILES = ("exist", "folder", "file")
a_mesh = instance(scenes.mesh, Mesh)
any_selection = selection("x_min", SETS, VERTICES).called("vertex set")


def _with_weights(kind: Callable[..., Any]) -> Callable[..., Any]:
    """What makes an object of a class, its weights the same every time."""

    def make(*given: Any, **named: Any) -> Any:
        torch.manual_seed(0)
        return kind(*given, **named)

    return make


def three_lengths(*value: float, low: float = -float("inf")) -> Argument:
    return Argument(Numbers(shaped((3,)), low), lambda: value)


def _written(**arguments: Any) -> Any:
    """Write frames to a folder of their own, and return how many files there are."""
    with tempfile.TemporaryDirectory() as folder:
        name = arguments.pop("path")
        path = Path(folder) / name if isinstance(name, str) and name else name
        simlayer.write_frames(path, **arguments)
        return len(list(Path(folder).rglob("*")))


@cache
def _hollow() -> Mesh:
    """A cube with a cubic cavity."""
    cube = simlayer.box_mesh(cells=(3, 3, 3))
    middle = (cube.vertices[cube.cells].mean(1) - 0.5).abs().amax(1) < 1 / 6
    inside = (cube.vertices - 0.5).abs().amax(1) < 0.2
    return Mesh(cube.vertices, cube.cells[~middle], vertex_sets={"cavity": inside.nonzero().flatten()})


def _on_the_body(points: torch.Tensor) -> bool:
    """Whether the first of two points, the other one in space, is near the body, and they differ."""
    low, high = scenes.mesh().bounds.double()
    inside = bool(((points[0] > low - 2e-3) & (points[0] < high + 2e-3)).all())
    return inside and len(points) == 2 and bool((points[0] != points[1]).any())


def any_fields(rows: int) -> Argument:
    kind = Numbers(lambda s: (len(s) > 0 and s[0] == rows) or s[:2] == (2, rows), finite=False, form="tensor")
    return Argument(Named(kind, free=True), lambda: {"heat": torch.arange(float(rows))}, ("heat", "field"))


def any_frames(shape: tuple[int, ...]) -> bool:
    return len(shape) == 3 and shape[0] > 0 and shape[1:] == (VERTICES, 3)


MESHES = [
    *made(
        "Mesh",
        Mesh,
        # Other positions may be another body, but hardly those that are drawn here.
        vertices=tensor(scenes.positions, shaped((VERTICES, 3))).called("vertex", "cells"),
        cells=indices(lambda: scenes.mesh().cells.clone(), shaped((CELLS, 4)), 0, VERTICES - 1).called(
            "cell"
        ),
        element=choice("tet4", None),
        vertex_sets=Argument(
            Named(
                # As they are called in files, dots and all.
                Numbers(lambda s: len(s) == 1, 0, VERTICES - 1, True, True, form="indices"),
                optional=False,
                free=True,
            ),
            lambda: {"end": torch.tensor([0, 1])},
            ("vertex set",),
        ),
        cell_regions=indices(lambda: torch.arange(CELLS) // 5, shaped((CELLS,)), 0, 1, words=(None,)),
        region_names=Argument(Several(2), lambda: ("soft", "hard"), ("regions",)),
        source=text("mesh"),
    ),
    *made(
        "box_mesh",
        simlayer.box_mesh,
        cells=Argument(Numbers(shaped((3,)), 1, 1e4, True, True, form="counts"), lambda: (2, 1, 1)),
        size=three_lengths(0.2, 0.1, 0.1, low=0.0),
        origin=three_lengths(0.0, 0.1, 0.2),
        element=choice("tet4", "tet10", "hex8", "hex20"),
    ),
    *made(
        "ball_mesh",
        simlayer.ball_mesh,
        cells=count(2),
        radius=positive(0.1),
        center=three_lengths(0.0, 0.1, 0.2),
        element=choice("tet4", "hex8"),
    ),
    *made(
        "voxel_mesh",
        lambda **options: simlayer.voxel_mesh(torch.ones(2, 1, 1, dtype=torch.long), **options),
        spacing=three_lengths(0.2, 0.1, 0.1, low=0.0),
        origin=three_lengths(0.0, 0.1, 0.2),
    ),
    *made("refine", simlayer.refine, mesh=a_mesh),
    *made("to_quadratic_elements", simlayer.to_quadratic_elements, mesh=a_mesh),
    *made(
        "disjoint_union",
        lambda mesh: simlayer.disjoint_union([scenes.mesh(), mesh]),
        mesh=a_mesh.called("meshes"),
    ),
    *made(
        "read_mesh",
        simlayer.read_mesh,
        path=Argument(File(lambda path: path == scenes.mesh_file()), scenes.mesh_file).called(*FILES),
        scale=positive(0.1),
        tetrahedra=truth(False),
    ),
    *made(
        "read_image",
        lambda **options: simlayer.read_image(**{"path": scenes.image_file(), **options}).labels,
        path=Argument(File(lambda path: path == scenes.image_file()), scenes.image_file).called(*FILES),
        scale=positive(0.1),
    ),
    *made(
        "write_frames",
        _written,
        path=Argument(
            File(lambda path: bool(path) and Path(path).suffix in ("", ".pvd")), lambda: "film.pvd"
        ).called(*FILES),
        mesh=a_mesh,
        positions=tensor(lambda: torch.stack([scenes.positions()] * 2), any_frames, finite=False),
        times=tensor(lambda: torch.tensor([0.0, 0.1]), shaped((2,)), rising=True, words=(None,)),
        vertex_fields=any_fields(VERTICES),
        cell_fields=any_fields(CELLS),
    ),
]

_MODULI = {
    "youngs_modulus": quantity(1e5, anything, 0.0),
    "poissons_ratio": quantity(0.3, anything, -1.0, 0.5),
}
_range = Argument(
    Numbers(shaped((2,)), words=(None,), also=lambda pair: bool(0 < pair[0] < 1 < pair[1])),
    lambda: (0.1, 5.0),
)
_modulus, _ratio = quantity(1e5, anything, 0.0), quantity(2.0, anything, 0.0)
_volumetric = choice("quadratic", "logarithmic", "simo_taylor")
_fibre = Argument(
    Numbers(
        lambda s: s == (3,) or (len(s) == 2 and s[-1] == 3 and 0 not in s),
        also=lambda x: bool((x.reshape(-1, 3).double().norm(dim=-1) > 0).all()),
        form="numbers",
    ),
    lambda: (1.0, 0.0, 2.0),
)
_TRANSVERSE = {
    "axial_modulus": 2e5,
    "transverse_modulus": 1e5,
    "axial_ratio": 0.4,
    "transverse_ratio": 0.3,
    "axial_shear_modulus": 4e4,
}


def _ogden(**given: Any) -> Any:
    return simlayer.Ogden(**{"mu": (1e5,), "alpha": (2.0,), "bulk_modulus": 1e6, **given})


MATERIALS = [
    *made(
        "StableNeoHookean",
        StableNeoHookean,
        assigned="youngs_modulus poissons_ratio",
        **_MODULI,
        logarithm=truth(True),
    ),
    *made("NeoHookean", simlayer.NeoHookean, **_MODULI, range=_range),
    *made("StVenantKirchhoff", simlayer.StVenantKirchhoff, **_MODULI),
    *made("Corotated", simlayer.Corotated, **_MODULI),
    *made("LinearElastic", simlayer.LinearElastic, **_MODULI),
    *made("NeuralHyperelastic", _with_weights(simlayer.NeuralHyperelastic), range=_range, **_MODULI),
    *made(
        "NeuralFibreReinforced",
        _with_weights(simlayer.NeuralFibreReinforced),
        fibres=tensor(
            lambda: torch.tensor([[1.0, 0.0, 0.0], [0.0, 2.0, 1.0]]),
            lambda s: len(s) in (1, 2) and s[-1] == 3 and 0 not in s,
            also=lambda x: bool((x.reshape(-1, 3).double().norm(dim=-1) > 0).all()),
        ),
        range=_range,
        **_MODULI,
    ),
    *made(
        "check_material",
        lambda material: simlayer.check_material(material, samples=4).passed,
        material=instance(lambda: simlayer.StableNeoHookean(1e5, 0.3), simlayer.Material),
    ),
    *made(
        "MooneyRivlin5",
        simlayer.MooneyRivlin5,
        **dict.fromkeys(("c10", "c01", "c20", "c11", "c02"), quantity(1e4, anything)),
        bulk_modulus=_modulus,
        volumetric=_volumetric,
        range=_range,
    ),
    *made(
        "Yeoh",
        simlayer.Yeoh,
        **dict.fromkeys(("c10", "c20", "c30"), quantity(1e4, anything)),
        bulk_modulus=_modulus,
        volumetric=_volumetric,
        range=_range,
    ),
    *made("Ogden", _ogden, bulk_modulus=_modulus, volumetric=_volumetric, range=_range),
    *made(
        "J2Plasticity",
        simlayer.J2Plasticity,
        assigned="youngs_modulus poissons_ratio yield_stress hardening_modulus",
        **_MODULI,
        yield_stress=_modulus,
        hardening_modulus=_modulus,
    ),
    *made("Gent", simlayer.Gent, mu=_modulus, J_m=_ratio, bulk_modulus=_modulus, volumetric=_volumetric),
    *made(
        "ArrudaBoyce",
        simlayer.ArrudaBoyce,
        mu=_modulus,
        lambda_m=_ratio,
        bulk_modulus=_modulus,
        volumetric=_volumetric,
    ),
    *made("Fung", simlayer.Fung, mu=_modulus, b=_ratio, bulk_modulus=_modulus, volumetric=_volumetric),
    *made(
        "FibreFamily",
        simlayer.FibreFamily,
        direction=_fibre,
        k1=_modulus,
        k2=_ratio,
        kappa=quantity(0.1, anything, 0.0, 1 / 3, closed=True),
    ),
    *made(
        "HolzapfelGasserOgden",
        lambda **given: simlayer.HolzapfelGasserOgden(
            **{"families": [simlayer.FibreFamily((1.0, 0.0, 0.0), 1e4, 1.0)], **given}
        ),
        mu=_modulus,
        bulk_modulus=_modulus,
        volumetric=_volumetric,
    ),
    *made(
        "TransverselyIsotropic",
        lambda **given: simlayer.TransverselyIsotropic(**{"axis": (1.0, 0.0, 0.0), **_TRANSVERSE, **given}),
        axis=_fibre,
        axial_modulus=quantity(2e5, anything, 0.0),
        axial_shear_modulus=_modulus,
    ),
    *made(
        "MooneyRivlin",
        simlayer.MooneyRivlin,
        assigned="c10",
        c10=quantity(2e4, anything, 0.0),
        c01=quantity(1e4, anything, 0.0),
        bulk_modulus=quantity(1e5, anything, 0.0),
        range=_range,
    ),
]


_deterministic = truth(None, None)
_quadrature = choice("full")
_regions = indices(lambda: torch.arange(CELLS) // 5, shaped((CELLS,)), 0, CELLS - 1, words=(None,))
FORCES = [
    *made(
        "ElasticForce",
        ElasticForce,
        mesh=a_mesh,
        material=instance(lambda: StableNeoHookean(1e5, 0.3), Material),
        regions=_regions,
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "ElastoplasticForce",
        simlayer.ElastoplasticForce,
        mesh=a_mesh,
        material=instance(lambda: simlayer.J2Plasticity(1e5, 0.3, 1e3, 1e4), simlayer.J2Plasticity),
        regions=_regions,
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "MeanDilatationForce",
        simlayer.MeanDilatationForce,
        mesh=instance(lambda: simlayer.box_mesh(cells=(1, 1, 5), element="hex8"), Mesh),
        material=instance(lambda: StableNeoHookean(1e5, 0.3), Material),
        regions=indices(lambda: torch.arange(5) // 3, shaped((5,)), 0, 4, words=(None,)),
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "ViscoelasticForce",
        lambda **given: simlayer.ViscoelasticForce(**{"ratios": (0.5,), "relaxation_times": (0.1,), **given}),
        mesh=a_mesh,
        material=instance(lambda: StableNeoHookean(1e5, 0.3), Material),
        regions=_regions,
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "KelvinVoigt",
        KelvinVoigt,
        assigned="shear_viscosity",
        mesh=a_mesh,
        shear_viscosity=quantity(1.0, over(CELLS), 0.0),
        bulk_viscosity=quantity(1.0, over(CELLS), 0.0, words=(None,)),
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "NeuralViscosity",
        _with_weights(NeuralViscosity),
        assigned="shear_viscosity characteristic_rate",
        mesh=a_mesh,
        shear_viscosity=quantity(1.0, over(CELLS), 0.0),
        bulk_viscosity=quantity(1.0, over(CELLS), 0.0, words=(None,)),
        characteristic_rate=quantity(1.0, low=0.0),
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
    *made(
        "NodalLoad",
        NodalLoad,
        assigned="forces",
        mesh=a_mesh,
        forces=quantity(torch.ones(VERTICES, 3), at_vertices(VERTICES)),
    ),
    *made(
        "DistributedLoad",
        DistributedLoad,
        assigned="force",
        mesh=a_mesh,
        vertices=any_selection,
        force=components(0.0, 0.0, 1.0),
        over=choice("faces", "edges"),
    ),
    *made(
        "DistributedLoad.of_traction",
        DistributedLoad.of_traction,
        mesh=a_mesh,
        vertices=any_selection,
        # It becomes a force.
        traction=components(0.0, 0.0, 1.0).called("force"),
        over=choice("faces", "edges"),
    ),
    *made(
        "RayleighDamping",
        RayleighDamping,
        assigned="coefficient",
        force=text("elastic"),
        coefficient=quantity(0.1, low=0.0),
    ),
    *made("MassDamping", MassDamping, assigned="coefficient", coefficient=quantity(0.1, low=0.0)),
    *made("SmoothVelocityClamp", SmoothVelocityClamp, max_speed=quantity(0.1, low=0.0)),
    *made(
        "CoulombFriction",
        CoulombFriction,
        assigned="coefficient threshold_speed",
        contact=text("contact").called("force"),
        coefficient=quantity(0.1, low=0.0),
        threshold_speed=positive(1e-3),
    ),
    *made(
        "PointMass",
        PointMass,
        assigned="mass",
        mesh=a_mesh,
        vertices=any_selection,
        mass=quantity(0.1, low=0.0),
    ),
]

ACTUATORS = [
    *made(
        "CavityPressure",
        CavityPressure,
        assigned="pressure",
        mesh=instance(_hollow, Mesh),
        # The faces of others do not close, or enclose the body.
        surface=choice("cavity"),
        pressure=quantity(1e3),
    ),
    *made(
        "ForceLength",
        ForceLength,
        assigned="optimal_stretch width",
        optimal_stretch=quantity(1.1, anything, 0.0),
        width=quantity(0.45, anything, 0.0),
    ),
    *made(
        "Muscle",
        Muscle,
        assigned="activation peak_stress",
        mesh=a_mesh,
        fibres=Argument(
            Numbers(shaped((3,), (CELLS, 3)), also=lambda v: bool((v != 0).any(-1).all())),
            lambda: (1.0, 0.0, 0.2),
        ),
        peak_stress=quantity(1e3, over(CELLS), 0.0),
        activation=quantity(0.5, over(CELLS), 0.0, 1.0, closed=True),
        cells=choice("body", ["body"], other=Selection(CELLS, ("body",), optional=True)).called("region"),
        force_length=instance(ForceLength, ForceLength, words=(None,)),
        deterministic=_deterministic,
        quadrature=_quadrature,
    ),
]

_path = {
    "mesh": a_mesh,
    "points": Argument(
        Numbers(lambda s: len(s) == 2 and s[0] > 1 and s[1] == 3, also=_on_the_body),
        lambda: ((0.01, 0.05, 0.05), (0.19, 0.05, 0.05)),
    ),
    "anchors": Argument(
        Numbers(lambda s: len(s) == 1, 0, 1, True, True, form="indices", also=lambda i: len(i.unique()) < 2),
        lambda: torch.tensor([1]),
    ).called("points"),
}
ACTUATORS += [
    *made(
        "Cable",
        Cable,
        assigned="tension",
        **_path,
        tension=quantity(1.0, low=0.0, high=math.inf, closed=True),
    ),
    *made(
        "CableServo",
        CableServo,
        assigned="stiffness rest_length",
        **_path,
        stiffness=quantity(10.0, low=0.0),
        rest_length=quantity(0.1, low=0.0, words=(None,)),
        transition=number(1e-3, 0.0, 1e12, words=(None,)),
    ),
    *made(
        "Spring",
        Spring,
        assigned="stiffness",
        **_path,
        stiffness=quantity(10.0, low=0.0),
        rest_length=quantity(0.1, low=0.0, words=(None,)),
    ),
    *made(
        "PositionServo",
        PositionServo,
        assigned="stiffness",
        mesh=a_mesh,
        vertices=any_selection,
        stiffness=quantity(10.0, over(4), 0.0),
        targets=quantity(torch.zeros(1, 3), lambda s: len(s) > 1 and s[-2:] == (1, 3), words=(None,)),
    ),
]

_center = components(0.0, 0.0, -1.0).called("translation")
_rotation = components(0.0, 0.1, 0.2)
OBSTACLES = [
    *made(
        "HalfSpace",
        HalfSpace,
        assigned="normal rotation",
        point=components(0.0, 0.0, -1.0).called("translation"),
        normal=Argument(
            Numbers(vectors, also=lambda v: bool((v != 0).any(-1).all()), form="quantity"),
            lambda: (0.0, 0.1, 1.0),
        ),
        rotation=_rotation,
    ),
    *made("Sphere", Sphere, assigned="radius", radius=quantity(0.5, low=0.0), center=_center),
    *made("Box", Box, size=components(0.5, 0.4, 0.3, positive=True), center=_center, rotation=_rotation),
    *made(
        "Capsule",
        Capsule,
        radius=quantity(0.5, low=0.0),
        height=quantity(0.5, low=0.0),
        center=_center,
        rotation=_rotation,
    ),
    *made(
        "Cylinder",
        Cylinder,
        radius=quantity(0.5, low=0.0),
        height=quantity(0.5, low=0.0),
        center=_center,
        rotation=_rotation,
    ),
    *made(
        "BarrierContact",
        BarrierContact,
        assigned="stiffness activation_distance",
        mesh=a_mesh,
        obstacle=instance(HalfSpace, Obstacle),
        stiffness=quantity(1e4, low=0.0),
        activation_distance=positive(3e-3),
        curve=choice("linear", "squared"),
        extended=truth(False),
        start=tensor(scenes.positions, at_vertices(VERTICES), words=(None,)),
    ),
]

CALLS: list[Call] = [*MESHES, *MATERIALS, *FORCES, *ACTUATORS, *OBSTACLES]
