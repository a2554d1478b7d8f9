"""Calls that train networks through rollouts."""

from __future__ import annotations

import copy
import math
from functools import cache
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    choice,
    count,
    function,
    indices,
    instance,
    made,
    number,
    positive,
    tensor,
)
from fuzz.kinds import Names, Numbers
from fuzz.scenes import DT, VERTICES
from torch import nn

from simlayer import Mesh, Muscle, RolloutModule, State, Step, SymplecticEuler
from simlayer.learning import (
    ControlGroups,
    DistanceToGoal,
    MotionTraining,
    NetworkPolicy,
    PolicyTraining,
    SignalTraining,
    ThicknessProfile,
    Travel,
    reachable_points,
)

_MATERIAL = "forces.elastic.material"
_ACTIVATION = "forces.muscle.activation"
_names = Argument(Names((_ACTIVATION, "muscle.activation", "activation")), lambda: _ACTIVATION).called(
    "names", "controls", "activation"
)


@cache
def _step() -> SymplecticEuler:
    mesh = scenes.mesh()
    forces = {**scenes.forces(), "muscle": Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=10.0, activation=0.5)}
    return SymplecticEuler(mesh, forces, dt=DT, fixed="x_min")


def _policy(**options: Any) -> NetworkPolicy:
    return NetworkPolicy(
        _step(), "activation", **{"vertices": [0], "num_inputs": 3, "length": 0.1, **options}
    )


def _steered() -> RolloutModule:
    torch.manual_seed(0)
    return RolloutModule(_step(), 2, policy=_policy(), compile=False)


def _free() -> RolloutModule:
    return RolloutModule(copy.deepcopy(_step()), 2, compile=False)


def _motion() -> State:
    positions = scenes.positions()[None, None].repeat(3, 2, 1, 1)
    return State(positions, torch.zeros_like(positions))


def _reachable(controls: Any = "activation", **options: Any) -> Any:
    rollout = RolloutModule(_step(), 2, compile=False)
    options = {"count": 2, "batch_size": 2, "state": scenes.state(), **options}
    generator = torch.Generator().manual_seed(0)
    state = options.pop("state")
    return reachable_points(rollout, state, controls, lambda x: x[:, 0], generator=generator, **options)


def _samples(shape: Any) -> bool:
    return len(shape) > 1 and shape[0] > 1 and math.prod(shape[1:]) == 3


def _direction(shape: Any) -> bool:
    return shape == (3,)


CALLS: list[Call] = [
    *made(
        "ControlGroups",
        lambda step, names: ControlGroups(step, names).start(),
        step=instance(_step, Step),
        names=_names,
    ),
    *made(
        "NetworkPolicy",
        lambda **given: _policy(**given).begin,
        vertices=indices(lambda: torch.tensor([0, 2]), lambda s: len(s) == 1 and s[0] > 0, 0, VERTICES - 1),
        num_inputs=count(3, 0, 1000),
        length=positive(0.1),
        speed=positive(1.0),
        interval=count(1),
    ),
    *made(
        "NetworkPolicy.standardize",
        lambda inputs: (policy := _policy(), policy.standardize(inputs), policy.mean)[-1],
        inputs=tensor(lambda: torch.arange(12.0).view(4, 3), _samples),
    ),
    *made(
        "DistanceToGoal",
        DistanceToGoal,
        vertices=indices(lambda: torch.tensor([0, 2]), lambda s: len(s) == 1 and s[0] > 0, 0, 10**9),
        last=number(0.5, 0.0, 1.0, also=lambda x: bool((x > 0).all()), closed=True),
    ),
    *made(
        "DistanceToGoal.forward",
        lambda goal: DistanceToGoal([0])(_motion(), goal),
        goal=tensor(lambda: torch.arange(6.0).view(2, 3), lambda s: s == (2, 3), finite=False, form="same"),
    ),
    *made(
        "Travel",
        Travel,
        direction=Argument(
            Numbers(_direction, also=lambda x: bool(x.any()), form="numbers"), lambda: (1.0, 0.0, 0.0)
        ),
    ),
    *made(
        "reachable_points",
        _reachable,
        state=instance(scenes.state, State),
        controls=_names,
        count=count(2, 1, 100),
        batch_size=count(2, 1, 100),
    ),
    *made(
        "PolicyTraining",
        lambda **given: PolicyTraining(_steered(), **given).every,
        state=instance(scenes.state, State),
        objective=instance(lambda: DistanceToGoal([0]), nn.Module),
        scale=positive(1.0),
        design=instance(lambda: ThicknessProfile(scenes.mesh()), nn.Module, words=(None,)),
        every=count(1, 1, 2, words=(None,)),
        optimizer=function(lambda: torch.optim.Adam, optional=True),
        scheduler=function(lambda: torch.optim.lr_scheduler.LinearLR, optional=True),
    ),
    *made(
        "MotionTraining",
        lambda modules, **given: MotionTraining(_free(), modules=modules, **given).every,
        state=instance(scenes.state, State),
        modules=Argument(Names((_MATERIAL,)), lambda: _MATERIAL),
        scale=positive(1.0),
        every=count(1, 1, 2),
        optimizer=function(lambda: torch.optim.Adam, optional=True),
        scheduler=function(lambda: torch.optim.lr_scheduler.LinearLR, optional=True),
    ),
    *made(
        "SignalTraining",
        lambda controls, **given: SignalTraining(_free(), controls=controls, **given).knots,
        state=instance(scenes.state, State),
        controls=instance(lambda: ControlGroups(_step(), "activation"), ControlGroups),
        objective=instance(Travel, nn.Module),
        knots=count(3, 2, 100),
        candidates=count(2, 1, 100),
        spread=number(1.0, 0.0, closed=True),
        periods=count(2, 1),
        scale=positive(1.0),
        max_norm=positive(1.0),
        optimizer=function(lambda: torch.optim.Adam, optional=True),
        scheduler=function(lambda: torch.optim.lr_scheduler.LinearLR, optional=True),
        seed=count(0, 0),
    ),
    *made(
        "ThicknessProfile",
        lambda **given: ThicknessProfile(**given)(),
        mesh=instance(scenes.mesh, Mesh),
        axis=choice("y", "x", "z"),
        sections=count(5, 2, 100),
        most=positive(0.5),
        rate=positive(1.0),
    ),
]
