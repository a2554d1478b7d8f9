"""Derivatives of what is observed with respect to a few quantities, in forward mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from simlayer.quantities.arrays import described
from simlayer.quantities.objects import checked_function


def parameter_jacobian(
    function: Callable[[], Tensor], parameters: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the value of a function of modules, and its derivatives with respect to parameters.

        (modulus,) = rollout.train_only("youngs_modulus")
        value, jacobian = parameter_jacobian(lambda: rollout(state).positions, {"youngs_modulus": modulus})

    In forward mode: the derivatives along all directions travel with the state, so that memory does not grow
    with the number of steps, and time grows with the number of parameters. Explicit steps are compiled where
    the rollout is; implicit ones solve for all directions with one factor. Reverse mode is better for more
    than some thirty numbers.

    Args:
        function: runs the modules that read the parameters, and returns a tensor.
        parameters: parameters of these modules by any names: stored values, as an optimizer changes them.
            Whether they require grad does not matter. The derivative is zero for a tensor that the
            function does not read, a copy of a parameter included.

    Returns:
        value: what the function returns, without gradient.
        jacobian: for each name the derivatives with respect to the stored value,
            `(*value.shape, *parameter.shape)`.

    Raises:
        TypeError: if the function does not return a tensor, or a parameter is no floating-point tensor.
        ValueError: if two parameters are the same tensor.
    """
    checked_function("function", function)
    tensors = _checked(parameters)
    sizes = [tensor.numel() for tensor in tensors.values()]
    units = torch.eye(sum(sizes))

    def along(*directions: Tensor) -> Any:
        return torch.func.jvp(evaluate, tuple(t.detach() for t in tensors.values()), directions)

    def evaluate(*values: Tensor) -> Tensor:
        with _InPlaceOf(tensors.values(), values):
            result = function()
        if not isinstance(result, Tensor):
            raise TypeError(f"function must return a tensor, got {described(result)}.")
        return result

    if not tensors:
        with torch.no_grad():
            return function(), {}
    directions = [
        block.to(tensor).reshape(len(units), *tensor.shape)
        for block, tensor in zip(units.split(sizes, 1), tensors.values(), strict=True)
    ]
    with torch.no_grad():
        axes: Any = (None, 0)  # the value is the same in all directions
        value, tangents = torch.func.vmap(along, out_dims=axes, randomness="same")(*directions)
    parts = zip(tensors.items(), tangents.split(sizes), strict=True)
    return value, {n: part.movedim(0, -1).reshape(*value.shape, *t.shape) for (n, t), part in parts}


def _checked(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters must map names to tensors, got {described(parameters)}.")
    for name, tensor in parameters.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise TypeError(
                f"parameters[{name!r}] must be a parameter of floating point, got {described(tensor)}."
            )
    names = {id(tensor): name for name, tensor in parameters.items()}
    for name, tensor in parameters.items():
        if names[id(tensor)] != name:
            raise ValueError(
                f"parameters {name!r} and {names[id(tensor)]!r} are the same tensor; name it once."
            )
    return dict(parameters)


class _InPlaceOf(TorchFunctionMode):
    """Lets every function of torch that is called with one of some tensors take another in its place.

    That reaches parameters wherever a module reads them, without a module having to be known.
    """

    def __init__(self, tensors: Any, others: Any) -> None:
        super().__init__()
        self._others = {id(tensor): other for tensor, other in zip(tensors, others, strict=True)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: self._replaced(value) for name, value in (kwargs or {}).items()}
        return func(*self._replaced(tuple(args)), **named)

    def _replaced(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(self._replaced(part) for part in value)
        return self._others.get(id(value), value) if isinstance(value, Tensor) else value
