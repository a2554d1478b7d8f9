"""Calls that make steps, solvers and rollouts, and run them."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from fuzz import scenes
from fuzz.calls import (
    Argument,
    Call,
    Make,
    at_vertices,
    choice,
    components,
    count,
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
from fuzz.kinds import NOTHING, Callables, Instance, Named, Names, Numbers, Text
from fuzz.scenes import CELLS, DT, SETS, VERTICES

import simlayer
from simlayer import (
    BDF2,
    BackwardEuler,
    Bodies,
    Body,
    ConjugateGradients,
    Dissipation,
    ElasticForce,
    Equilibrium,
    Force,
    LinearSolver,
    MassDamping,
    Mesh,
    Newmark,
    NewtonSolver,
    PointMass,
    RolloutModule,
    SparseDirect,
    StableNeoHookean,
    State,
    Step,
    SymplecticEuler,
    collate_bodies,
)

_OF_STEPS: dict[str, Argument] = {
    "mesh": instance(scenes.mesh, Mesh),
    "forces": Argument(Named(Instance((Force,)), optional=False), scenes.forces, ("force",)),
    "dt": positive(DT, words=("auto",)),
    "density": quantity(1000.0, over(CELLS), 0.0),
    "masses": Argument(
        Named(Instance((PointMass,))), lambda: {"tip": PointMass(scenes.mesh(), "x_max", mass=0.1)}, ("mass",)
    ),
    "gravity": components(0.0, 0.0, -9.81),
    "fixed": selection("x_min", SETS, VERTICES, components=True, optional=True),
    "prescribed_velocities": quantity(torch.zeros(VERTICES, 3), at_vertices(VERTICES), words=(None,)),
    "dissipation": Argument(Named(Instance((Dissipation,))), lambda: {"damping": MassDamping(1.0)}),
    "substeps": count(1),
}
_SOLVERS = {
    "newton": instance(NewtonSolver, NewtonSolver, words=(None,)),
    "solver": instance(SparseDirect, LinearSolver, words=("auto",)),
}


def few(arguments: dict[str, Argument], *names: str) -> dict[str, Argument]:
    return {name: arguments[name] for name in names}


STEPS = [
    *made(
        "SymplecticEuler",
        SymplecticEuler,
        assigned="dt density gravity prescribed_velocities substeps",
        **_OF_STEPS,
    ),
    *made(
        "BackwardEuler", BackwardEuler, **_OF_STEPS, mass_matrix=choice("lumped", "consistent"), **_SOLVERS
    ),
    *made("Newmark", Newmark, **few(_OF_STEPS, "mesh", "forces", "dt", "gravity", "fixed")),
    *made("BDF2", BDF2, **few(_OF_STEPS, "mesh", "forces", "dt", "density", "fixed")),
    *made("Equilibrium", Equilibrium, **few(_OF_STEPS, "mesh", "forces", "gravity", "fixed"), **_SOLVERS),
    *made(
        "NewtonSolver",
        NewtonSolver,
        tolerance=number(1e-6, 0.0, 1.0, words=(None,)),
        max_iterations=count(60),
    ),
    *made("ConjugateGradients", ConjugateGradients, max_iterations=count(60), patience=count(0, 0)),
    *made("SparseDirect", SparseDirect, max_iterations=count(60), patience=count(0, 0)),
    *made(
        "Step.stable_dt", lambda state: scenes.step().stable_dt(state), state=instance(scenes.state, State)
    ),
]

_values = {
    "youngs_modulus": Numbers(over(CELLS), 0.0, form="tensor"),
    "gravity": Numbers(vectors, form="tensor"),
    "poissons_ratio": Numbers(over(CELLS), -1.0, 0.5, form="tensor"),
    "prescribed_velocities": Numbers(at_vertices(VERTICES), form="tensor"),
}


class Parameters:
    """Values for one call, each of its own kind."""

    def __init__(self, steps: int = 0) -> None:
        self.steps = steps

    def clean(self, value: Any) -> Any:
        if value is None:
            return None
        if not isinstance(value, dict):
            return NOTHING
        found = {}
        for name, given in value.items():
            if name not in _values:
                return NOTHING
            if self.steps and (
                not isinstance(given, torch.Tensor) or tuple(given.shape)[:1] != (self.steps,)
            ):
                return NOTHING
            part = _values[name].clean(given)
            if part is NOTHING:
                return NOTHING
            found[name] = part
        return found


def _one(name: str, make: Make, steps: int = 0) -> list[Call]:
    """A rollout that is given one value by name, in parameters or in controls."""
    where = "controls" if steps else "parameters"
    kind = _values[name]

    def fits(shape: Any) -> bool:
        return shape[:1] == (steps,) and kind.fits(tuple(shape[1:])) if steps else kind.fits(shape)

    accepted = Numbers(fits, kind.low, kind.high, form="tensor")

    def run(value: Any) -> Any:
        return scenes.rollout()(scenes.state(), **{where: {name: value}})

    return made(f"RolloutModule.forward {where}", run, value=Argument(accepted, make, (name,)))


def _with_state(make: Any) -> Any:
    def run(**parts: Any) -> Any:
        return make()(scenes.state()._replace(**parts))

    return run


_positions = tensor(scenes.positions, lambda s: s[-2:] == (VERTICES, 3) and 0 not in s).called(
    "state", "vertex"
)
_velocities = tensor(
    lambda: scenes.state().velocities, lambda s: s[-2:] == (VERTICES, 3) and 0 not in s
).called("state", "vertex")
_NAMES = (
    "youngs_modulus", "poissons_ratio", "gravity", "density", "coefficient", "prescribed_velocities",
    "log_youngs_modulus", "positions", "velocities",
)  # fmt: skip


def _implicit_rollout(kind: Any, **options: Any) -> Any:
    return lambda: RolloutModule(scenes.step(kind, **options), 2)


def _motion(shape: Any) -> bool:
    return len(shape) >= 3 and shape[0] >= 2 and shape[-1] == 3 and 0 not in shape


def _path(shape: Any) -> bool:
    return len(shape) >= 2 and shape[0] >= 2 and shape[-1] == 3 and 0 not in shape


@cache
def _step_of_bodies() -> SymplecticEuler:
    mesh = _bodies().mesh
    return SymplecticEuler(mesh, {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3))}, dt=DT)


def _bodies() -> Bodies:
    return Bodies([Body(scenes.mesh()), Body(scenes.mesh())])


BODIES = [
    *made(
        "Bodies",
        lambda mesh, state: Bodies([Body(scenes.mesh()), Body(mesh, state)]).state,
        mesh=instance(scenes.mesh, Mesh),
        state=instance(scenes.state, State, words=(None,)),
    ),
    *made(
        "collate_bodies",
        lambda mesh: collate_bodies([(Body(scenes.mesh()), 1.0), (Body(mesh), 2.0)])[0].state,
        mesh=instance(scenes.mesh, Mesh),
    ),
    *made(
        "Bodies.parameters",
        # Ranges are looked at by the rollout that is given what it returns.
        lambda value: _bodies().parameters(_step_of_bodies(), {"youngs_modulus": value}),
        value=tensor(lambda: torch.tensor([1e5, 2e5]), shaped((2,), (2, 1), (2, CELLS)), finite=False).called(
            "youngs_modulus"
        ),
    ),
]

ROLLOUTS = [
    *made(
        "RolloutModule",
        RolloutModule,
        assigned="num_steps checkpoint memory_budget validate truncate",
        step=instance(scenes.step, Step),
        num_steps=count(3),
        checkpoint=choice(
            "auto", "sqrt", "none", other=Numbers(shaped(()), 1, 1e15, True, True, form="count")
        ),
        compile=choice("auto", True, False, other=Text()),
        memory_budget=number(2.0**30, 0.0, closed=True),
        validate=truth(True),
        truncate=choice(2, None, other=Numbers(shaped((), (1,)), 1, 1e15, True, True, form="count")),
    ),
    *made(
        "RolloutModule.forward",
        lambda **given: scenes.rollout()(**given),
        state=instance(scenes.state, State),
        parameters=Argument(Parameters(), lambda: {"youngs_modulus": torch.tensor(2e5)}),
        controls=Argument(Parameters(3), lambda: {"gravity": torch.ones(3, 3)}, ("control", "gravity")),
    ),
    *made(
        "RolloutModule.forward State",
        _with_state(scenes.rollout),
        positions=_positions,
        velocities=_velocities,
    ),
    *_one("youngs_modulus", lambda: torch.full((CELLS,), 1e5)),
    *_one("prescribed_velocities", lambda: torch.zeros(VERTICES, 3)),
    *_one("gravity", lambda: torch.ones(3, 3), 3),
    *made(
        "RolloutModule.forward by BackwardEuler",
        _with_state(_implicit_rollout(BackwardEuler)),
        positions=_positions,
        velocities=_velocities,
    ),
    *made(
        "RolloutModule.forward by Equilibrium",
        _with_state(_implicit_rollout(Equilibrium, dissipation=None)),
        positions=_positions,
    ),
    *made(
        "RolloutModule.trajectory",
        lambda **given: scenes.rollout().trajectory(**given),
        state=instance(scenes.state, State),
        every=count(1, 1, 3),
    ),
    *made(
        "RolloutModule.train_only",
        lambda names: scenes.rollout().train_only(names),
        names=Argument(Names(_NAMES[:-2], empty=True), lambda: "youngs_modulus", ("quantity", "quantities")),
    ),
    *made(
        "check_gradients",
        lambda rollout, **given: simlayer.check_gradients(rollout, **given).passed,
        rollout=instance(scenes.rollout, RolloutModule),
        state=instance(scenes.state, State),
        loss=Argument(Callables(), lambda: _loss),
        names=Argument(Names(_NAMES), lambda: ["gravity"], ("quantity", "quantities")),
        tolerance=positive(2e-2, words=(None,)),
        steps=Argument(
            Numbers(lambda s: len(s) == 1 and s[0] > 0, 0.0, form="numbers"), lambda: (1e-2, 1e-3)
        ),
        seed=count(0, 0),
    ),
    *made(
        "adjoint_norms",
        lambda **given: simlayer.adjoint_norms(**given).positions,
        rollout=instance(scenes.rollout, RolloutModule),
        state=instance(scenes.state, State),
        loss=Argument(Callables(), lambda: _loss),
    ),
    *made(
        "interpolated_controls",
        simlayer.interpolated_controls,
        knots=tensor(lambda: torch.arange(6.0).view(3, 2), lambda s: len(s) > 0 and min(s) > 0, form="same"),
        num_steps=count(5),
        kind=choice("linear", "zero_order", "cubic"),
    ),
    *made(
        "motion_controls",
        simlayer.motion_controls,
        path=tensor(lambda: torch.stack([scenes.positions()] * 3), _motion, finite=False, form="same"),
        dt=positive(DT),
    ),
    *made(
        "obstacle_controls",
        simlayer.obstacle_controls,
        path=tensor(lambda: torch.arange(9.0).view(3, 3), _path, finite=False, form="same"),
        dt=positive(DT),
        explicit=truth(True),
        rotations=tensor(lambda: 0.1 * torch.arange(9.0).view(3, 3), _path, finite=False, words=(None,)),
        contact=text("contact"),
    ),
]


def _loss(state: State) -> torch.Tensor:
    return state.positions.square().sum()


CALLS: list[Call] = [*STEPS, *BODIES, *ROLLOUTS]
