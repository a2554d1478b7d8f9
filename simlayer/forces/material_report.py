"""The outcome of checks of a material, as a table."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class MaterialCheck:
    """One property of a material.

    Attributes:
        name: the property.
        value: by how much it is missed, or its margin, as `meaning` says.
        passed: whether it holds.
        required: whether a material without it fails; isotropy is only reported.
        meaning: what the value is.
    """

    name: str
    value: float
    passed: bool
    required: bool
    meaning: str

    def __str__(self) -> str:
        verdict = "ok" if self.passed else "FAILS" if self.required else "no"
        return f"{self.name:<22} {verdict:<6} {self.value:>9.1e}  {self.meaning}"


@dataclass(frozen=True)
class MaterialReport:
    """The outcome of `check_material`; prints as a table."""

    material: str
    checks: tuple[MaterialCheck, ...]

    @property
    def failed(self) -> tuple[str, ...]:
        """The names of the properties that are required and do not hold."""
        return tuple(check.name for check in self.checks if check.required and not check.passed)

    @property
    def passed(self) -> bool:
        """Whether every required property holds."""
        return not self.failed

    def __getitem__(self, name: str) -> MaterialCheck:
        """Return the check of this name."""
        return {check.name: check for check in self.checks}[name]

    def raise_if_failed(self) -> None:
        """Raise ValueError, with the table, unless every required property holds."""
        if not self.passed:
            raise ValueError(f"{self.material} fails {', '.join(self.failed)}:\n{self}")

    def __str__(self) -> str:
        verdict = "passes" if self.passed else f"FAILS {', '.join(self.failed)}"
        return "\n".join([f"{self.material} {verdict}", *map(str, self.checks)])
