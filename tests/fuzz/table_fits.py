"""Calls that observe bodies, read recordings and fit quantities."""

from __future__ import annotations

import math
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    anything,
    at_vertices,
    choice,
    count,
    function,
    indices,
    instance,
    made,
    number,
    positive,
    quantity,
    scalar,
    tensor,
    text,
)
from fuzz.kinds import Callables, File, Instance, Named, Names, Numbers, Several, Text
from fuzz.scenes import CELLS, DT, VERTICES
from torch import nn

from simlayer import Mesh, RolloutModule, State
from simlayer.identification import (
    GradientHealth,
    History,
    HorizonCurriculum,
    InitialState,
    Markers,
    ObservedRollout,
    ObservedScenes,
    ParameterIdentification,
    PositionLoss,
    ScanLoss,
    SmoothnessPrior,
    Vertices,
    scene_loader,
)
from simlayer.motion_capture import Recording, read_recording, register

FILES = ("exist", "folder", "file")
a_mesh = instance(scenes.mesh, Mesh)


def _points() -> torch.Tensor:
    return torch.tensor([[0.15, 0.05, 0.06], [0.11, 0.02, 0.03], [0.16, 0.03, 0.05], [0.12, 0.07, 0.04]])


def _points_of(shape: Any) -> bool:
    return len(shape) == 2 and shape[1] == 3 and shape[0] > 0


def _like_points(shape: Any) -> bool:
    return shape == (4, 3)


def _adam(parameters: Any) -> Any:
    return torch.optim.Adam(parameters, lr=0.1)


def _forwarded(simulated: Any, observed: Any) -> Any:
    return PositionLoss(0.1)(simulated, observed)


def _observations() -> torch.Tensor:
    return torch.arange(24.0).view(2, 4, 3)


def _frames(shape: Any) -> bool:
    return len(shape) >= 3 and shape[-1] == 3 and math.prod(shape) > 0


def _loaded(batch_size: Any = None, **parts: Any) -> Any:
    return list(scene_loader(ObservedScenes(**parts), batch_size=batch_size))


def _bodies(shape: Any) -> bool:
    return shape == (2, VERTICES, 3)


_QUANTITIES = (
    "youngs_modulus", "poissons_ratio", "gravity", "density", "coefficient", "prescribed_velocities",
    "release_time",
)  # fmt: skip

OBSERVATIONS = [
    *made(
        "InitialState",
        InitialState,
        assigned="displacements",
        mesh=a_mesh,
        displacements=quantity(torch.zeros(VERTICES, 3), at_vertices(VERTICES), words=(None,)),
        velocities=quantity(torch.zeros(1, 3), at_vertices(VERTICES), words=(None,)),
    ),
    *made(
        "PositionLoss",
        PositionLoss,
        assigned="scale",
        scale=positive(0.1),
        frames=choice(
            "all", "last", other=Numbers(lambda s: len(s) == 1 and s[0] > 0, whole=True, form="counts")
        ),
    ),
    *made(
        "ScanLoss",
        ScanLoss,
        assigned="scale",
        mesh=a_mesh,
        scale=positive(0.1),
        outlier_distance=number(1e-3, 0.0, words=(None,)),
    ),
    *made(
        "PositionLoss.forward",
        _forwarded,
        alike=("simulated", "observed"),
        simulated=tensor(_observations, _frames, finite=False, form="same"),
        observed=tensor(_observations, _frames, finite=False, form="same"),
    ),
    *made(
        "Markers",
        Markers,
        mesh=a_mesh,
        points=tensor(_points, _points_of),
        standoffs=tensor(lambda: 0.01 * _points(), _like_points, words=(None,)),
        radius=positive(0.1, words=(None,)),
    ),
    *made(
        "Markers.forward",
        lambda positions: Markers(scenes.mesh(), _points())(positions),
        positions=tensor(scenes.positions, lambda s: s[-2:] == (VERTICES, 3), finite=False, form="same"),
    ),
    *made(
        "Vertices",
        lambda indices: Vertices(indices)(scenes.positions()),
        indices=indices(
            lambda: torch.tensor([0, 3]), lambda s: len(s) == 1 and s[0] > 0, 0, VERTICES - 1, words=(None,)
        ),
    ),
    *made(
        "ObservedRollout",
        ObservedRollout,
        assigned="release_time",
        rollout=instance(scenes.rollout, RolloutModule),
        sensors=instance(Vertices, nn.Module),
        times=tensor(
            lambda: torch.tensor([DT, 2 * DT]),
            lambda s: len(s) == 1 and s[0] > 0,
            low=-1.0,
            high=3.1 * DT,
            rising=True,
        ).called("observation"),
        initial=instance(lambda: InitialState(scenes.mesh()), InitialState, words=(None,)),
        release_time=quantity(0.0),
        frames=count(1),
    ),
    *made(
        "ObservedRollout.forward",
        lambda state: scenes.observed()(state),
        state=instance(scenes.state, State),
    ),
    *made(
        "SmoothnessPrior",
        SmoothnessPrior,
        mesh=a_mesh,
        name=text("youngs_modulus"),
        weight=number(1.0, 0.0, closed=True),
        sharpness=positive(0.1),
    ),
    *made(
        "SmoothnessPrior.forward",
        lambda field: SmoothnessPrior(scenes.mesh(), "youngs_modulus", weight=1.0)(field),
        field=tensor(lambda: torch.arange(float(CELLS)), lambda s: s == (CELLS,), finite=False, form="same"),
    ),
    *made(
        "scene_loader",
        _loaded,
        positions=tensor(lambda: scenes.observed_scenes().positions, _bodies, finite=False, form="same"),
        velocities=tensor(lambda: scenes.observed_scenes().velocities, _bodies, finite=False, form="same"),
        observed=tensor(
            lambda: scenes.observed_scenes().observed,
            lambda s: s == (2, 2, VERTICES, 3),
            finite=False,
            also=lambda x: bool(not x.isinf().any() and not x.isnan().all()),
            form="same",
        ),
        batch_size=count(1, words=(None,)),
    ),
    *made(
        "ParameterIdentification",
        ParameterIdentification,
        observed=instance(scenes.observed, ObservedRollout),
        trainable=Argument(Names(_QUANTITIES), lambda: ["youngs_modulus"], ("quantity",)),
        loss=instance(lambda: PositionLoss(0.1), nn.Module),
        optimizer=function(lambda: _adam, optional=True),
        priors=Argument(
            Named(Instance((SmoothnessPrior,))),
            lambda: {"smooth": SmoothnessPrior(scenes.mesh(), "youngs_modulus", weight=1.0)},
            ("prior",),
        ),
        scheduler=Argument(Callables(optional=True), lambda: None),
        fields=Argument(
            Named(
                Text(lambda word: word in ("cells", "regions")), names=("youngs_modulus", "poissons_ratio")
            ),
            lambda: {"youngs_modulus": "cells"},
            ("youngs_modulus", "quantity"),
        ),
    ),
    *made(
        "GradientHealth",
        GradientHealth,
        every=count(10),
        picture=choice("gradients.png", None, other=Text()),
    ),
    *made(
        "HorizonCurriculum",
        HorizonCurriculum,
        start=number(0.1, 0.0, 1.0 + 1e-12),
        factor=number(2.0, 1.0),
        epochs=choice(2, None, other=Numbers(scalar, 1, 1e15, True, True, form="count")),
        patience=count(3),
    ),
    *made(
        "History",
        History,
        reference=Argument(
            Named(Numbers(anything, form="tensor"), free=True), lambda: {"density": torch.tensor(900.0)}
        ),
    ),
]


def _times(shape: Any) -> bool:
    return shape == (6,)


def _marks(shape: Any) -> bool:
    return shape == (6, 5, 3)


_NAMES_OF_MARKERS = tuple(f"m{k}" for k in range(5))
CAPTURE = [
    *made(
        "Recording",
        Recording,
        times=tensor(lambda: torch.linspace(0, 1, 6), _times, rising=True),
        markers=tensor(lambda: scenes.recording().markers, _marks, finite=False, low=-1e38, high=1e38),
        names=Argument(Several(5), lambda: _NAMES_OF_MARKERS),
        source=text("take"),
    ),
    *made(
        "Recording.window",
        lambda first, last: scenes.recording().window(first, last),
        first=count(1, 0, 4),
        last=count(5, 2, 6),
    ),
    *made(
        "Recording.between",
        lambda start, end: scenes.recording().between(start, end),
        start=number(0.1, high=0.9),
        end=number(0.9, low=0.2),
    ),
    *made(
        "register",
        register,
        recording=instance(scenes.recording, Recording),
        reference=tensor(lambda: scenes.recording().markers[0], lambda s: s == (5, 3)),
        held=Argument(Numbers(lambda s: s == (2,), 0, 6, True, True, form="counts"), lambda: (0, 2)).called(
            "first", "window"
        ),
    ),
    *made(
        "Registration.in_frame",
        lambda recording: scenes.registration().in_frame(recording),
        recording=instance(scenes.recording, Recording),
    ),
    *made(
        "read_recording",
        read_recording,
        path=Argument(File(lambda path: path == scenes.recording_file()), scenes.recording_file).called(
            *FILES
        ),
        unit=choice("m", "cm", "mm", None),
        frame_rate=positive(100.0),
        markers=Argument(Names(("m1", "m2"), optional=True), lambda: ["m1"], ("m1",)),
    ),
]

CALLS: list[Call] = [*OBSERVATIONS, *CAPTURE]
