"""The picture of a policy that reaches for goals."""

from __future__ import annotations

from jaxtyping import Float
from matplotlib.figure import Figure
from torch import Tensor


def reach_picture(
    times: Float[Tensor, "F"], ways: Float[Tensor, "F B 3"], goals: Float[Tensor, "B 3"]
) -> Figure:
    """Draw the ways of a point to its goals, from the side and from the end, and the distances over time."""
    figure = Figure(figsize=(13, 4), layout="constrained")
    axes = figure.subplots(1, 3)
    millimetres, targets = 1e3 * ways.cpu(), 1e3 * goals.cpu()
    for axis, (first, second) in zip(axes, ((0, 2), (1, 2)), strict=False):
        for k in range(len(targets)):
            color = f"C{k % 10}"
            axis.plot(millimetres[:, k, first], millimetres[:, k, second], color=color, lw=0.8)
            axis.plot(targets[k, first], targets[k, second], "x", color=color)
        axis.set(xlabel=f"{'xyz'[first]} [mm]", ylabel=f"{'xyz'[second]} [mm]")
        axis.set_title("ways to the goals (crosses)")
        axis.set_aspect("equal", "datalim")
    distances = (millimetres - targets).norm(dim=-1)
    for k in range(len(targets)):
        axes[2].plot(times, distances[:, k], color=f"C{k % 10}", lw=0.8)
    axes[2].set(xlabel="time [s]", ylabel="distance to the goal [mm]")
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
    return figure
