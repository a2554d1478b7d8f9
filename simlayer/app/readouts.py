"""What a run writes of the stresses, energies and reactions of the body that it found."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor

from simlayer import readouts
from simlayer.mesh.mesh import Mesh
from simlayer.plotting import body_picture, series_picture
from simlayer.readouts.points import stress_terms
from simlayer.rollout.rollout import RolloutModule
from simlayer.state import State
from simlayer.steps.base import Step


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


def stress_picture(
    mesh: Mesh, positions: Float[Tensor, "N 3"], values: Float[Tensor, "N"], **beside: Any
) -> Figure:
    """Draw a body coloured by its von Mises stress, and what is `beside` it, see `surroundings`."""
    name = "von Mises stress"
    return body_picture(mesh, positions, field=values, over="vertices", name=name, unit="Pa", **beside)


def energy_picture(times: Float[Tensor, "T"], body: BodyReadouts) -> Figure:
    """Draw energies, and the force that holds the body if one does, over time."""
    # Only changes of an energy mean something.
    changes = {name: values - values[0] for name, values in body.energies.items()}
    changes["sum"] = sum(changes.values(), torch.zeros_like(next(iter(changes.values()))))
    panels = {"energy since the start": ("energy", "J", changes)}
    forces = body.reactions.sum(1)
    if bool(forces.any()):
        components = {axis: forces[:, k] for k, axis in enumerate("xyz")}
        panels["force that holds the body"] = ("force", "N", components)
    return series_picture(times, panels)


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


def write_readouts(
    folder: Path, mesh: Mesh, times: Tensor, frames: State, body: BodyReadouts, **beside: Any
) -> None:
    """Write the pictures and the table of what the frames of a motion tell, see `stress_picture`."""
    write_series(folder / "readouts.csv", times, body.series())
    if len(times) > 2:  # else a state of rest
        energy_picture(times, body).savefig(folder / "energies_and_reactions.png", dpi=150)
    if body.von_mises is not None:
        at = int(body.von_mises.amax(1).argmax())
        figure = stress_picture(mesh, frames.positions[at], body.von_mises[at], **beside)
        figure.savefig(folder / "stress.png", dpi=150)
