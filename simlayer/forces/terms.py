"""The interface of one term of an incremental potential."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor


class Term(ABC):
    """A term of the incremental potential of one implicit step.

    A function of the positions at the end of the step [J], or of the velocities there [W]; "vectors" below.

    Attributes:
        of_velocities: whether it is a function of the velocities.
        at_end: whether it acts as it is at the end for the whole step, in a scheme that averages other forces
            over both ends. Contact would gain energy by such an average, and friction would ring.
        sets_scale: whether its gradient is one of the forces against which the residual is measured.
    """

    of_velocities: ClassVar[bool] = False
    at_end: ClassVar[bool] = False
    sets_scale: ClassVar[bool] = False

    @property
    def connectivity(self) -> Int[Tensor, "M C"] | None:
        """The C vertices that each of M parts of the term depends on, None where that is not known.

        With it a term supplies `hessian_blocks`, from which implicit steps assemble the Hessian; without, it
        supplies `hessian_product`. No rows where the Hessian is zero.
        """
        return None

    @abstractmethod
    def energy(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch"]:
        """Return the term for each sample."""

    @abstractmethod
    def gradient(self, vectors: Float[Tensor, "*batch N 3"]) -> Float[Tensor, "*batch N 3"]:
        """Return the derivative of the term by the vectors, minus the force [N]."""

    def energy_and_gradient(
        self, vectors: Float[Tensor, "*batch N 3"]
    ) -> tuple[Float[Tensor, "*batch"], Float[Tensor, "*batch N 3"]]:
        """Return the term and its derivative, of which much may be computed once for both."""
        return self.energy(vectors), self.gradient(vectors)

    def hessian_blocks(
        self, vectors: Float[Tensor, "*batch N 3"], *, projected: bool = False
    ) -> Float[Tensor, "*#batch M D D"]:
        """Return the Hessian of each part [N/m or N s/m], D = 3 C, by vertex, then component.

        Args:
            vectors: where.
            projected: onto the semi-definite matrices, for a direction in which the term falls.
        """
        raise NotImplementedError(f"{type(self).__name__} has no connectivity.")

    def hessian_product(
        self, vectors: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch N 3"]:
        """Return the derivative of the gradient along a direction [N]."""
        raise NotImplementedError(f"{type(self).__name__} has no products with its Hessian.")

    def feasible_fraction(
        self, vectors: Float[Tensor, "*batch N 3"], direction: Float[Tensor, "*batch N 3"]
    ) -> Float[Tensor, "*batch"]:
        """Return the fraction of a move, at most 1, that stays where the term is finite."""
        return vectors.new_ones(vectors.shape[:-2])
