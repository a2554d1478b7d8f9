"""Derivatives of what is observed with respect to a few quantities, in forward mode."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from simlayer.autodiff.torch_private import transforms_active
from simlayer.quantities.arrays import checked_floats, described
from simlayer.quantities.objects import checked_function, checked_names


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
        function: runs the modules that read the parameters, and returns a tensor of floating point. It
            computes with torch: what is read from a tensor as a number of Python is a constant.
        parameters: parameters of these modules by any names: stored values, as an optimizer changes them.
            Whether they require grad does not matter. The derivative is zero for a tensor that the
            function does not read, a copy of a parameter included.

    Returns:
        What the function returns, without gradient, and for each name the derivatives with respect to the
        stored value, `(*value.shape, *parameter.shape)`.

    Raises:
        TypeError: if the function does not return such a tensor, or uses NumPy, or a parameter is no tensor
            of single or double precision.
        ValueError: if two parameters are the same tensor.
        RuntimeError: if it is called in a transform of `torch.func`, or in another: there are no second
            derivatives.
    """
    checked_function("function", function, arguments=0)
    return jacobian_with_aux(lambda: (function(), ()), parameters)[:2]


def jacobian_with_aux(
    function: Callable[[], tuple[Tensor, Any]], parameters: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor], Any]:
    """Return what `parameter_jacobian` does of a part of what a function returns, and the other part.

    Args:
        function: returns what is differentiated, and tensors that are not, in any containers of torch's.
        parameters: as for `parameter_jacobian`.
    """
    tensors = _checked(parameters)
    if transforms_active():
        raise RuntimeError(
            "parameter_jacobian has no derivatives itself, and cannot be called in a transform of torch.func "
            "(jacfwd, vmap, ...) or in another parameter_jacobian; for second derivatives use "
            "torch.func.jacrev around torch.func.jacfwd, of a function that gives a rollout its parameters."
        )
    sizes = [tensor.numel() for tensor in tensors.values()]
    units = torch.eye(sum(sizes))

    def along(*directions: Tensor) -> Any:
        at = tuple(tensor.detach() for tensor in tensors.values())
        return torch.func.jvp(evaluate, at, directions, has_aux=True)

    def evaluate(*values: Tensor) -> tuple[Tensor, Any]:
        with _InPlaceOf(tensors.values(), values):
            value, aux = function()
        return _checked_result(value), aux

    if not tensors:
        with torch.no_grad():
            value, aux = evaluate()
        return value, {}, aux
    directions = [
        block.to(tensor).reshape(len(units), *tensor.shape)
        for block, tensor in zip(units.split(sizes, 1), tensors.values(), strict=True)
    ]
    with torch.no_grad():
        axes: Any = (None, 0, None)  # the value and what comes with it are the same in all directions
        value, tangents, aux = torch.func.vmap(along, out_dims=axes, randomness="same")(*directions)
    parts = zip(tensors.items(), tangents.split(sizes), strict=True)
    jacobian = {n: part.movedim(0, -1).reshape((*value.shape, *t.shape)) for (n, t), part in parts}
    return value, jacobian, aux


def _checked(parameters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    if not isinstance(parameters, Mapping):
        raise TypeError(f"parameters must map names to tensors, got {described(parameters)}.")
    checked_names("parameters", parameters)
    for name, tensor in parameters.items():
        checked_floats(f"parameters[{name!r}]", tensor)
    names = {id(tensor): name for name, tensor in parameters.items()}
    for name, tensor in parameters.items():
        if names[id(tensor)] != name:
            raise ValueError(
                f"parameters {name!r} and {names[id(tensor)]!r} are the same tensor; name it once."
            )
    return dict(parameters)


def _checked_result(result: Any) -> Tensor:
    if not isinstance(result, Tensor) or not result.is_floating_point():
        kind = f"tensor of {result.dtype}" if isinstance(result, Tensor) else described(result)
        raise TypeError(f"function must return a tensor of floating point, got {kind}.")
    return result


class _InPlaceOf(TorchFunctionMode):
    """Lets every function of torch that is called with one of some tensors take another in its place.

    That reaches parameters wherever a module reads them, without a module having to be known.
    """

    def __init__(self, tensors: Any, others: Any) -> None:
        super().__init__()
        self._others = {id(tensor): other for tensor, other in zip(tensors, others, strict=True)}

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        named = {name: self._replaced(value) for name, value in (kwargs or {}).items()}
        try:
            return func(*self._replaced(tuple(args)), **named)
        except RuntimeError as error:
            if func not in (Tensor.numpy, Tensor.__array__):
                raise
            raise TypeError(
                "function must compute with torch alone, and has made a NumPy array of a tensor, through "
                "which no derivatives pass: use functions of torch in it, and NumPy outside of it."
            ) from error

    def _replaced(self, value: Any) -> Any:
        if type(value) in (list, tuple):
            return type(value)(self._replaced(part) for part in value)
        return self._others.get(id(value), value) if isinstance(value, Tensor) else value
