"""What a run writes of the stresses, energies and reactions of the body that it found."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from torch import Tensor

from simlayer import readouts
from simlayer.app.plots import COLORS, draw_surface
from simlayer.mesh.mesh import Mesh
from simlayer.readouts.points import stress_terms
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"))


class BodyReadouts(NamedTuple):
    """What the frames of a motion tell.

    Attributes:
        stress: the Cauchy stress at the vertices [Pa]; None where no force of the step has one.
        reactions: the forces that hold each vertex [N].
        energies: by name [J].
    """

    stress: Float[Tensor, "T N 3 3"] | None
    reactions: Float[Tensor, "T N 3"]
    energies: dict[str, Float[Tensor, "T"]]

    @property
    def von_mises(self) -> Float[Tensor, "T N"] | None:
        """The von Mises stress at the vertices [Pa]."""
        return None if self.stress is None else readouts.von_mises(self.stress)

    def vertex_fields(self) -> dict[str, Tensor]:
        """Return what varies over the body, by names with units."""
        found = {"reaction [N]": self.reactions}
        if self.stress is not None and self.von_mises is not None:
            found |= {"von Mises stress [Pa]": self.von_mises, "Cauchy stress [Pa]": self.stress}
        return found

    def series(self) -> dict[str, Tensor]:
        """Return what varies over time only, by names with units."""
        found = {f"{name} energy [J]": values for name, values in self.energies.items()}
        total = self.reactions.sum(1)
        found |= {f"reaction {axis} [N]": total[:, k] for k, axis in enumerate("xyz")}
        if self.von_mises is not None:
            found["largest von Mises stress [Pa]"] = self.von_mises.amax(1)
        return found


def read_body(rollout: RolloutModule, frames: State) -> BodyReadouts:
    """Return what frames `(T, N, 3)` of a motion tell, with the present values of the rollout."""
    names = _with_equal_points(rollout.step, State(frames.positions[0], frames.velocities[0]))
    stress = None
    if names:
        stress = readouts.project_to_vertices(
            rollout, readouts.cauchy_stress(rollout, frames, forces=names), forces=names
        )
    found = readouts.energies(rollout, frames)
    energies = {"kinetic": found.kinetic, "gravitational": found.gravitational, **found.potentials}
    return BodyReadouts(stress, readouts.nodal_reactions(rollout, frames), energies)


def _with_equal_points(step: Step, state: State) -> list[str]:
    """Return the names of the forces whose stresses are at the same points as those of the whole body."""
    found = {name: term.elements for name, term in stress_terms(step, state).items()}
    whole = (elements for elements in [*found.values(), step.elements] if elements.cells is None)
    chosen = next(whole).quadrature
    return [name for name, elements in found.items() if elements.quadrature == chosen]


def write_series(path: Path, times: Float[Tensor, "T"], series: Mapping[str, Tensor]) -> None:
    """Write columns over time as CSV."""
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["time [s]", *series])
        writer.writerows(zip(times.tolist(), *(values.tolist() for values in series.values()), strict=True))


def stress_picture(mesh: Mesh, positions: Float[Tensor, "N 3"], values: Float[Tensor, "N"]) -> Figure:
    """Draw a body coloured by its von Mises stress."""
    factor, unit = _prefix(float(values.max()), "Pa")
    scaled, boundary = values.cpu() / factor, mesh.boundary.cpu()
    scale = Normalize(0, float(scaled.max()) or 1.0)
    figure = Figure(figsize=(6.4, 4), layout="constrained")
    axis = figure.subplots()
    draw_surface(axis, positions.cpu()[boundary].numpy(), COLORS(scale(np.asarray(scaled[boundary].mean(1)))))
    axis.set_title(f"von Mises stress, up to {float(scaled.max()):.3g} {unit}")
    figure.colorbar(ScalarMappable(scale, COLORS), ax=axis, shrink=0.8).set_label(
        f"von Mises stress [{unit}]"
    )
    return figure


def series_picture(times: Float[Tensor, "T"], body: BodyReadouts) -> Figure:
    """Draw energies, and the force that holds the body, over time."""
    figure = Figure(figsize=(9, 3.4), layout="constrained")
    left, right = figure.subplots(1, 2)
    # Only changes of an energy mean something.
    changes = {name: values - values[0] for name, values in body.energies.items()}
    factor, unit = _prefix(max(float(values.abs().max()) for values in changes.values()), "J")
    for name, values in changes.items():
        left.plot(times, values / factor, label=name)
    total = sum(changes.values(), torch.zeros_like(times))
    left.plot(times, total / factor, "k--", lw=1, label="sum")
    left.set(title="energy since the start", xlabel="time [s]", ylabel=f"energy [{unit}]")
    forces = body.reactions.sum(1)
    factor, unit = _prefix(float(forces.abs().max()), "N")
    for k, axis in enumerate("xyz"):
        right.plot(times, forces[:, k] / factor, label=axis)
    right.set(title="force that holds the body", xlabel="time [s]", ylabel=f"force [{unit}]")
    for axes in (left, right):
        axes.legend(frameon=False, fontsize="small")
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def summarize_body(times: Float[Tensor, "T"], body: BodyReadouts) -> dict[str, Any]:
    """Return the largest stress and reaction with their times, for the results of a run."""
    forces = body.reactions.sum(1)
    at = int(forces.norm(dim=-1).argmax())
    found: dict[str, Any] = {
        "largest_reaction": {"value": forces[at].tolist(), "unit": "N", "time": float(times[at])}
    }
    if body.von_mises is not None:
        largest = body.von_mises.amax(1)
        at = int(largest.argmax())
        found["largest_von_mises_stress"] = {
            "value": float(largest[at]),
            "unit": "Pa",
            "time": float(times[at]),
        }
    return found


def write_readouts(folder: Path, mesh: Mesh, times: Tensor, frames: State, body: BodyReadouts) -> None:
    """Write the pictures and the table of what the frames of a motion tell."""
    write_series(folder / "readouts.csv", times, body.series())
    if len(times) > 2:  # else a state of rest
        series_picture(times, body).savefig(folder / "energies_and_reactions.png", dpi=150)
    if body.von_mises is not None:
        at = int(body.von_mises.amax(1).argmax())
        stress_picture(mesh, frames.positions[at], body.von_mises[at]).savefig(folder / "stress.png", dpi=150)


def _prefix(largest: float, unit: str) -> tuple[float, str]:
    """Return the factor and name of the multiple of a unit in which a number is between 1 and 1000."""
    for factor, prefix in _PREFIXES:
        if largest >= factor:
            return factor, prefix + unit
    return 1.0, unit
