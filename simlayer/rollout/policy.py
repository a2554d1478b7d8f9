"""The interfaces of policies, which set controls by what they see of the state while a rollout runs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from simlayer.quantities.arguments import checked_integer
from simlayer.quantities.checked_module import Option
from simlayer.state import State


class Policy(nn.Module, ABC):
    """Sets quantities of the step by what it sees of the state, at every step of a rollout or every few.

        class Reach(Policy):
            def __init__(self):
                super().__init__()
                self.network = nn.Sequential(nn.Linear(6, 64), nn.Tanh(), nn.Linear(64, 1))

            def forward(self, state, goal):
                seen = torch.cat([state.positions[..., TIP, :], goal], -1)
                return {"forces.muscle.logit_activation": self.network(seen)}

        rollout = RolloutModule(step, 200, policy=Reach())
        end = rollout(state, policy_inputs=(goal,))

    Any module that is called in this way is a policy; this class adds the interval.

    Args:
        interval: after how many steps it is asked again; what it has set stays until then.
    """

    interval = Option(checked_integer, least=1)

    def __init__(self, *, interval: int = 1) -> None:
        super().__init__()
        # Assigning a module would make it a child.
        self.interval = checked_integer("interval", interval, least=1)

    @abstractmethod
    def forward(self, state: State, *inputs: Tensor) -> Mapping[str, Tensor]:
        """Return the values of quantities by name, until the policy is asked again.

        Args:
            state: the state before the step, `(*batch, N, 3)`, with the batch of the rollout.
            inputs: `policy_inputs` of the rollout.

        Returns:
            values by the names that `parameters` of a rollout may have, of the shapes that they have there:
            physical values in SI units, or stored ones by their stored names, which are never out of range.
            The same names at every call.
        """


class RecurrentPolicy(Policy):
    """A policy with a memory, which is handed from one call to the next.

    The memory at the end of a rollout is the end of the state's history, so that another rollout goes on
    with it.
    """

    @abstractmethod
    def initial_memory(self, state: State, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the memory before the first call, tensors of any shapes."""

    @abstractmethod
    def forward(  # type: ignore[override]
        self, state: State, memory: tuple[Tensor, ...], *inputs: Tensor
    ) -> tuple[Mapping[str, Tensor], tuple[Tensor, ...]]:
        """Return the values of quantities by name, see `Policy.forward`, and the memory for the next call."""


def interval_of(policy: nn.Module) -> int:
    """Return after how many steps a policy is asked again."""
    return int(getattr(policy, "interval", 1))


def ask(
    policy: nn.Module, state: State, memory: tuple[Tensor, ...], inputs: tuple[Tensor, ...]
) -> tuple[Any, Any]:
    """Return what a policy of either kind answers, and its memory."""
    if isinstance(policy, RecurrentPolicy):
        answer = policy(state, memory, *inputs)
        return answer if isinstance(answer, tuple) and len(answer) == 2 else (answer, None)
    return policy(state, *inputs), ()
