"""The residuals of a law over the curves of tests, and their derivatives, for a batch of values at once."""

from __future__ import annotations

import copy
from collections.abc import Collection, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from simlayer.identification.normal_equations import NormalEquations
from simlayer.identification.unknowns import Unknown, quantities_of, select_trainable
from simlayer.material_point.curves import StrainOffset, StressCurve
from simlayer.material_point.paths import DeformationPath
from simlayer.material_point.point import MaterialPoint
from simlayer.materials.base import Material
from simlayer.quantities.named import NamedTensors

# Changes of the stresses below this share of their size are those of rounding.
_ROUNDING = 1e-9

# A stress depends on a direction with more than this share of its derivatives.
_UNSEEN = 1e-3


class CurveProblem:
    """A law and the curves of tests that it is compared with, as a function of the law's stored values.

    It computes in double precision, with a copy of the material.

    Args:
        material: the law at the first guess.
        curves: the tests.
        names: of the unknown quantities; by default all on which the stresses depend. Strain offsets of
            curves are unknown as these say.
        incompressible: as for `MaterialPoint`.

    Attributes:
        unknowns: the unknown quantities, those of the copy.
        start: their stored values at the first guess.
        scales: a large change of each stored value: by a factor of e where it is a logarithm, else one that
            changes the stresses by their own size.
        noise: the standard deviation of the stresses of each curve [Pa], up to a common factor.
    """

    def __init__(
        self,
        material: Material,
        curves: Sequence[StressCurve],
        names: Collection[str] | None,
        *,
        incompressible: bool,
    ) -> None:
        self.curves = tuple(curves)
        law = copy.deepcopy(material).double().cpu().requires_grad_(False)
        self.point = MaterialPoint(law, incompressible=incompressible)
        self._named = NamedTensors(law)
        self._offsets = {c.name: StrainOffset().double() for c in curves if c.fit_offset}
        own, offsets = quantities_of({"": law}), quantities_of(self._offsets)
        self.stress_size = torch.cat([c.stress for c in curves]).square().mean().sqrt()
        self.noise = torch.stack(
            [self.stress_size if c.noise is None else torch.tensor(c.noise) for c in curves]
        )
        self._use(select_trainable(own, own if names is None else names) + list(offsets.values()))
        if names is None:  # without those of no effect but that of rounding
            self._use([u for u, read in zip(self.unknowns, self._read(), strict=True) if read])

    def _use(self, unknowns: Sequence[Unknown]) -> None:
        for unknown in unknowns:
            if unknown.parameter.numel() != 1:
                shape = tuple(unknown.parameter.shape)
                raise ValueError(f"{unknown.name} must have one value to be fitted, got shape {shape}.")
        if not unknowns:
            raise ValueError("unknowns must name at least one quantity, got none.")
        self.unknowns = tuple(unknowns)
        self.start = torch.cat([unknown.parameter.detach().double().reshape(1) for unknown in unknowns])
        self.scales = torch.ones_like(self.start)
        effect, size = self._effects()
        plain = torch.tensor([not (u.quantity.positive or u.quantity.bounds) for u in unknowns])
        self.scales = torch.where(plain & (effect > 0) & effect.isfinite(), size / effect, 1.0)

    def _effects(self) -> tuple[Float[Tensor, "P"], Float[Tensor, ""]]:
        """Return the root mean squares of the residuals' derivatives, and of the stresses over the noise."""
        effect = self.residuals(self.start[None])[1][0].square().mean(0).sqrt()
        return effect, (self.stress_size / self.noise).square().mean().sqrt()

    def _read(self) -> list[bool]:
        effect, size = self._effects()
        return (effect * self.start.abs().clamp(min=1) > _ROUNDING * size).tolist()

    def assign(self, stored: Float[Tensor, "P"]) -> None:
        """Set the quantities to stored values."""
        for unknown, value in zip(self.unknowns, stored, strict=True):
            unknown.parameter.data.fill_(float(value))

    def stresses(
        self, stored: Float[Tensor, "S P"], parts: Sequence[tuple[Tensor, DeformationPath, str]]
    ) -> tuple[Float[Tensor, "S R"], Float[Tensor, "S R P"]]:
        """Return nominal stresses, and their derivatives by stored values [Pa]; NaN where there are none.

        Args:
            stored: the stored values of the unknowns, of several samples.
            parts: stretches as they were measured, `(n,)`, their path, and the name of the curve, for its
                strain offset; the R stresses are those of one part after another.
        """
        sizes = [len(stretch) for stretch, _, _ in parts]
        # Every point has values of its own, so that one pass in reverse mode has all derivatives.
        fields = stored[:, None].expand(-1, sum(sizes), -1).clone().requires_grad_()
        values = {u.name: u.quantity.decode(x) for u, x in zip(self.unknowns, fields.unbind(-1), strict=True)}
        zero = torch.zeros_like(fields[..., 0])
        offsets = [
            values.get(f"{name}.strain_offset", zero).split(sizes, 1)[k]
            for k, (_, _, name) in enumerate(parts)
        ]
        own = {key: value for key, value in values.items() if key in self._named.quantities}
        with torch.enable_grad(), self._named.substituted(own):
            at = [stretch - offset for (stretch, _, _), offset in zip(parts, offsets, strict=True)]
            found = self.point.stresses(at, [path for _, path, _ in parts])
            stress = torch.cat(
                [P[_measured(path)] for (_, path, _), (_, P) in zip(parts, found, strict=True)]
            )
            # Also where the stresses depend on none of the unknowns.
            (slopes,) = torch.autograd.grad(stress.sum() + 0 * fields.sum(), fields)
        return stress.detach().movedim(0, -1), slopes

    def residuals(self, stored: Float[Tensor, "S P"]) -> tuple[Float[Tensor, "S R"], Float[Tensor, "S R P"]]:
        """Return computed minus measured stresses over the noise, one curve after another.

        And their derivatives by changes of the stored values in units of `scales`.
        """
        stress, slopes = self.stresses(stored, [(c.stretch, c.path, c.name) for c in self.curves])
        noise = torch.cat([n.expand(len(c)) for n, c in zip(self.noise, self.curves, strict=True)])
        measured = torch.cat([curve.stress for curve in self.curves])
        return (stress - measured) / noise, slopes * self.scales / noise[:, None]

    def equations(self, stored: Float[Tensor, "S P"]) -> NormalEquations:
        """Return the normal equations in units of `scales`; the loss is infinite where there is no stress."""
        residuals, jacobian = self.residuals(stored)
        sound = residuals.isfinite().all(1) & jacobian.isfinite().all(2).all(1)
        residuals = torch.where(sound[:, None], residuals, 0.0)
        jacobian = torch.where(sound[:, None, None], jacobian, 0.0)
        found = NormalEquations.of(residuals, jacobian, torch.full((len(stored),), residuals.shape[1]))
        return found._replace(loss=torch.where(sound, found.loss, torch.inf))

    def stress_with_error(
        self,
        stored: Float[Tensor, "P"],
        covariance: Float[Tensor, "P P"],
        stretch: Float[Tensor, "n"],
        path: DeformationPath,
        invisible: Float[Tensor, "I P"],
    ) -> tuple[Float[Tensor, "n"], Float[Tensor, "n"]]:
        """Return nominal stresses [Pa], and their standard errors, infinite where unseen parts matter.

        The covariance, and the directions that are invisible in the curves, are in units of `scales`.
        """
        stress, slopes = self.stresses(stored[None], [(stretch, path, "")])
        rows = slopes[0] * self.scales
        error = ((rows @ covariance) * rows).sum(1).clamp(min=0).sqrt()
        unseen = (rows @ invisible.T).abs().amax(1) if len(invisible) else torch.zeros_like(error)
        return stress[0], torch.where(unseen > _UNSEEN * rows.norm(dim=1), torch.inf, error)


def _measured(path: DeformationPath) -> int:
    """Return the place of the measured component in the nine."""
    row, column = path.measured
    return 3 * row + column
