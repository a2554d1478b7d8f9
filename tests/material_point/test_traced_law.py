"""Laws traced in principal stretches give the stresses of those traced in all components."""

import pytest
import torch

from simlayer import Ogden, Yeoh
from simlayer.material_point import MaterialPoint
from simlayer.material_point.traced_law import GeneralLaw, PrincipalLaw

pytestmark = pytest.mark.usefixtures("float64")

STRETCHES = torch.tensor([0.5, 1.0, 1.7, 4.0], dtype=torch.float64)
# As if it had no formula for principal stretches.
GENERAL = type("General", (Ogden,), {"energy_of_stretches": lambda self, stretches: None})


def ogden(kind=Ogden):
    return kind((6e5, 1e3, -1e4), (1.3, 5.0, -2.0), 1e9).requires_grad_()


@pytest.mark.parametrize("path", ["uniaxial", "equibiaxial", "planar"])
def test_stresses_and_their_derivatives_are_those_of_the_general_law(path):
    def found(material):
        response = MaterialPoint(material, incompressible=True)(STRETCHES, path)
        slopes = torch.autograd.grad(response.stress.sum(), list(material.terms.parameters()))
        return response.nominal_stress, torch.stack(slopes)

    # Rounding of K (J - 1), which the pressure takes away.
    for value, general in zip(found(ogden()), found(ogden(GENERAL)), strict=True):
        torch.testing.assert_close(value, general, rtol=1e-9, atol=1e-6)


def test_a_shear_is_computed_by_the_general_law_and_other_tests_are_not():
    point = MaterialPoint(ogden(), incompressible=True)
    point(STRETCHES, "uniaxial")
    assert {type(part) for part in point.children() if part is not point.material} == {PrincipalLaw}
    sheared = point(STRETCHES, "simple_shear").stress
    assert GeneralLaw in {type(part) for part in point.children()}
    torch.testing.assert_close(
        sheared, MaterialPoint(ogden(GENERAL), incompressible=True)(STRETCHES, "simple_shear").stress
    )


def test_a_law_without_a_formula_for_principal_stretches_has_none():
    assert PrincipalLaw.of(Yeoh(1e5, 0.0, 0.0, 1e9)) is None


def test_a_class_that_overrides_one_of_two_energies_is_refused():
    class Stiffer(Ogden):
        def distortion_energy(self, F):
            return 2 * super().distortion_energy(F)

    with pytest.raises(ValueError, match="energy_of_stretches must be its energy_density"):
        MaterialPoint(ogden(Stiffer), incompressible=True)
