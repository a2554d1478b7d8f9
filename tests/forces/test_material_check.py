"""The check of materials: what each of the package's satisfies, and materials that are built wrong."""

import pytest
import torch
from jaxtyping import TypeCheckError
from support.materials import MATERIALS, WITHOUT_RANGE, lame

from simlayer import IsotropicMaterial, NeoHookean, StVenantKirchhoff, check_material

pytestmark = pytest.mark.usefixtures("float64")

E, NU = 1e5, 0.3
EVERY = MATERIALS | {f"{name} without range": build for name, build in WITHOUT_RANGE.items()}
# What is known not to hold; what is not listed must.
FAILURES = {
    "LinearElastic": ("objectivity",),
    "StVenantKirchhoff": ("rank-one convexity",),
    # Shrunk beyond its range, where the first invariant vanishes.
    "MooneyRivlin": ("growth",),
    "MooneyRivlin5": ("growth",),
    "Yeoh": ("growth",),
    "Gent": ("growth",),
    "ArrudaBoyce": ("growth",),
    "Ogden": ("growth",),
    "Fung": ("growth",),
    "HolzapfelGasserOgden": ("tangent", "growth"),  # its stiffness jumps where fibres go slack
    "TransverselyIsotropic": ("rank-one convexity",),
    "StableNeoHookean without logarithm": ("growth",),  # a cell collapsed to a point is its other minimum
}


@pytest.mark.parametrize("name", EVERY)
def test_each_material_fails_what_it_is_known_to_fail_and_nothing_else(name):
    assert check_material(EVERY[name](E, NU)).failed == FAILURES.get(name, ())


def test_st_venant_kirchhoff_is_rank_one_convex_as_long_as_it_is_not_compressed():
    # Shrunk to a stretch t, a shear wave has the stiffness (3 lam + 2 mu) (t² - 1) / 2 + mu t².
    mu, lam = lame(E, NU)
    critical = ((3 * lam + 2 * mu) / (3 * lam + 4 * mu)) ** 0.5
    holds = check_material(StVenantKirchhoff(E, NU), stretches=(0.5 * (1 + critical), 1.5))
    fails = check_material(StVenantKirchhoff(E, NU), stretches=(0.95 * critical, 1.5))
    assert holds.passed
    assert fails.failed == ("rank-one convexity",)


def test_a_neo_hookean_material_is_not_rank_one_convex_where_its_logarithm_bends_the_other_way():
    # lam (1 - ln J) + mu < 0 beyond J = exp(1 + mu / lam), as in the docstring of no other material.
    assert (
        check_material(NeoHookean(E, 0.45, range=None), stretches=(0.9, 4.0))["rank-one convexity"].value < 0
    )


class Wrong(IsotropicMaterial):
    """A neo-Hookean material and an error."""

    def __init__(self, error):
        super().__init__(E, NU)
        self.error = error

    def energy_density(self, F):
        J = F.det()
        right = 0.5 * self.mu * (F.inner(F) - 3 - 2 * J.log()) + 0.5 * self.lam * (J - 1) ** 2
        return right + self.mu * self.error(F, J)


WRONG = {
    "an offset": (lambda F, J: 0.1, ("energy at rest",)),
    "a component of F": (lambda F, J: 0.1 * F.xy**2, ("objectivity",)),
    "a pressure": (lambda F, J: 0.1 * (J - 1), ("stress at rest",)),
    "a negative modulus": (
        lambda F, J: -2 * (J - 1) ** 2,
        ("stability at rest", "rank-one convexity", "growth"),
    ),
    "a root": (lambda F, J: 0.1 * (F.inner(F) - 3).abs().sqrt(), ("stability at rest", "finite derivatives")),
    "an energy that is cut off": (lambda F, J: J.detach() * (J - 1) ** 2, ("stress", "tangent")),
}  # fmt: skip


@pytest.mark.parametrize(("error", "fails"), WRONG.values(), ids=WRONG)
def test_a_material_that_is_built_wrong_fails_by_name(error, fails):
    report = check_material(Wrong(error))
    assert set(fails) <= set(report.failed)


def test_the_report_raises_only_if_it_is_told_to():
    wrong, right = check_material(Wrong(lambda F, J: 0.1)), check_material(Wrong(lambda F, J: 0.0))
    right.raise_if_failed()
    with pytest.raises(ValueError, match="Wrong fails energy at rest"):
        wrong.raise_if_failed()
    assert "energy at rest         FAILS" in str(wrong)
    assert str(right).startswith("Wrong passes")


def test_an_anisotropic_material_is_reported_and_passes():
    def fibre(F, J):
        return ((F.xx**2 + F.yx**2 + F.zx**2) - 1) ** 2

    report = check_material(Wrong(fibre), stretches=(0.9, 1.2))
    assert report["objectivity"].passed
    assert not report["isotropy"].passed
    assert report.passed


def test_a_material_with_values_per_cell_is_checked_in_every_one():
    ratios = torch.tensor([0.0, 0.45])
    both = check_material(StVenantKirchhoff(E, ratios), stretches=(0.75, 1.1))["rank-one convexity"]
    each = [check_material(StVenantKirchhoff(E, nu), stretches=(0.75, 1.1)) for nu in (0.0, 0.45)]
    assert each[0].passed
    assert not each[1].passed
    assert not both.passed


def test_the_material_is_left_as_it_is():
    torch.set_default_dtype(torch.float32)
    material = StVenantKirchhoff(E, NU)
    check_material(material)
    assert material.youngs_modulus.dtype == torch.float32


def test_what_cannot_be_checked_is_refused():
    with pytest.raises((TypeError, TypeCheckError), match="material"):
        check_material(1.0)
    with pytest.raises(ValueError, match="stretches must enclose 1"):
        check_material(StVenantKirchhoff(E, NU), stretches=(1.1, 1.5))
