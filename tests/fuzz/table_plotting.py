"""Calls that draw pictures, each of which returns numbers that were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
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
    text,
    truth,
)
from fuzz.kinds import Instance, Names, Numbers
from fuzz.scenes import VERTICES
from matplotlib.figure import Figure
from torch import Tensor

from simlayer import HalfSpace, Mesh, Obstacle, plotting
from simlayer.plotting import View

_TIMES = 4


def drawn(figure: Figure) -> Tensor:
    """What can be read off a figure: the limits of its axes, and the data of its lines."""
    numbers = [limits.get_points() for axes in figure.axes for limits in (axes.dataLim, axes.viewLim)]
    numbers += [np.asarray(line.get_xydata()) for axes in figure.axes for line in axes.lines]
    flat = np.concatenate([np.asarray(each, dtype=np.float64).ravel() for each in numbers])
    return torch.from_numpy(flat).nan_to_num(posinf=0.0, neginf=0.0)


def _numbers(make: Any, *shape: int | None, infinite: bool = False, optional: bool = False) -> Argument:
    """Numbers of a shape, None for any length; some may be missing, or all where they are optional."""

    def fits(given: tuple[int, ...]) -> bool:
        return len(given) == len(shape) and all(
            a == b or (b is None and a > 0) for a, b in zip(given, shape, strict=True)
        )

    def right(numbers: Tensor) -> bool:
        return infinite or not bool(numbers.isinf().any())

    return Argument(Numbers(fits, finite=False, also=right, form="tensor", words=(None,) * optional), make)


def _mesh() -> Argument:
    return instance(scenes.mesh, Mesh)


_times = _numbers(lambda: torch.linspace(0.0, 1.0, _TIMES), None)
_mesh_field = _numbers(lambda: torch.linspace(1.0, 2.0, VERTICES), VERTICES)
_optional = _numbers(lambda: torch.linspace(1.0, 2.0, VERTICES), VERTICES, optional=True)
_positions = _numbers(lambda: 1.1 * scenes.mesh().vertices, VERTICES, 3)
_name, _unit = text("stress", lambda s: True), text("Pa", lambda s: True)


def _body(**given: Any) -> Tensor:
    return drawn(plotting.body_picture(**{"mesh": scenes.mesh(), "over": "vertices", **given}))


def _draw_body(**given: Any) -> Tensor:
    figure = Figure()
    plotting.draw_body(figure.subplots(), **{"mesh": scenes.mesh(), **given})
    return drawn(figure)


def _on_axes(draw: Any) -> Any:
    def run(**given: Any) -> Tensor:
        figure = Figure()
        draw(figure.subplots(), **given)
        return drawn(figure)

    return run


def _view(points: Any, upright: Any) -> Tensor:
    return torch.from_numpy(np.stack(plotting.body_view(points, upright=upright)))


def _angles(azimuth: Any, elevation: Any) -> Tensor:
    return torch.from_numpy(np.stack(plotting.angle_view(azimuth, elevation)))


def _traces(simulated: Any, **given: Any) -> Tensor:
    return drawn(plotting.trace_picture(simulated={"found": simulated}, names=["a", "b"], **given))


def _markers(simulated: Any, **given: Any) -> Tensor:
    return drawn(plotting.marker_picture(simulated={"found": simulated}, names=["a", "b"], **given))


def _target(bodies: Any, **given: Any) -> Tensor:
    return drawn(plotting.target_picture(bodies={"found": bodies}, **given))


def _series(values: Any, **given: Any) -> Tensor:
    return drawn(plotting.series_picture(panels={"title": ("force", "N", {"x": values})}, **given))


def _laws(x: Any, stress: Any) -> Tensor:
    return drawn(plotting.law_curves_picture({"uniaxial": ("stretch", x, {"law": stress})}))


def _predictions(truth: Any, values: Any, errors: Any) -> Tensor:
    return drawn(plotting.prediction_picture({"E": truth}, {"E": values}, {"E": errors}))


def _convergence(losses: Any, values: Any) -> Tensor:
    return drawn(plotting.convergence_picture(losses, {"E": values}))


def _uncertainty(values: Any, covariance: Any) -> Tensor:
    return drawn(plotting.uncertainty_picture(["a", "b"], values, covariance))


def _motion(**given: Any) -> Tensor:
    return drawn(plotting.motion_picture(scenes.mesh(), **given))


_labels = Argument(Names(("a", "b")), lambda: ["a", "b"])
_curve = _numbers(lambda: torch.linspace(1.0, 2.0, _TIMES), None)
_error = _numbers(lambda: torch.linspace(1.0, 2.0, _TIMES), None, infinite=True, optional=True)
_goals = _numbers(lambda: torch.linspace(0.0, 0.1, 6).reshape(2, 3), None, 3)
_points = _numbers(lambda: torch.linspace(0.0, 0.1, 6).reshape(2, 3), 2, 3)
_path = _numbers(lambda: torch.linspace(0.0, 0.1, 6 * _TIMES).reshape(_TIMES, 2, 3), _TIMES, 2, 3)

CALLS: list[Call] = [
    *made(
        "body_view",
        _view,
        points=_numbers(lambda: scenes.mesh().vertices, None, 3),
        upright=truth(False),
    ),
    *made("angle_view", _angles, azimuth=number(-60.0), elevation=number(20.0, -90, 90, closed=True)),
    *made(
        "draw_body",
        _draw_body,
        mesh=_mesh(),
        positions=_numbers(lambda: 1.1 * scenes.mesh().vertices, VERTICES, 3, optional=True),
        obstacles=Argument(Instance((Obstacle, list, tuple)), lambda: HalfSpace((0.0, 0.0, -1.0))),
        view=instance(lambda: plotting.angle_view(-60, 20), View, words=(None,)),
        cut=truth(False),
        rest=truth(True),
        marks=truth(True),
    ),
    *made("body_picture", _body, mesh=_mesh(), field=_optional, name=_name, unit=_unit, cut=truth(True)),
    *made(
        "field_picture",
        lambda **given: drawn(plotting.field_picture(**{"over": "vertices", "mesh": scenes.mesh(), **given})),
        found=_mesh_field,
        truth=_optional,
        over=choice("vertices", "auto"),
        note=text("a note", lambda s: True),
    ),
    *made("target_picture", _target, mesh=_mesh(), bodies=_positions, target=_positions),
    *made(
        "motion_picture",
        _motion,
        positions=_numbers(lambda: torch.ones(_TIMES, 1, 1) * scenes.mesh().vertices, None, VERTICES, 3),
        times=Argument(
            Numbers(lambda s: len(s) == 1 and s[0] > 0, rising=True, form="tensor"),
            lambda: torch.linspace(0.0, 1.0, _TIMES),
        ),
        count=count(2),
    ),
    *made("trace_picture", _traces, times=_times, observed=_path, simulated=_path),
    *made("marker_picture", _markers, mesh=_mesh(), rest=_points, observed=_points, simulated=_points),
    *made("series_picture", _series, times=_times, values=_curve.called("panels")),
    *made("draw_measured", _on_axes(plotting.draw_measured), x=_curve, y=_curve),
    *made("draw_fitted", _on_axes(plotting.draw_fitted), x=_curve, y=_curve, error=_error),
    *made("law_curves_picture", _laws, x=_curve.called("panels"), stress=_curve.called("panels")),
    *made(
        "curve_picture",
        lambda **given: drawn(
            plotting.curve_picture(amount=("displacement", "mm"), value=("force", "N"), **given)
        ),
        amounts=_curve,
        measured=_curve,
        fitted=_curve,
        error=_error,
        title=text("a test", lambda s: True),
    ),
    *made(
        "displacement_picture",
        lambda **given: drawn(plotting.displacement_picture(**given)),
        points=_points,
        measured=_points,
        fitted=_points,
    ),
    *made("convergence_picture", _convergence, losses=_curve, values=_curve),
    *made(
        "uncertainty_picture",
        _uncertainty,
        values=_numbers(lambda: torch.tensor([1.0, 2.0]), 2),
        covariance=_numbers(lambda: torch.eye(2), 2, 2),
    ),
    *made(
        "prediction_picture",
        _predictions,
        truth=_curve.called("values", "errors"),
        values=_curve,
        errors=_curve,
    ),
    *made(
        "reach_picture",
        lambda **given: drawn(plotting.reach_picture(**given)),
        times=_times,
        ways=_path,
        goals=_goals,
    ),
    *made(
        "travel_picture",
        lambda **given: drawn(plotting.travel_picture(**given)),
        times=_times,
        ways=_numbers(lambda: torch.arange(2.0 * _TIMES).reshape(_TIMES, 2), None, None),
        best=count(0, 0, 1),
    ),
]
