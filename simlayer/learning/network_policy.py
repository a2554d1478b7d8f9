"""A policy for most bodies: a multilayer perceptron that sees some vertices and the inputs."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.learning.control_groups import ControlGroups
from simlayer.quantities.arguments import checked_integer, checked_number
from simlayer.quantities.arrays import checked_integers, checked_numbers, described
from simlayer.quantities.objects import checked_instance
from simlayer.rollout.policy import Policy
from simlayer.state import State
from simlayer.steps.base import Step


class NetworkPolicy(Policy):
    """A multilayer perceptron that sets quantities by the motion of some vertices and by the policy inputs.

        policy = NetworkPolicy(step, ["forces.biceps.activation"], vertices=tip, num_inputs=3, length=0.1)
        rollout = RolloutModule(step, num_steps=200, policy=policy)
        end = rollout(state, policy_inputs=(goals,))                                    # (B, 3)

    It sees the displacements of the vertices over `length`, their velocities over `speed`, and the inputs,
    standardized once `standardize` has seen some. It sets stored values, which are never out of range;
    before any training they are close to those that the step has.

    Args:
        step: whose quantities are set; the policy keeps no reference to it.
        controls: the names of the quantities, which must be inside their ranges, or groups of their values.
        vertices: indices of the vertices that it sees, `(K,)`.
        num_inputs: how many numbers the policy inputs have per sample, all together.
        hidden: the widths of the hidden layers.
        length: by which displacements are divided [m].
        speed: by which velocities are divided [m/s].
        interval: after how many steps it is asked again.

    Raises:
        KeyError: if a name is unknown, or the end of several names.
        ValueError: if an index is no vertex, a quantity is at an end of its range, or a number is out of its.
    """

    vertices: Tensor
    rest: Tensor
    mean: Tensor
    spread: Tensor
    begin: Tensor

    def __init__(
        self,
        step: Step,
        controls: ControlGroups | str | Iterable[str],
        *,
        vertices: Any,
        num_inputs: int = 0,
        hidden: Sequence[int] = (64, 64),
        length: float,
        speed: float = 1.0,
        interval: int = 1,
    ) -> None:
        super().__init__(interval=interval)
        checked_instance("step", step, Step, example="SymplecticEuler(...)")
        self.length = checked_number("length", length, above=0.0, unit="m")
        self.speed = checked_number("speed", speed, above=0.0, unit="m/s")
        self.num_inputs = checked_integer("num_inputs", num_inputs, least=0)
        self.controls = controls if isinstance(controls, ControlGroups) else ControlGroups(step, controls)
        self.register_buffer("begin", self.controls.start())
        rest = step.elements.mesh.vertices.to(self.begin)
        self.register_buffer("vertices", _vertices(vertices, len(rest)), persistent=False)
        self.register_buffer("rest", rest[self.vertices], persistent=False)
        self.register_buffer("mean", torch.zeros(self.num_inputs).to(self.begin))
        self.register_buffer("spread", torch.ones(self.num_inputs).to(self.begin))
        widths = [checked_integer(f"hidden[{k}]", width, least=1) for k, width in enumerate(hidden)]
        widths = [6 * len(self.vertices) + self.num_inputs, *widths, len(self.begin)]
        layers = [nn.Linear(*pair, dtype=self.begin.dtype) for pair in itertools.pairwise(widths)]
        self.network = nn.Sequential(layers[0])
        for layer in layers[1:]:
            self.network.extend([nn.Tanh(), layer])
        with torch.no_grad():  # It starts near the values that the step has.
            layers[-1].weight.mul_(0.1)
            layers[-1].bias.zero_()

    def standardize(self, *inputs: Float[Tensor, "S _"]) -> None:
        """Shift and scale inputs from now on such that these samples have mean zero and spread one."""
        given = [checked_numbers("inputs", each).to(self.mean) for each in inputs]
        fit = len({each.shape[:1] for each in given}) == 1 and all(each.ndim > 1 for each in given)
        samples = torch.cat([each.flatten(1) for each in given], 1) if fit else None
        if samples is None or samples.shape[1] != self.num_inputs or len(samples) < 2:
            raise ValueError(
                f"inputs must be at least two samples of {self.num_inputs} numbers (num_inputs), all "
                f"together, got {', '.join(described(each) for each in inputs)}."
            )
        if not bool(samples.isfinite().all()):
            raise ValueError("inputs must be finite, got NaN or infinity.")
        self.mean.copy_(samples.mean(0))
        # An input that is always the same tells nothing, and stays what it is.
        spread = samples.std(0)
        self.spread.copy_(torch.where(spread > 0, spread, 1.0))

    def forward(self, state: State, *inputs: Tensor) -> dict[str, Tensor]:
        """Return the stored values of its quantities, `(*batch, n)` each."""
        batch = state.positions.shape[:-2]
        moved = (state.positions[..., self.vertices, :] - self.rest) / self.length
        velocities = state.velocities[..., self.vertices, :] / self.speed
        given = [each.reshape(*batch, -1) for each in inputs]
        if sum(each.shape[-1] for each in given) != self.num_inputs:
            raise ValueError(
                f"policy_inputs must be {self.num_inputs} numbers per sample (num_inputs), got tensors of "
                f"shapes {[tuple(each.shape) for each in inputs]} for a batch of {tuple(batch)}."
            )
        seen = [moved.flatten(-2), velocities.flatten(-2)]
        if given:
            seen.append((torch.cat(given, -1) - self.mean) / self.spread)
        return self.controls.expand(self.begin + self.network(torch.cat(seen, -1)))


def _vertices(vertices: Any, count: int) -> Tensor:
    """Return the indices of vertices of a body of so many; raises ValueError."""
    indices = checked_integers("vertices", vertices)
    if indices.ndim != 1 or not len(indices) or not bool(((indices >= 0) & (indices < count)).all()):
        raise ValueError(
            f"vertices must be at least one index from 0 to {count - 1}, got {described(vertices)}."
        )
    return indices
