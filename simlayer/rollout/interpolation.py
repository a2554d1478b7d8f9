"""Controls for every step, interpolated between few values: what an optimizer or a network supplies."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.autodiff.torch_private import is_mapped
from simlayer.errors import first_index
from simlayer.quantities.arguments import checked_choice, checked_integer
from simlayer.quantities.arrays import checked_floats

Interpolation = Literal["zero_order", "linear", "cubic"]


def interpolated_controls(
    knots: Float[Tensor, "K *value"], num_steps: int, *, kind: Interpolation = "linear"
) -> Float[Tensor, "T *value"]:
    """Return a control's value for each of T steps, interpolated between its values at K knots.

        activation = interpolated_controls(knots, rollout.num_steps, kind="cubic")  # (K, B, 1) -> (T, B, 1)
        rollout(state, controls={"forces.biceps.activation": activation})

    Linear in the knots, and differentiable. A cubic overshoots its knots: where the range of a quantity has
    bounds, interpolate what stays in it, such as logits.

    Args:
        knots: values at the knots.
        num_steps: T.
        kind: "zero_order": every knot is held for an equal part of the steps, to within one step. "linear",
            "cubic": the knots are evenly spaced from the first step to the last. "cubic" is the spline with
            two continuous derivatives whose first two intervals have one polynomial, as have the last two
            ("not-a-knot", de Boor 1978): exact for cubic polynomials from four knots on.

    Raises:
        TypeError: if the knots are no dense tensor of single or double precision.
        ValueError: if there is none, or one is not finite, or the number of steps or the kind is none.
    """
    checked_floats("knots", knots)
    if not knots.ndim or not knots.numel():
        raise ValueError(f"knots must hold at least one value, (K, *value), got shape {tuple(knots.shape)}.")
    steps = checked_integer("num_steps", num_steps, least=1)
    checked_choice("kind", kind, get_args(Interpolation))
    if not is_mapped(knots):  # by vmap, under which no number can be looked at
        wrong = ~knots.detach().isfinite()
        if bool(wrong.any()):
            index = first_index(wrong)
            raise ValueError(f"knots must be finite, got {knots[index].item():g} at knot {index[0]}.")
    if kind == "zero_order":
        held = torch.arange(steps, device=knots.device) * len(knots) // steps
        return knots.index_select(0, held)
    weights = torch.from_numpy(_weights(len(knots), steps, kind)).to(knots)
    return torch.tensordot(weights, knots, dims=1)


def _weights(num_knots: int, num_steps: int, kind: str) -> np.ndarray:
    """Return the weight of each knot at each step, `(T, K)`."""
    from scipy.interpolate import CubicSpline  # takes longer to import than the package

    at, knots, unit = np.linspace(0, num_knots - 1, num_steps), np.arange(num_knots), np.eye(num_knots)
    if num_knots == 1:
        return np.ones((num_steps, 1))
    if kind == "linear":
        return np.stack([np.interp(at, knots, one) for one in unit], 1)
    return CubicSpline(knots, unit)(at)
