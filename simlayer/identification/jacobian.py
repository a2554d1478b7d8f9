"""Jacobians of what is observed with respect to stored values."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor


@torch.no_grad()
def parameter_jacobian(
    function: Callable[[], Tensor], parameters: Mapping[str, Tensor]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Return the value of a function, and its derivative by each parameter, by central differences.

    Args:
        function: reads the parameters, and returns a tensor.
        parameters: leaf tensors by name.

    Returns:
        The value, and by name its Jacobian, `(*value.shape, *parameter.shape)`.
    """
    value = function()
    change = torch.finfo(value.dtype).eps ** (1 / 3)
    columns = {}
    for name, parameter in parameters.items():
        before, parts = parameter.data.clone(), []
        for index in range(parameter.numel()):
            ends = []
            for sign in (1, -1):
                parameter.data.view(-1)[index] = before.view(-1)[index] + sign * change
                ends.append(function())
                parameter.data.copy_(before)
            parts.append((ends[0] - ends[1]) / (2 * change))
        columns[name] = torch.stack(parts, -1).reshape(value.shape + parameter.shape)
    return value, columns
