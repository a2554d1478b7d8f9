"""Controls of a task, by the parts of a body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from simlayer.app.config_tree import flatten
from simlayer.app.selection import parts_of_cells
from simlayer.learning.control_groups import ControlGroups
from simlayer.mesh.mesh import Mesh
from simlayer.steps.base import Step


def control_groups(
    step: Step, mesh: Mesh, controls: Sequence[str], parts: Mapping[str, Any]
) -> ControlGroups:
    """Return the controls of these names, some with a number for each of several parts of the body.

    Args:
        step: whose quantities are set.
        mesh: the body.
        controls: names of quantities.
        parts: into how many parts along x, y and z the body is divided, by the names of some of them.
    """
    divided = {name: parts_of_cells(mesh, counts) for name, counts in flatten(parts).items()}
    return ControlGroups(step, controls, divided)
