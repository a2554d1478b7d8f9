"""The lowest vibration modes of a body at rest, as coordinates of its states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from scipy import sparse
from scipy.sparse.linalg import eigsh
from torch import Tensor

from simlayer.forces.base import Potential
from simlayer.solvers.block_matrix import Assembly
from simlayer.state import State
from simlayer.steps.base import Step

# Up to so many free components all modes are computed at once, densely.
DENSE = 600


@dataclass(frozen=True)
class ModalCoordinates:
    """States of a body by amplitudes of its vibration modes about rest.

    For each mode the amplitude of its displacement, then that of its velocity over the angular frequency,
    both as the root mean square over the mass that may move [m]: of a free vibration they are the two phases
    of one circle. Displacements and velocities that no mode has are lost.

    Attributes:
        rest: positions at rest, with those of fixed vertices.
        shapes: the displacement by each amplitude of one.
        dual: weights that give the amplitudes of a displacement.
        frequencies: angular frequencies [rad/s], from below.
    """

    rest: Float[Tensor, "N 3"]
    shapes: Float[Tensor, "m N 3"]
    dual: Float[Tensor, "m N 3"]
    frequencies: Float[Tensor, "m"]

    def state(self, amplitudes: Float[Tensor, "*batch D"]) -> State:
        """Return the states with these amplitudes, D = 2 m."""
        positions, velocities = amplitudes.split(len(self.shapes), dim=-1)
        moved = torch.tensordot(positions, self.shapes, 1)
        return State(self.rest + moved, torch.tensordot(velocities * self.frequencies, self.shapes, 1))

    def amplitudes(self, state: State) -> Float[Tensor, "*batch D"]:
        """Return the amplitudes of states."""
        moved = torch.einsum("...ni,mni->...m", state.positions - self.rest, self.dual)
        speeds = torch.einsum("...ni,mni->...m", state.velocities, self.dual)
        return torch.cat([moved, speeds / self.frequencies], -1)


@torch.no_grad()
def modal_coordinates(
    step: Step, fixed_at: Float[Tensor, "N 3"], count: int | None, *, slowest: float
) -> ModalCoordinates:
    """Return the coordinates of the lowest vibration modes of a body at rest, K φ = ω² M φ.

    Args:
        step: the body, with its present values; its potentials of elements give the stiffness K, lumped
            masses M.
        fixed_at: where its fixed vertices are.
        count: how many modes; None for all.
        slowest: the least frequency [rad/s] that amplitudes of velocities are divided by, for motions without
            stiffness.

    Raises:
        ValueError: if there are fewer modes, or too many for all, or no potential of elements.
    """
    free = step.free.flatten().bool().cpu().numpy()
    masses = step.vertex_masses.detach().double().expand(len(step.free)).cpu().numpy().repeat(3)[free]
    size = int(free.sum())
    if count is not None and count > size:
        raise ValueError(f"modes must be at most {size}, the free components of the body, got {count}.")
    if count is None and size > DENSE:
        raise ValueError(
            f"modes must be given for a body of {size} free components, such as modes=10, those that are "
            f"excited; all of them are taken of at most {DENSE}."
        )
    weights = 1 / np.sqrt(masses)
    matrix = sparse.diags(weights) @ _stiffness(step)[free][:, free] @ sparse.diags(weights)
    if count is None or size <= DENSE:
        squares, vectors = np.linalg.eigh(matrix.toarray())
        squares, vectors = squares[:count], vectors[:, :count]
    else:
        scale = float(matrix.diagonal().mean())
        squares, vectors = eigsh(matrix, k=count, sigma=-1e-8 * scale)
        vectors = vectors[:, np.argsort(squares)]
        squares = np.sort(squares)
    total = np.sqrt(masses.sum() / 3)
    shapes, dual = np.zeros((2, len(squares), len(free)))
    shapes[:, free] = total * (weights[:, None] * vectors).T
    dual[:, free] = (vectors / weights[:, None]).T / total

    def as_vectors(rows: np.ndarray) -> Tensor:
        return torch.from_numpy(rows).view(len(rows), -1, 3).to(step.free)

    frequencies = torch.from_numpy(np.sqrt(squares.clip(min=slowest**2))).to(step.free)
    rest = torch.where(step.free.bool(), step.rest_positions.detach(), fixed_at)
    return ModalCoordinates(rest, as_vectors(shapes), as_vectors(dual), frequencies)


def _stiffness(step: Step) -> sparse.csr_matrix:
    """Return the stiffness of the elements of a body at rest [N/m]."""
    forces = [force for force in step.forces.values() if isinstance(force, Potential)]
    parts = [(force, cells) for force in forces if (cells := force.connectivity) is not None and len(cells)]
    if not parts:
        raise ValueError(
            f"forces must have one with elements, from which modes follow, got {list(step.forces)}."
        )
    rest = step.rest_positions.detach()
    assembly = Assembly([cells for _, cells in parts], step.free, rest)
    blocks = [force.hessian_blocks(rest[None]) for force, _ in parts]
    return assembly([part.expand(1, *part.shape[-3:]) for part in blocks], 1).to_scipy(0).tocsr()
