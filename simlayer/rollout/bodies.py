"""Bodies that differ, in one batch: meshes of any sizes side by side, each with values of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, NamedTuple

import torch
from torch import Tensor

from simlayer.mesh.disjoint_union import disjoint_union
from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arrays import described
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.body_values import joined, laid_out, rows_of_bodies
from simlayer.rollout.layout import on_state
from simlayer.state import State
from simlayer.steps.base import Step

Values = Mapping[str, Tensor | Sequence[Tensor | float]]


class Body(NamedTuple):
    """A body of a batch.

    Attributes:
        mesh: its rest shape.
        state: its initial state, `(*batch, N, 3)`; at rest by default.
        values: its quantities by name, in SI units, in place of those of the step.
    """

    mesh: Mesh
    state: State | None = None
    values: Mapping[str, Tensor | float] = {}


class Bodies:
    """Bodies that differ, simulated as one of disjoint meshes: one rollout, equal to one for each.

        bodies = Bodies([Body(mesh) for mesh in meshes])
        rollout = RolloutModule(make_step(bodies.mesh), num_steps)
        end = rollout(bodies.state, bodies.parameters(rollout.step, {"youngs_modulus": E}))     # (S, 1)
        ends = bodies.split(end)                                                                # S states

    Vertices and cells come body after body. dt, and what belongs to no cell or vertex, such as obstacles and
    coefficients of damping, are the same for all. Bodies touch obstacles, and never each other.

    Args:
        bodies: S of them, of the same element, with values of the same names.

    Attributes:
        mesh: the `disjoint_union` of their meshes: vertex sets that all have are joined by name.
        state: their initial states, `(*batch, N, 3)`.

    Raises:
        TypeError: if one is no `Body`.
        ValueError: if there is none, they differ in element or names, or a state does not fit its mesh.
    """

    def __init__(self, bodies: Sequence[Body]) -> None:
        if not isinstance(bodies, (list, tuple)) or isinstance(bodies, Body):
            raise TypeError(f"bodies must be a list of them, got {described(bodies)}.")
        if not bodies:
            raise ValueError("bodies must hold at least one Body, got none.")
        _check_parts(bodies)
        self.mesh = disjoint_union([body.mesh for body in bodies])
        self.vertex_counts = [len(body.mesh.vertices) for body in bodies]
        self.cell_counts = [len(body.mesh.cells) for body in bodies]
        self.values = {name: [body.values[name] for body in bodies] for name in bodies[0].values}
        self.state = self.join(
            [State.at_rest(body.mesh.vertices) if body.state is None else body.state for body in bodies]
        )

    def __len__(self) -> int:
        return len(self.vertex_counts)

    def __repr__(self) -> str:
        return f"Bodies({len(self)}: {self.vertex_counts} vertices, {self.cell_counts} cells)"

    def join(self, states: Sequence[State]) -> State:
        """Return one state of all bodies from a state of each; batches are broadcast.

        Raises:
            ValueError: if there is not one for each body, or one does not fit its mesh.
        """
        if len(states) != len(self):
            raise ValueError(f"states must hold one state for each of {len(self)} bodies, got {len(states)}.")
        columns = [(*state[:2], *state.history) for state in states]
        names = _parts_of_state(len(columns[0]))
        for index, (own, count) in enumerate(zip(columns, self.vertex_counts, strict=True)):
            for name, tensor in zip(names, own, strict=False):
                if len(own) != len(columns[0]) or tensor.shape[-2:] != (count, 3):
                    raise ValueError(
                        f"the state of body {index} must hold {len(columns[0])} tensors of shape (*batch, "
                        f"{count}, 3), like its mesh and the state of body 0, got {len(own)}, and {name} "
                        f"of shape {tuple(tensor.shape)}."
                    )
        tensors = [
            joined(name, parts, self.vertex_counts, -2)
            for name, parts in zip(names, zip(*columns, strict=True), strict=True)
        ]
        return State(tensors[0], tensors[1], tuple(tensors[2:]))

    def split(self, state: State) -> list[State]:
        """Return the state of each body, from a state or a trajectory of all, `(*batch, N, 3)`."""
        count = sum(self.vertex_counts)
        if state.positions.ndim < 2 or state.positions.shape[-2] != count:
            raise ValueError(
                f"state must be one of all bodies, (*batch, {count}, 3), got shape "
                f"{tuple(state.positions.shape)}."
            )
        starts = [0, *accumulate(self.vertex_counts)]
        return [
            on_state(lambda x, a=start, n=count: x.narrow(-2, a, n), state)  # type: ignore[misc]
            for start, count in zip(starts, self.vertex_counts, strict=False)
        ]

    def parameters(self, step: Step, values: Values | None = None) -> dict[str, Tensor]:
        """Return what a rollout takes as `parameters`: values of each body, laid over its cells or vertices.

        Differentiable in the values.

        Args:
            step: made for `mesh`.
            values: quantities by name, in place of the bodies' own. The first axis, or a list, runs over the
                bodies, and what follows is as for the body alone: `(S,)` or `(S, 1)` is one value for each;
                a list may hold values `(M,)` over the cells of each. Gravity is `(S, 3)`. With an axis of
                time after the first, `(S, T, 1)`, the result is for `controls`.

        Raises:
            KeyError: if a name is unknown, or the end of several names.
            ValueError: if there is not one value for each body, one does not fit its mesh, or a quantity
                belongs to no cell or vertex, and cannot differ between bodies.
        """
        checked_instance("step", step, Step)
        if step.num_vertices != sum(self.vertex_counts):
            raise ValueError(
                f"step was made for a mesh of {step.num_vertices} vertices, not for these bodies of "
                f"{sum(self.vertex_counts)}: make it from their `mesh`."
            )
        named, found = NamedTensors(step), dict[str, Tensor]()
        # A later value of the same quantity, by whichever name, takes the place of an earlier one.
        given = {
            named.find(name).name: (name, value) for name, value in {**self.values, **(values or {})}.items()
        }
        for full, (name, value) in given.items():
            match, entry = named.find(name), named.quantities.get(full)
            rows = rows_of_bodies(name, value, len(self), step.free)
            key = match.parameter if match.is_stored else full
            found[key] = laid_out(name, rows, entry, self.cell_counts, self.vertex_counts)
        if "gravity" in found:
            # One value for the whole mesh gives way to one for each vertex.
            field = found["gravity"]
            found["vertex_gravity"] = field + found.get("vertex_gravity", step.vertex_gravity)
            found["gravity"] = torch.zeros_like(field[..., 0, :])
        return found


def collate_bodies(samples: Sequence[tuple[Any, ...]]) -> tuple[Any, ...]:
    """Return a batch of samples, the `collate_fn` of a `torch.utils.data.DataLoader`.

    Args:
        samples: each a tuple, whose first entry is a `Body`.

    Returns:
        The `Bodies`, and every further entry as a list over the samples: targets may differ in size, and
        `torch.stack` joins what does not. Where a sample is a `Body` alone, `collate_fn=Bodies` is enough.

    Raises:
        TypeError, ValueError: if the samples are not so, or as for `Bodies`.
    """
    if not samples or not all(isinstance(s, tuple) and s and isinstance(s[0], Body) for s in samples):
        raise TypeError(f"samples must be tuples (Body, ...), got {described(samples)}.")
    if len(lengths := {len(sample) for sample in samples}) > 1:
        raise ValueError(f"samples must be tuples of one length, got lengths {sorted(lengths)}.")
    bodies, *others = map(list, zip(*samples, strict=True))
    return (Bodies(bodies), *others)


def _check_parts(bodies: Sequence[Body]) -> None:
    """Raise TypeError or ValueError unless these are bodies with values of the same names."""
    for index, body in enumerate(bodies):
        checked_instance(f"bodies[{index}]", body, Body)
        checked_instance(f"bodies[{index}].mesh", body.mesh, Mesh)
        if body.state is not None:
            checked_instance(f"bodies[{index}].state", body.state, State)
        names = checked_instance(f"bodies[{index}].values", body.values, Mapping).keys()
        if odd := sorted(map(str, names ^ bodies[0].values.keys())):
            has, lacks = (index, 0) if odd[0] in names else (0, index)
            raise ValueError(
                f"bodies must have values of the same names, but body {has} has {odd[0]!r}, and body {lacks} "
                "has not. Give it to all, or to none and the step."
            )


def _parts_of_state(count: int) -> list[str]:
    return ["positions", "velocities", *(f"history[{index}]" for index in range(count - 2))]
