"""A rest shape with few parameters: how thick a body is along an axis."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from simlayer.mesh.mesh import Mesh
from simlayer.quantities.arguments import checked_choice, checked_integer, checked_number
from simlayer.quantities.objects import checked_instance


class ThicknessProfile(nn.Module):
    """Rest positions of a body that is thinner or thicker along an axis, with the volume of the mesh.

    Cross-sections are scaled about the middle line of the mesh's box, by numbers at evenly spaced sections
    and by what lies linearly between. The volume is that of the mesh if its cross-sections are alike, and
    vertices lie in every section.

        profile = ThicknessProfile(mesh, "x", sections=5)
        rollout(State.at_rest(profile()["rest_positions"]), profile())

    Args:
        mesh: the body.
        axis: "x", "y" or "z".
        sections: how many, from one end to the other.
        most: the logarithm of the largest scale, and minus that of the smallest, before the volume is kept.
        rate: by what the parameters are multiplied, where they are trained with a network, at its small
            learning rate.

    Raises:
        ValueError: if there are fewer than two sections, the axis is none, or `most` is not positive.
    """

    rest: Tensor
    middle: Tensor
    section: Tensor
    share: Tensor
    across: Tensor

    def __init__(
        self, mesh: Mesh, axis: str = "x", *, sections: int = 5, most: float = 0.5, rate: float = 1.0
    ) -> None:
        super().__init__()
        checked_instance("mesh", mesh, Mesh)
        number = "xyz".index(checked_choice("axis", axis, ("x", "y", "z")))
        count = checked_integer("sections", sections, least=2)
        self.most = checked_number("most", most, above=0.0)
        self.rate = checked_number("rate", rate, above=0.0)
        rest = mesh.vertices.detach().to(torch.get_default_dtype())
        lower, upper = (bound.to(rest) for bound in mesh.bounds)
        place = (rest[:, number] - lower[number]) / (upper - lower)[number] * (count - 1)
        section = place.round().where((place - place.round()).abs() < 1e-5, place.floor()).clamp(0, count - 2)
        across = torch.ones_like(lower)
        across[number] = 0.0
        self.register_buffer("rest", rest, persistent=False)
        self.register_buffer("middle", (lower + upper) / 2, persistent=False)
        self.register_buffer("across", across, persistent=False)
        self.register_buffer("section", section.long(), persistent=False)
        self.register_buffer("share", place - section, persistent=False)
        self.design = nn.Parameter(torch.zeros(count))

    def scales(self) -> Float[Tensor, "K"]:
        """Return the scale of each section."""
        scale = (self.most * (self.rate * self.design).tanh()).exp()
        # Between sections of scales a and b lies (a² + a b + b²) / 3 of the volume of the mesh there.
        a, b = scale[:-1], scale[1:]
        return scale / ((a * a + a * b + b * b) / 3).mean().sqrt()

    def forward(self) -> dict[str, Float[Tensor, "N 3"]]:
        """Return the rest positions by the name of their quantity."""
        scales = self.scales()
        own = torch.lerp(scales[self.section], scales[self.section + 1], self.share)
        change = (own - 1)[:, None] * self.across
        return {"rest_positions": self.rest + change * (self.rest - self.middle)}
