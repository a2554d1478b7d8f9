"""Checks of states and precisions where a step is made and called."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from simlayer.quantities.arrays import PRECISIONS, check_plain, described
from simlayer.quantities.named import NamedTensors
from simlayer.state import State
from simlayer.steps.internal_variables import check_number_of_tensors, split_history


def check_precision(named: NamedTensors, dtype: torch.dtype) -> None:
    """Raise TypeError unless a step has one precision, single or double, in quantities and its own buffers.

    Args:
        named: the tensors of a step.
        dtype: the precision of its mesh.
    """
    _check_supported(dtype)
    tensors = {entry.name: named.parameters[entry.stored_name] for entry in named.quantities.values()}
    package = __name__.partition(".")[0]
    for name, buffer in named.buffers.items():
        owner = type(named.modules[name.rpartition(".")[0]])
        if buffer.is_floating_point() and owner.__module__.partition(".")[0] == package:
            tensors[name] = buffer
    for name, tensor in tensors.items():
        if tensor.dtype != dtype:
            part = ".".join(name.split(".")[:2])
            raise TypeError(
                f"{part} is {tensor.dtype} but the mesh of the step is {dtype}: it was made under another "
                f"default dtype, or converted in place with another rollout; convert it by .to({dtype})."
            )


def _check_supported(dtype: torch.dtype) -> None:
    if dtype not in PRECISIONS:
        raise TypeError(
            f"a step computes in torch.float32 or torch.float64, not in {dtype}: build it under one of these "
            "as torch's default, or convert it back by .float() or .double()."
        )


def check_tensor(name: str, tensor: Any, like: Tensor) -> None:
    """Raise TypeError or ValueError unless this is a plain tensor of the dtype and device of a step's own."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"{name} must be a tensor, got {described(tensor)}.")
    if tensor.dtype != like.dtype:
        raise TypeError(
            f"{name} is {tensor.dtype} but the rollout's buffers are {like.dtype}; "
            f"convert one: rollout.to({tensor.dtype}) or {name}.to({like.dtype})."
        )
    if tensor.device != like.device:
        raise TypeError(
            f"{name} is on {tensor.device} but the rollout is on {like.device}; "
            f"move one: rollout.to({str(tensor.device)!r}) or {name}.to({str(like.device)!r})."
        )
    check_plain(name, tensor)


def check_state(step: Any, state: Any) -> None:
    """Raise TypeError or ValueError unless a step can start from this state."""
    like = step.free
    if not isinstance(state, State):
        raise TypeError(
            f"state must be a State(positions, velocities), got {described(state)}; "
            "State.at_rest(positions) makes one without velocities."
        )
    if not isinstance(state.history, tuple):
        raise TypeError(f"history of the state must be a tuple of tensors, got {described(state.history)}.")
    _check_supported(like.dtype)  # before the state's own would be advised
    parts = {"positions": state.positions, "velocities": state.velocities}
    parts |= {f"history[{index}]": tensor for index, tensor in enumerate(state.history)}
    for part, tensor in parts.items():
        check_tensor(f"state.{part}", tensor, like)
    check_number_of_tensors(step, state.history)
    variables = split_history(step, state)[1]
    sizes = [len(like)] * (len(parts) - len(variables)) + [tensor.shape[-2] for tensor in variables]
    for (part, tensor), size in zip(parts.items(), sizes, strict=True):
        if tensor.shape[-2:] != (size, 3):
            raise ValueError(f"state.{part} has shape {tuple(tensor.shape)}; expected (*batch, {size}, 3).")
        if not tensor.numel():
            raise ValueError(f"state.{part} has shape {tuple(tensor.shape)}: the batch is empty.")
