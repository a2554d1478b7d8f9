"""References to a force of a step by its name."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

from torch import nn

from simlayer.errors import hint
from simlayer.forces.base import Force
from simlayer.quantities.objects import checked_text

F = TypeVar("F", bound=Force)


class ForceReference(Generic[F]):
    """A reference to the force of a step that has this name now.

    It keeps all forces of the step, because the one may be replaced, and it is no module, so that parameters
    keep a single name. In a copy of a step it refers to the forces of the copy.

    Args:
        name: the name of the force.
        kind: the class that the force must be of.
        by: the name of the class that refers to it, for messages.
        needs: what that class needs, for messages.
    """

    def __init__(self, name: str, kind: type[F], *, by: str, needs: str) -> None:
        self.name = checked_text(f"the name of a force that {by} refers to", name)
        self.kind, self.by, self.needs = kind, by, needs
        # The forces of every step that this is a part of.
        self._owners: list[nn.ModuleDict] = []
        self._copied = False

    def connect(self, forces: nn.ModuleDict) -> None:
        """Refer to the forces of a step from now on.

        Raises:
            ValueError: if none has the name, or it is of another class, or it is not the force to which
                another step has connected this.
        """
        if self.name not in forces:
            near = hint(self.name, forces)
            raise ValueError(f"{self.by} refers to a force {self.name!r} that the step does not have; {near}")
        owners = [] if self._copied else [owner for owner in self._owners if self.name in owner]
        self._copied = False
        self._owners = [owner for owner in owners if owner is not forces] + [forces]
        self.get()

    def get(self) -> F:
        """Return the force.

        Raises:
            RuntimeError: outside a step.
            ValueError: if it is of another class, or two steps that share this have different ones.
        """
        found = [owner[self.name] for owner in self._owners if self.name in owner]
        if not found:
            raise RuntimeError(
                f"{self.by} can use the force {self.name!r} only as part of a step that has both."
            )
        force = found[-1]
        if any(other is not force for other in found):
            raise ValueError(
                f"{self.by} belongs to steps with different forces {self.name!r}; give each step its own."
            )
        if not isinstance(force, self.kind):
            raise ValueError(f"{self.by} needs {self.needs}, but {self.name!r} is {type(force).__name__}.")
        return force

    def __getstate__(self) -> dict[str, Any]:
        # What is copied without its step may become a part of another one.
        return self.__dict__ | {"_copied": True}
