"""Rollouts with a policy: its memory in the state, its answers among the inputs, and when it is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor, nn

from simlayer.rollout.feedback import Feedback, Memory
from simlayer.rollout.forward_mode import Tangents, value_and_tangents
from simlayer.rollout.inputs import RolloutInputs
from simlayer.rollout.layout import on_state, unpack
from simlayer.rollout.policy import RecurrentPolicy
from simlayer.rollout.step_function import recomputed
from simlayer.rollout.unroll import Carry, Decide, Values
from simlayer.state import State
from simlayer.steps.base import Step
from simlayer.steps.internal_variables import history_dependent
from simlayer.steps.rest_shape_checks import check_constant


def split_memory(step: Step, policy: nn.Module | None, state: State) -> tuple[State, Memory | None]:
    """Return the state that a step starts from, and the memory of its policy, which ends its history.

    There is none, None, in a state that no rollout with this policy has ended in.
    """
    if not isinstance(policy, RecurrentPolicy) or not isinstance(state, State) or step.history_size is None:
        return state, None
    size = step.history_size + len(history_dependent(step))
    own, memory = state.history[:size], state.history[size:]
    return state._replace(history=own), memory or None


def join_memory(state: State, memory: Memory) -> State:
    """Return the state with the memory of a policy at the end of its history."""
    return state._replace(history=(*state.history, *memory))


def with_policy(
    inputs: RolloutInputs,
    policy: nn.Module | None,
    policy_inputs: Sequence[Tensor],
    memory: tuple[Tensor, ...] | None,
) -> RolloutInputs:
    """Return inputs of which a policy sets some values while the rollout runs.

    Args:
        inputs: the others.
        policy: what sets them.
        policy_inputs: what it is called with besides the state.
        memory: the policy's memory at the start, None for its initial one.

    Raises:
        KeyError, TypeError, ValueError: if there is no policy, or what it returns does not fit.
    """
    if policy is None:
        raise TypeError(
            "policy_inputs are for the policy of a rollout, RolloutModule(policy=...); it has none."
        )
    state = on_state(unpack, State(*inputs.state[:2]))
    feedback = Feedback(
        policy, policy_inputs, named=inputs.named, values=inputs.values_at(0), state=state, memory=memory
    )
    check_constant(feedback.answers)
    if twice := sorted(feedback.first.keys() & inputs.timed.keys()):
        raise ValueError(f"{twice[0]!r} is given in controls and set by the policy; let one of them set it.")
    changes = [{**change, **feedback.first} for change in inputs.changes[:1]] + inputs.changes[1:]
    values = {**inputs.values, **feedback.first}
    return replace(inputs, values=values, changes=changes, feedback=feedback)


def decide_function(inputs: RolloutInputs, *, recompute: bool = False) -> Decide | None:
    """Return a function that asks the policy of a rollout, None where there is none.

    Args:
        inputs: what the rollout reads.
        recompute: whether backward keeps only what the policy is called with, and calls it again.
    """
    feedback = inputs.feedback
    if feedback is None:
        return None
    names = tuple(feedback.first)

    def decide(index: int, carry: Carry, values: Values) -> tuple[Carry, Values]:
        if index % feedback.interval:
            return carry, feedback.renewed(values)
        feedback.check_unmodified()
        arguments = feedback.arguments(carry.state, carry.memory, values)
        # Another call would draw other random numbers.
        again = recompute and not feedback.random
        kept = 2 + len(carry.memory)
        found = recomputed(feedback.answer, arguments, kept) if again else feedback.answer(*arguments)
        values = {**values, **dict(zip(names, found, strict=False))}
        feedback.note(values)
        return carry._replace(memory=tuple(found[len(names) :])), values

    return decide


def decide_with_tangents(inputs: RolloutInputs, tangents: Tangents) -> Decide | None:
    """Return a function that asks the policy of a rollout, with the derivatives along all directions.

    Args:
        inputs: what the rollout reads, plain tensors.
        tangents: the derivatives of these; gets those of what the policy sets.
    """
    feedback = inputs.feedback
    if feedback is None:
        return None
    names = tuple(feedback.first)
    number = len(names)

    def renewed(values: Values) -> Values:
        derived = [name for name in names if name not in feedback.answers]
        if not derived:
            return values
        read = feedback.sources

        def function(*tensors: Tensor) -> list[Tensor]:
            after = feedback.renewed(dict(zip(read, tensors, strict=True)))
            return [after[name] for name in derived]

        arguments = [values[name] for name in read]
        active = [tangents.has(tensor) for tensor in arguments]
        moving = [tangents.of(tensor) for tensor in arguments if tangents.has(tensor)]
        found, along = value_and_tangents(function, active, len(derived), arguments, moving)
        tangents.set_present(dict(zip(derived, zip(found, along, strict=True), strict=True)))
        return {**values, **dict(zip(derived, found, strict=True))}

    def decide(index: int, carry: Carry, values: Values) -> tuple[Carry, Values]:
        if index % feedback.interval:
            return carry, renewed(values)
        width, count = 2 + len(carry.state.history), len(carry.memory)
        arguments = feedback.arguments(carry.state, carry.memory, values)
        others = arguments[2 + count :]
        active = [True] * (2 + count) + [tangents.has(tensor) for tensor in others]
        moving = [*carry.tangents[:2], *carry.tangents[width:]]
        moving += [tangents.of(tensor) for tensor in others if tangents.has(tensor)]
        found, along = value_and_tangents(feedback.answer, active, number + count, arguments, moving)
        values = {**values, **dict(zip(names, found, strict=False))}
        tangents.set_present(dict(zip(names, zip(found, along, strict=True), strict=False)))
        feedback.note(values)
        ends = (*carry.tangents[:width], *along[number:])
        return carry._replace(memory=tuple(found[number:]), tangents=ends), values

    return decide
