"""Calls of networks that identify bodies from recordings."""

from __future__ import annotations

from functools import cache, partial
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import Argument, Call, count, function, instance, made, number, tensor
from fuzz.kinds import Callables, Named, Numbers
from fuzz.scenes import DT, VERTICES

from simlayer import State
from simlayer.identification import AmortizedIdentification, ObservedRollout, RecordEncoder, Vertices

_POSITIVE = ("forces.elastic.material.youngs_modulus", "material.youngs_modulus", "youngs_modulus")
_POSITIVE += ("density", "coefficient")


def _observed() -> ObservedRollout:
    return ObservedRollout(scenes.rollout(), Vertices(), torch.tensor([DT, 2 * DT]))


def _state() -> State:
    return State(*scenes.state()[:2])


def _module(**given: Any) -> AmortizedIdentification:
    torch.manual_seed(0)
    options = {"prior": {"youngs_modulus": (9e4, 1e5)}, "noise": 1e-3, "encoder": _encoder()}
    return AmortizedIdentification(**{"observed": _observed(), "state": _state(), **options, **given})


def _encoder() -> Any:
    return partial(RecordEncoder, width=2)


def _seeded_encoder(**given: Any) -> RecordEncoder:
    torch.manual_seed(0)
    return RecordEncoder(**{"channels": 3, "frames": 4, "outputs": 2, **given})


@cache
def _made() -> AmortizedIdentification:
    return _module()


def _predicted(recordings: Any) -> Any:
    found = _made().predict(recordings)
    return found.values, found.standard_errors, found.correlation


def _refined(recordings: Any, steps: Any) -> Any:
    found = _made().refine(recordings, steps=steps)
    return found.values, found.steps


@cache
def _drawn() -> torch.Tensor:
    return _made().draw(2, seed=0)[1]


def _recordings() -> torch.Tensor:
    return _drawn().clone()


recordings = tensor(
    _recordings,
    lambda s: len(s) == 4 and s[0] > 0 and s[1:] == (2, VERTICES, 3),
    finite=False,
    also=lambda x: not bool(x.isinf().any()),
)

CALLS: list[Call] = [
    *made(
        "AmortizedIdentification",
        _module,
        observed=instance(_observed, ObservedRollout),
        state=instance(_state, State),
        prior=Argument(
            Named(
                Numbers(lambda s: s == (2,), low=0.0, rising=True, form="numbers"),
                names=_POSITIVE,
                optional=False,
            ),
            lambda: {"youngs_modulus": (9e4, 1e5)},
            ("youngs_modulus", "quantity"),
        ),
        noise=tensor(
            lambda: torch.tensor([1e-3, 2e-3, 3e-3]),
            lambda s: len(s) <= 2 and all(a in (1, b) for a, b in zip(s[::-1], (3, VERTICES), strict=False)),
            low=0.0,
            form="number",
        ),
        missing=number(0.1, 0.0, 1.0, also=lambda x: bool((x < 1).all()), closed=True),
        bodies=count(8, 2),
        held_out=count(4),
        redraw_every=count(3, words=(None,)),
        batch_size=count(4),
        encoder=function(_encoder),
        optimizer=Argument(Callables(True), lambda: torch.optim.Adam),
        scheduler=Argument(Callables(True), lambda: partial(torch.optim.lr_scheduler.StepLR, step_size=1)),
        seed=count(0, 0),
    ),
    *made("AmortizedIdentification.predict", _predicted, recordings=recordings),
    *made(
        "AmortizedIdentification.refine",
        _refined,
        recordings=recordings,
        steps=count(1),
    ),
    *made(
        "AmortizedIdentification.draw",
        lambda count, seed: _made().draw(count, seed=seed),
        count=count(2),
        seed=count(0, 0),
    ),
    *made(
        "RecordEncoder",
        _seeded_encoder,
        channels=count(3),
        frames=count(4),
        outputs=count(2),
        width=count(2),
        kernel=count(3),
    ),
]
