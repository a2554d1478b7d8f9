"""The curve of a mechanical test: nominal stress over stretch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from jaxtyping import Float
from torch import Tensor

from simlayer.errors import ObservationError
from simlayer.material_point.paths import DeformationPath, checked_path
from simlayer.quantities.arguments import checked_flag, checked_number
from simlayer.quantities.arrays import checked_numbers, described
from simlayer.quantities.objects import checked_instance, checked_text
from simlayer.quantities.physical_module import PhysicalModule
from simlayer.quantities.quantity import Quantity


class StressCurve:
    """The nominal stress that a test has measured over the stretch.

    Args:
        stretch: the stretches `(n,)`, 1 at rest; the amounts of shear of `simple_shear`.
        stress: the nominal stresses `(n,)` [Pa]: force per area at rest.
        path: the deformation of the test, by its name or of one's own.
        name: of the test; that of the path by default.
        noise: the standard deviation of the stresses [Pa], if it is known.
        fit_offset: whether the strains are all wrong by the same unknown amount, as by the slack of a
            specimen that is clamped: a fit then finds the `strain_offset` by which they are too large.

    Raises:
        ObservationError: if stretches and stresses are not as many, or one is not finite, or there is no
            other stretch than that at rest.
    """

    def __init__(
        self,
        stretch: Any,
        stress: Any,
        path: str | DeformationPath = "uniaxial",
        *,
        name: str | None = None,
        noise: float | None = None,
        fit_offset: bool = False,
    ) -> None:
        self.path = checked_path("path", path)
        self.name = self.path.name if name is None else checked_text("name", name)
        if "." in self.name:
            raise ValueError(
                f"name must have no dot, with which names of quantities are joined, got {name!r}."
            )
        self.stretch: Float[Tensor, "n"] = checked_numbers("stretch", stretch).cpu()
        self.stress: Float[Tensor, "n"] = checked_numbers("stress", stress).cpu()
        self.noise = None if noise is None else checked_number("noise", noise, above=0, unit="Pa")
        self.fit_offset = checked_flag("fit_offset", fit_offset)
        if self.stretch.ndim != 1:
            raise ObservationError(f"stretch must be of shape (n,), got {described(stretch)}.")
        if self.stretch.shape != self.stress.shape:
            raise ObservationError(
                f"stress must be of shape {tuple(self.stretch.shape)}, as the stretches are, got "
                f"{described(stress)}."
            )
        for title, values in (("stretch", self.stretch), ("stress", self.stress)):
            if not bool(values.isfinite().all()):
                row = int((~values.isfinite()).nonzero()[0])
                raise ObservationError(
                    f"{title} of the curve {self.name!r} must be finite, got {float(values[row])} in row "
                    f"{row}."
                )
        if self.path.rest > 0 and float(self.stretch.min()) <= 0:
            raise ObservationError(
                f"stretch of the curve {self.name!r} must be positive, got {float(self.stretch.min()):g}; a "
                "stretch is 1 at rest, and a strain plus 1."
            )
        if bool((self.stretch == self.path.rest).all()):
            raise ObservationError(
                f"stretch of the curve {self.name!r} must have values other than at rest, got "
                f"{self.path.rest:g} alone."
            )

    def __len__(self) -> int:
        return len(self.stretch)

    def between(self, low: float, high: float) -> StressCurve:
        """Return the part of the curve with stretches from `low` to `high`.

        Raises:
            ObservationError: if there is none.
        """
        low, high = checked_number("low", low), checked_number("high", high)
        kept = (self.stretch >= low) & (self.stretch <= high)
        if not bool(kept.any()):
            raise ObservationError(
                f"the curve {self.name!r} has no stretch from {low:g} to {high:g}: {self}."
            )
        return StressCurve(
            self.stretch[kept],
            self.stress[kept],
            self.path,
            name=self.name,
            noise=self.noise,
            fit_offset=self.fit_offset,
        )

    def __repr__(self) -> str:
        low, high = float(self.stretch.min()), float(self.stretch.max())
        return (
            f"StressCurve({self.name!r}, {self.path.name}: {len(self)} points, stretch {low:.4g} to "
            f"{high:.4g}, "
            f"nominal stress up to {1e-3 * float(self.stress.abs().max()):.4g} kPa)"
        )


class StrainOffset(PhysicalModule):
    """What the strains of a test are too large by."""

    strain_offset = Quantity("1", scale=0.01)

    def __init__(self) -> None:
        super().__init__()
        self.strain_offset = 0.0


def checked_curves(name: str, value: Any) -> tuple[StressCurve, ...]:
    """Return curves, one or a sequence of several.

    Raises:
        TypeError: if the value is neither.
        ValueError: if there is none, or two have the same name.
    """
    given = [value] if isinstance(value, StressCurve) else value
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"{name} must be a list of StressCurve, got {described(value)}.")
    for index, curve in enumerate(given):
        checked_instance(f"{name}[{index}]", curve, StressCurve, example="StressCurve(stretch, stress)")
    names = [curve.name for curve in given]
    if not names:
        raise ValueError(f"{name} must hold at least one curve, got none.")
    if len(set(names)) < len(names):
        raise ValueError(f"{name} must have different names, got {', '.join(names)}: give each its name=.")
    return tuple(given)
