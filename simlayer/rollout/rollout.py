"""The rollout: many steps as one differentiable module."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from simlayer.autodiff.torch_private import transforms_active, untraced
from simlayer.errors import DivergenceError, SimulationError
from simlayer.quantities.arguments import checked_flag, checked_integer, checked_number
from simlayer.quantities.checked_module import CheckedModule, Option
from simlayer.quantities.named import NamedTensors
from simlayer.quantities.objects import checked_instance, names_of_quantities
from simlayer.quantities.physical_module import describe
from simlayer.quantities.stored_values import check_not_at_end
from simlayer.rollout.checks import check_end, check_time_step, unlikely_state
from simlayer.rollout.closed_loop import (
    decide_function,
    decide_with_tangents,
    join_memory,
    split_memory,
    with_policy,
)
from simlayer.rollout.compilation import compiler_missing
from simlayer.rollout.contact_record import empty_record
from simlayer.rollout.forward_mode import (
    Tangents,
    advance_with_tangents,
    in_forward_mode,
    run_in_forward_mode,
)
from simlayer.rollout.inputs import Named, RolloutInputs, read_inputs, started
from simlayer.rollout.layout import on_state, unpack, unpack_result
from simlayer.rollout.memory import kept_for_backward
from simlayer.rollout.options import checked_checkpoint, checked_compiler, checked_truncation
from simlayer.rollout.policy import check_windows, interval_of
from simlayer.rollout.transforms import check_transforms
from simlayer.rollout.unroll import Advance, Carry, advance_function, bytes_kept, unroll
from simlayer.rollout.value_checks import check_values
from simlayer.state import State
from simlayer.steps.base import Step

# Compiling costs some 20 s once for every new shape, and saves about 0.3 µs per cell and step in every call.
COMPILE_FROM = 5_000_000


class RolloutModule(CheckedModule):
    """Unrolls a step; differentiable in the state, in every quantity of the step, and in controls.

    Args:
        step: the step to repeat.
        num_steps: how often.
        policy: sets quantities of the step by what it sees of the state, see `Policy`.
        checkpoint: what backward keeps. "none": every step; "sqrt": the state before each of about
            sqrt(num_steps) segments, whose steps are run again in backward; an int: segments of that many
            steps; "auto": "sqrt" when "none" would keep more than the memory budget.
        compile: True: compiled, from the first call; "auto": compiled from steps x substeps x cells x samples
            = 5 million on; False: eager, which is the reference and can be differentiated twice; or the name
            of a torch compiler backend. A first call with new shapes takes seconds.
        memory_budget: for checkpoint="auto", and for the factors of implicit steps, which backward keeps if
            one for each step fits [bytes].
        validate: before a call, compare dt with the stable one; after it, check that the state is finite, and
            that every contact was resolved.
        truncate: no derivatives pass from one window of so many steps back into the one before: its start is
            a constant. Quantities still have what every window adds to their gradient. Values are the same.
            For rollouts through which gradients explode (truncated backpropagation through time, Williams and
            Peng 1990); None for the whole gradient. A multiple of the interval of the policy.
    """

    num_steps = Option(checked_integer, least=1)
    checkpoint = Option(checked_checkpoint)
    compiler = Option(checked_compiler)
    memory_budget = Option(checked_number, least=0, unit="bytes")
    validate = Option(checked_flag)
    truncate = Option(checked_truncation)

    def __init__(
        self,
        step: Step,
        num_steps: int,
        *,
        policy: nn.Module | None = None,
        checkpoint: Literal["auto", "sqrt", "none"] | int = "auto",
        compile: Literal["auto"] | bool | str = "auto",
        memory_budget: int = 2**30,
        validate: bool = True,
        truncate: int | None = None,
    ) -> None:
        super().__init__()
        checked_instance("step", step, Step, example="SymplecticEuler(...)")
        if policy is not None:
            checked_instance("policy", policy, nn.Module, example="Policy()")
        self.step, self.num_steps, self.policy = step, num_steps, policy
        self.checkpoint, self.memory_budget = checkpoint, memory_budget
        self.compiler = compile  # nn.Module has a method `compile`
        self.validate, self.truncate = validate, truncate

    def forward(
        self,
        state: State,
        parameters: Named | None = None,
        controls: Named | None = None,
        *,
        policy_inputs: Sequence[Tensor] = (),
    ) -> State:
        """Return the state after the last step.

        Args:
            state: the initial state, `(*batch, N, 3)` each.
            parameters: quantities for this call, in place of the step's own, by the names that
                `print(rollout)` lists: physical values in SI units, or stored ones by their stored names. The
                end of a name is enough where it is the only one. The last axis of each is the quantity's own
                (1 if uniform), all axes before it are batch.
            controls: quantities with a leading axis of time `(num_steps, ...)`: one value per step.
            policy_inputs: what the policy is called with besides the state, such as a goal per sample.

        Raises:
            KeyError: if a name is unknown, or the end of several names.
            TypeError, ValueError: if a dtype, device, shape or value does not fit, of the policy's too.
            UnstableStepError: if dt is beyond the stable time step.
            DivergenceError: if the last state is not finite.
            PenetrationError: if a vertex gets into an obstacle, or came nearer by more than 0.3 of the
                activation distance in one step. Above 0.1 gradients are of little use: a ContactWarning.
        """
        return self._run(state, parameters, controls, policy_inputs, every=None)[0]

    def trajectory(
        self,
        state: State,
        parameters: Named | None = None,
        controls: Named | None = None,
        *,
        policy_inputs: Sequence[Tensor] = (),
        every: int = 1,
    ) -> State:
        """Return the states at t = 0 and after every `every`-th step, stacked: `(T, *batch, N, 3)` each.

        Arguments and errors as for `forward`.
        """
        every = checked_integer("every", every, least=1, most=self.num_steps)
        _, frames = self._run(state, parameters, controls, policy_inputs, every=every)
        history = zip(*(frame.history for frame in frames), strict=True)
        return State(
            torch.stack([frame.positions for frame in frames]),
            torch.stack([frame.velocities for frame in frames]),
            tuple(torch.stack(past) for past in history),
        )

    def train_only(self, *names: str | Iterable[str]) -> list[nn.Parameter]:
        """Make the named quantities trainable and everything else not, and return their parameters.

            optimizer = torch.optim.Adam(rollout.train_only("youngs_modulus", "gravity"))

        Args:
            names: names of quantities as for `forward`, or lists of them. Their stored values are trained,
                so that physical values stay in their ranges. Without any, nothing is trainable.

        Raises:
            KeyError: if a name is unknown, or the end of several names.
            ValueError: if a quantity is named twice, or has a value at an end of its range.
        """
        own = dict(self.step.named_parameters())
        listed = [name for each in names for name in names_of_quantities("names", each)]
        named = NamedTensors(self.step)
        places = [named.find(name).parameter for name in listed]
        if twice := [name for name, place in zip(listed, places, strict=True) if places.count(place) > 1]:
            raise ValueError(
                f"the same quantity is named twice: {', '.join(map(repr, twice))}; name it once."
            )
        chosen = [own[place] for place in places]
        for name, parameter in zip(listed, chosen, strict=True):
            check_not_at_end(name, parameter)
        self.step.requires_grad_(False)
        for parameter in chosen:
            parameter.requires_grad_(True)
        return chosen

    def __repr__(self) -> str:
        """Return the quantities by the names that `forward` takes, instead of the tree of modules."""
        lines = [
            f"{type(self.step).__name__}, num_steps = {self.num_steps}, dt = {self.step.dt:g} s, "
            f"checkpoint = {self.checkpoint!r}, compile = {self.compiler!r}, substeps = {self.step.substeps}"
        ]
        if self.truncate is not None:
            lines.append(f"gradients through windows of {self.truncate} steps")
        if self.policy is not None:
            lines.append(
                f"policy = {type(self.policy).__name__}, asked every {interval_of(self.policy)} steps"
            )
        for entry in NamedTensors(self.step).quantities.values():
            lines.append(describe(entry.module, entry.quantity, prefix=entry.prefix))
        return "RolloutModule(\n  " + "\n  ".join(lines) + "\n)"

    @untraced
    def _run(
        self,
        state: State,
        parameters: Named | None,
        controls: Named | None,
        policy_inputs: Sequence[Tensor],
        *,
        every: int | None,
    ) -> tuple[State, list[State]]:
        """Return the last state and the frames."""
        if torch.compiler.is_exporting():
            raise RuntimeError(
                "a rollout cannot be exported by torch.export: it reads its values before it starts, and "
                "solves or compiles for them. Export the networks around it; call the rollout between."
            )
        state, memory = split_memory(self.step, self.policy, state)
        # Half precision has an error of order one in a deformation gradient.
        self.step.check_state(state)
        autocast = torch.autocast(state.positions.device.type, enabled=False)
        each = self.memory_budget / (self.num_steps * self.step.substeps)
        with autocast, kept_for_backward(self.step, each):
            inputs = read_inputs(self.step, self.num_steps, state, parameters, controls)
            if self.truncate is not None:
                check_windows(self.truncate, self.policy)
            if self.policy is not None or policy_inputs:
                inputs = with_policy(inputs, self.policy, policy_inputs, memory)
            inputs = started(self.step, inputs)
            run = functools.partial(self._simulate, every=every)
            try:
                carries = in_forward_mode(self.step, inputs)
                states = run_in_forward_mode(run, inputs) if carries else run(inputs)
            except SimulationError as error:
                if inputs.feedback and not isinstance(error, DivergenceError):
                    inputs.feedback.check()
                error.args = (f"{error}{unlikely_state(self.step, inputs)}", *error.args[1:])
                raise
        end, *frames = (join_memory(on_state(unpack_result, each.state), each.memory) for each in states)
        return end, frames

    def _simulate(
        self, inputs: RolloutInputs, tangents: Tangents | None = None, *, every: int | None
    ) -> list[Carry]:
        """Return the end and the frames, with their tangents where those of the inputs are given."""
        check_transforms(
            inputs,
            explicit=self.step.explicit,
            checkpoint=self.checkpoint,
            compiler=self.compiler,
            validate=self.validate,
        )
        if self.validate:
            check_values(inputs)
            check_time_step(self.step, inputs)
        with inputs.applied():
            self.step.prepare(on_state(unpack, inputs.state))
        backend = self._backend(inputs)
        start = Carry(inputs.state, empty_record(self.step, inputs) if self.validate else ())
        if inputs.feedback:
            start = start._replace(memory=inputs.feedback.memory)
        segment = None
        if tangents is not None:
            moving = (*tangents.of_state(inputs.state), *map(tangents.of, start.memory))
            start = start._replace(tangents=moving)
            advance = advance_with_tangents(self.step, inputs, start, tangents, backend)
            decide = decide_with_tangents(inputs, tangents)
        else:
            advance = advance_function(self.step, inputs, start, backend)
            segment = self._segment(inputs, start, advance) if inputs.needs_gradient() else None
            if segment and backend is None:
                advance = advance_function(self.step, inputs, start, None, recompute=True)
            decide = decide_function(inputs, recompute=segment is not None)
        end, frames = unroll(
            self.step,
            inputs,
            start,
            advance,
            self.num_steps,
            decide=decide,
            segment=segment,
            every=every,
            truncate=self.truncate,
        )
        if self.validate:
            check_end(self.step, self.num_steps, inputs, end)
        return [end, *frames]

    def _backend(self, inputs: RolloutInputs) -> str | None:
        """Return the compiler backend to use, None for eager."""
        if not self.step.explicit or transforms_active():
            return None
        if self.compiler == "auto":
            work = (
                self.num_steps
                * self.step.substeps
                * self.step.elements.num_cells
                * inputs.batch_shape.numel()
            )
            wanted = work >= COMPILE_FROM
        else:
            wanted = bool(self.compiler)
        named = isinstance(self.compiler, str) and self.compiler != "auto"
        backend = str(self.compiler) if named else "inductor"
        if not wanted or (backend == "inductor" and compiler_missing()):
            return None
        return backend

    def _segment(self, inputs: RolloutInputs, start: Carry, advance: Advance) -> int | None:
        """Return how many steps backward runs again at a time, None to keep them all."""
        if isinstance(self.checkpoint, int):
            return self.checkpoint
        if self.checkpoint == "auto":
            if not self.step.explicit:
                return None  # keeps little, and is costly to run again
            kept = bytes_kept(inputs, start, advance) * self.num_steps * self.step.substeps
            if kept <= self.memory_budget:
                return None
        return None if self.checkpoint == "none" else math.isqrt(self.num_steps - 1) + 1
