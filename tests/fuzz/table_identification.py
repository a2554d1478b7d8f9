"""Calls that fit without Lightning, and the parts of a fit: optimizers, losses, takes, stored values."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    choice,
    count,
    function,
    instance,
    made,
    positive,
    quantity,
    scalar,
    tensor,
    text,
    truth,
)
from fuzz.kinds import NOTHING, Instance, Named, Names, Numbers
from fuzz.scenes import CELLS, DT, VERTICES
from torch import Tensor, nn

from simlayer import RolloutModule, State, parameter_jacobian, to_physical, to_stored
from simlayer.identification import (
    GaussNewton,
    IdentificationProblem,
    InitialState,
    LeastSquaresLoss,
    ObservedRollout,
    ObservedTakes,
    Vertices,
    identify,
    identify_by_shooting,
    identify_specimens,
)
from simlayer.identification.normal_equations import NormalEquations

_TIMES = torch.tensor([DT, 2 * DT])
_MODULUS = "youngs_modulus"


@dataclass(frozen=True)
class Parameters:
    """Parameters in a list, each once."""

    def clean(self, value: Any) -> Any:
        if isinstance(value, Tensor | np.ndarray | str | set) or not hasattr(value, "__iter__"):
            return NOTHING
        listed = list(value)
        right = all(isinstance(part, Tensor) and part.is_floating_point() for part in listed)
        return listed if right and listed and len(set(map(id, listed))) == len(listed) else NOTHING


@dataclass(frozen=True)
class Mask:
    """Truth values of one shape."""

    shape: tuple[int, ...]

    def clean(self, value: Any) -> Any:
        plain = isinstance(value, Tensor) and value.layout == torch.strided and not value.is_meta
        return value if plain and value.dtype == torch.bool and value.shape == self.shape else NOTHING


class _Returning(LeastSquaresLoss):
    """A loss whose methods return what they are told to."""

    def __init__(self, residuals: Any, present: Any) -> None:
        super().__init__()
        self._returned = residuals, present

    def residuals(self, simulated: Any, observed: Any) -> Any:
        return self._returned[0]

    def present(self, observed: Any) -> Any:
        return self._returned[1]


class _Closure:
    """Gives an optimizer of its own the equations of (x - 2)²."""

    def __init__(self) -> None:
        self.x = nn.Parameter(torch.ones(1), requires_grad=False)
        self.optimizer = GaussNewton([self.x])

    def __call__(self) -> None:
        self.optimizer.equations = NormalEquations.of(self.x - 2, torch.ones(1, 1), torch.tensor(1))


def _optimizer(**arguments: Any) -> Any:
    made = GaussNewton(**arguments)
    return made.trust_radius, made.tolerance, made.precision, made.max_trials, made.param_groups[0]["params"]


def _step(closure: Any) -> Any:
    optimizer = closure.optimizer if isinstance(closure, _Closure) else _Closure().optimizer
    return optimizer.step(closure), optimizer.param_groups[0]["params"]


def _assigned_equations(equations: Any) -> Any:
    optimizer = _Closure().optimizer
    optimizer.equations = equations
    return tuple(optimizer.equations)


def _forwarded(residuals: Any, present: Any) -> Any:
    points = torch.zeros(2, 4, 3)
    return _Returning(residuals, present)(points, points)


@cache
def _shared_rollout() -> RolloutModule:
    """Traced once: its forward mode takes as long as all else."""
    return RolloutModule(scenes.step(), 2, compile=False)


def _rollout() -> RolloutModule:
    """The rollout of all fits here, back at the first guess."""
    _shared_rollout().step.forces["elastic"].material.youngs_modulus = 1e5
    return _shared_rollout()


def _state() -> State:
    """Stretched, so that a few steps tell the modulus in single precision."""
    return State(1.05 * scenes.positions(), 0 * scenes.positions())


@cache
def _data() -> Tensor:
    """What is observed of a body that is a little softer, with errors: a fit ends where these remain."""
    with torch.no_grad():
        softer = {_MODULUS: torch.tensor(0.9e5)}
        seen = _rollout().trajectory(_state(), softer).positions[1:]
    return seen + 1e-6 * torch.cos(torch.arange(float(seen.numel()))).view_as(seen)


def _problem(**given: Any) -> IdentificationProblem:
    problem = {"rollout": _rollout(), "data": _data(), "unknowns": _MODULUS, "state": _state()}
    return IdentificationProblem(**{**problem, "observe": Vertices(), "times": _TIMES, **given})


def _residuals(**given: Any) -> Any:
    problem = _problem(**given)
    return problem.start, problem.residuals(problem.start)


def _identified(**given: Any) -> Any:
    found = identify(**given)
    return found.values, found.standard_errors, found.residuals, found.undetermined


def _identified_by_shooting(**given: Any) -> Any:
    found = identify_by_shooting(**given)
    return found.values, found.standard_errors, found.residuals, found.undetermined


def _identified_each(**given: Any) -> Any:
    found = identify_specimens(**given)
    return found.values, found.standard_errors, found.correlation, found.steps, found.undetermined, str(found)


def _assigned_values(x: Any) -> Any:
    problem = _problem()
    problem.assign(x)
    return problem.squares.unknowns[0].value.clone()


def _takes() -> dict[str, ObservedRollout]:
    rollout = scenes.rollout()
    return {name: ObservedRollout(rollout, Vertices(), _TIMES) for name in ("first", "second")}


def _twice() -> State:
    return State(*(part.expand(2, -1, -1).clone() for part in scenes.state()[:2]))


@cache
def _read() -> nn.Parameter:
    return nn.Parameter(torch.tensor([1.0, 2.0]))


def _stored_shape(shape: Any) -> bool:
    return not shape or (shape[-1] in (1, CELLS) and 0 not in shape)


_QUANTITIES = (
    "forces.elastic.material.youngs_modulus", _MODULUS, "material.youngs_modulus", "density",
    "poissons_ratio", "coefficient", "gravity",
)  # fmt: skip
_KNOWN = (*_QUANTITIES, "prescribed_velocities", "release_time")
_FREE = 3 * VERTICES - int(scenes.step().free.eq(0).sum())
_STORED = ("log_youngs_modulus", "log_density", "logit_poissons_ratio", "log_coefficient")
_FIT = {
    "rollout": instance(_rollout, RolloutModule),
    "data": tensor(
        lambda: _data().clone(),
        lambda s: s in ((2, VERTICES, 3), (1, 2, VERTICES, 3)),
        finite=False,
        also=lambda x: bool(not x.isinf().any() and not x.isnan().all()),
    ).called("data", "observed"),
    "unknowns": Argument(Names(_KNOWN), lambda: [_MODULUS], ("quantity",)),
    "state": instance(_state, State),
    "observe": function(Vertices).called("observe", "sensors"),
    "times": tensor(
        lambda: _TIMES.clone(), lambda s: s == (2,), low=-1.0, high=2.1 * DT, rising=True
    ).called("observation"),
    "noise": tensor(
        lambda: torch.tensor([1.0, 2.0, 3.0]),
        lambda s: len(s) <= 2 and all(a in (1, b) for a, b in zip(s[::-1], (3, VERTICES), strict=False)),
        low=0.0,
        words=(None,),
        form="number",
    ),
    "initial": instance(lambda: InitialState(scenes.mesh()), InitialState, words=(None,)),
    "release_time": quantity(0.0),
    "frames": count(1),
}  # fmt: skip

_FIT_EACH = _FIT | {
    "data": tensor(
        lambda: torch.stack([_data(), _data() + 1e-6]),
        lambda s: len(s) == 4 and s[1:] == (2, VERTICES, 3),
        finite=False,
        also=lambda x: bool(not x.isinf().any() and not x.isnan().all()),
    ).called("data", "observed"),
}  # fmt: skip

_FIT_BY_SHOOTING = {name: argument for name, argument in _FIT.items() if name != "initial"} | {
    "data": tensor(
        lambda: _data().clone(),
        lambda s: s == (2, VERTICES, 3),
        finite=False,
        also=lambda x: bool(not x.isinf().any() and not x.isnan().all()),
    ).called("data", "observed"),
    "unknowns": Argument(Names(_QUANTITIES), lambda: [_MODULUS], ("quantity",)),
    "windows": count(2, 2, 2),
    "modes": choice(3, None, other=Numbers(scalar, 1, _FREE, True, True, form="count")),
}

CALLS: list[Call] = [
    *made(
        "GaussNewton",
        _optimizer,
        params=Argument(Parameters(), lambda: [nn.Parameter(torch.tensor(1.0), requires_grad=False)]),
        trust_radius=positive(1.0),
        tolerance=positive(1e-9),
        precision=positive(0.03),
        max_trials=count(10),
    ),
    *made("GaussNewton.step", _step, closure=function(_Closure)),
    *made(
        "GaussNewton.equations =",
        _assigned_equations,
        equations=instance(
            lambda: NormalEquations.of(torch.ones(1), torch.ones(1, 1), torch.tensor(1)), NormalEquations
        ),
    ),
    *made(
        "LeastSquaresLoss.residuals",
        lambda residuals: _forwarded(residuals, torch.ones(2, 4, 3, dtype=torch.bool)),
        residuals=tensor(lambda: torch.ones(2, 4, 3), lambda s: s == (2, 4, 3), finite=False, form="same"),
    ),
    *made(
        "LeastSquaresLoss.present",
        lambda present: _forwarded(torch.ones(2, 4, 3), present),
        present=Argument(Mask((2, 4, 3)), lambda: torch.ones(2, 4, 3, dtype=torch.bool)),
    ),
    *made("IdentificationProblem", _residuals, **_FIT),
    *made(
        "IdentificationProblem.assign",
        _assigned_values,
        x=tensor(lambda: torch.tensor([11.0]), lambda s: s == (1,), low=-87.0, high=88.0),
    ),
    *made(
        "IdentificationProblem.residuals",
        lambda x: _problem().residuals(x),
        x=tensor(lambda: torch.tensor([11.0]), lambda s: s == (1,), low=-87.0, high=15.0).called("x", "dt"),
    ),
    *made(
        "IdentificationProblem.jacobian",
        lambda x: _problem().jacobian(x),
        x=tensor(lambda: torch.tensor([11.0]), lambda s: s == (1,), low=-87.0, high=15.0).called("x", "dt"),
    ),
    *made(
        "IdentificationProblem.solve",
        lambda max_steps: str(_problem().solve(max_steps=max_steps)),
        max_steps=count(50),
    ),
    *made("IdentificationProblem.result", lambda steps: _problem().result(steps).steps, steps=count(0, 0)),
    *made("identify", _identified, **_FIT, max_steps=count(50)),
    *made("identify_by_shooting", _identified_by_shooting, **_FIT_BY_SHOOTING, max_steps=count(50)),
    *made(
        "identify_specimens", _identified_each, **_FIT_EACH, max_steps=count(50), must_converge=truth(True)
    ),
    *made(
        "ObservedTakes",
        ObservedTakes,
        takes=Argument(Named(Instance((ObservedRollout,)), optional=False), _takes),
    ),
    *made(
        "ObservedTakes.forward",
        lambda state: ObservedTakes(_takes())(state),
        state=instance(_twice, State),
    ),
    *made(
        "ObservedTakes.padded",
        lambda points: ObservedTakes(_takes()).padded(points, 0.0),
        points=tensor(
            lambda: torch.ones(1, VERTICES, 3),
            lambda s: len(s) == 3 and s[0] <= 2,
            finite=False,
            form="same",
        ),
    ),
    *made(
        "parameter_jacobian",
        parameter_jacobian,
        function=function(lambda: lambda: _read() ** 2),
        parameters=Argument(
            Named(Numbers(lambda s: True, finite=False, form="same"), optional=False, free=True),
            lambda: {"read": _read()},
        ),
    ),
    *made(
        "to_stored",
        lambda name, value: to_stored(scenes.rollout(), name, value),
        name=text(_MODULUS, lambda word: word in _QUANTITIES),
        value=quantity(1e5, _stored_shape, 0.0).called("value", _MODULUS),
    ),
    *made(
        "to_physical",
        lambda name, stored: to_physical(scenes.rollout(), name, stored),
        name=text(_MODULUS, lambda word: word in (*_QUANTITIES, *_STORED)),
        stored=tensor(lambda: torch.tensor([11.0]), _stored_shape, low=-87.0, high=88.0, form="same"),
    ),
    # How many values there may be depends on the module.
    *made(
        "to_stored module",
        lambda module: to_stored(module, _MODULUS, 1e5),
        module=instance(scenes.rollout, nn.Module),
    ),
    *made(
        "to_physical module",
        lambda module: to_physical(module, _MODULUS, torch.tensor(11.0)),
        module=instance(scenes.rollout, nn.Module),
    ),
]
