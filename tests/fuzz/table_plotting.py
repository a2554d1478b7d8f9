"""Calls that draw pictures, each of which returns numbers that were drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from fuzz import scenes
from fuzz.calls import Argument, Call, choice, count, instance, made, number, selection, shaped, tensor, text, truth
from fuzz.kinds import Instance, Names, Numbers
from fuzz.scenes import CELLS, VERTICES
from matplotlib.figure import Figure
from torch import Tensor

from simlayer import HalfSpace, Mesh, Obstacle, plotting
from simlayer.plotting import View

_TIMES = 4


def drawn(figure: Figure) -> Tensor:
    """What can be read off a figure: the limits of its axes, and the data of its lines."""
    numbers = [np.concatenate([axes.dataLim.get_points().ravel(), axes.viewLim.get_points().ravel()]) for axes in figure.axes]
    numbers += [np.asarray(line.get_xydata(), dtype=float).ravel() for axes in figure.axes for line in axes.lines]
    return torch.from_numpy(np.concatenate(numbers)).nan_to_num(posinf=0.0, neginf=0.0)


def _numbers(make: Any, *shape: int) -> Argument:
    """Numbers of a shape, of which some may be missing."""
    return Argument(
        Numbers(lambda s: s == shape, finite=False, also=lambda x: not bool(x.isinf().any()), form="tensor"), make
    )


def _mesh() -> Argument:
    return instance(scenes.mesh, Mesh)


_times = _numbers(lambda: torch.linspace(0.0, 1.0, _TIMES), _TIMES)
_mesh_field = _numbers(lambda: torch.linspace(1.0, 2.0, VERTICES), VERTICES)
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


CALLS: list[Call] = [
    *made(
        "body_view",
        _view,
        points=_numbers(lambda: scenes.mesh().vertices, VERTICES, 3),
        upright=truth(False),
    ),
    *made("angle_view", _angles, azimuth=number(-60.0), elevation=number(20.0, -90, 90, closed=True)),
    *made(
        "draw_body",
        _draw_body,
        mesh=_mesh(),
        positions=_positions,
        fixed=selection("x_min", ("x_min",), VERTICES),
        obstacles=Argument(Instance((Obstacle,)), lambda: HalfSpace((0.0, 0.0, -1.0))),
        view=instance(lambda: plotting.angle_view(-60, 20), View),
        cut=truth(False),
        rest=truth(True),
        marks=truth(True),
    ),
    *made("body_picture", _body, mesh=_mesh(), field=_mesh_field, name=_name, unit=_unit, cut=truth(True)),
    *made(
        "field_picture",
        lambda **given: drawn(plotting.field_picture(**{"over": "vertices", "mesh": scenes.mesh(), **given})),
        found=_mesh_field,
        truth=_mesh_field.called("field"),
        over=choice("vertices", "auto"),
        note=text("a note", lambda s: True),
    ),
]
del CELLS, Names, count, shaped, tensor
