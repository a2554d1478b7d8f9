import math

import pytest
import torch

from simlayer import FibreFamily, Fung, HolzapfelGasserOgden
from simlayer.material_point import MaterialPoint

pytestmark = pytest.mark.usefixtures("float64")

STRETCH = torch.tensor([0.8, 1.1, 1.4], dtype=torch.float64)


def tension(material):
    """The nominal stress of uniaxial tension along x, incompressible."""
    return MaterialPoint(material, incompressible=True)(STRETCH, "uniaxial").stress


def matrix_stress(mu):
    return mu * (STRETCH - STRETCH**-2)


def test_the_stress_of_fung_is_that_of_neo_hooke_times_an_exponential():
    first = STRETCH**2 + 2 / STRETCH - 3
    expected = matrix_stress(3e4) * (0.7 * first).exp()
    torch.testing.assert_close(tension(Fung(3e4, 0.7, 1e6)), expected, rtol=1e-9, atol=1e-6)


def test_parallel_fibres_add_their_tension_where_they_are_stretched_and_nothing_where_they_are_not():
    k1, k2 = 2e4, 0.5
    material = HolzapfelGasserOgden(3e4, [FibreFamily((2.0, 0.0, 0.0), k1, k2)], 1e6)
    E = (STRETCH**2 - 1).clamp(min=0)
    # dW/dlambda of k1/(2 k2) (exp(k2 E²) - 1)
    fibres = k1 * E * (k2 * E**2).exp() * 2 * STRETCH
    torch.testing.assert_close(tension(material), matrix_stress(3e4) + fibres, rtol=1e-9, atol=1e-6)
    assert float(fibres[0]) == 0


def test_fibres_across_the_tension_are_slack():
    across = HolzapfelGasserOgden(3e4, [FibreFamily((0.0, 1.0, 0.0), 2e4, 0.5)], 1e6)
    stress = tension(across)
    torch.testing.assert_close(stress[1:], matrix_stress(3e4)[1:], rtol=1e-9, atol=1e-6)
    assert float(stress[0]) < float(matrix_stress(3e4)[0])  # compression stretches them


def test_fully_dispersed_fibres_do_not_know_their_direction():
    stresses = [
        tension(HolzapfelGasserOgden(3e4, [FibreFamily(direction, 2e4, 0.5, 1 / 3)], 1e6))
        for direction in ((1.0, 0.0, 0.0), (0.3, -1.0, 2.0))
    ]
    torch.testing.assert_close(*stresses, rtol=1e-9, atol=1e-6)


def test_two_families_are_as_two_materials_less_a_matrix():
    angle = math.radians(40)
    families = [FibreFamily((math.cos(angle), s * math.sin(angle), 0.0), 2e4, 0.5) for s in (1, -1)]
    point = MaterialPoint(HolzapfelGasserOgden(3e4, families, 1e6), incompressible=True)
    alone = [
        MaterialPoint(HolzapfelGasserOgden(3e4, [family], 1e6), incompressible=True) for family in families
    ]
    # At prescribed stretches in both directions of the plane.
    stress = point(STRETCH, "equibiaxial").stress
    parts = [each(STRETCH, "equibiaxial").stress for each in alone]
    matrix = tension_equibiaxial(3e4)
    torch.testing.assert_close(stress, sum(parts) - matrix, rtol=1e-8, atol=1e-5)


def tension_equibiaxial(mu):
    return mu * (STRETCH - STRETCH**-5)


@pytest.mark.unchecked
def test_families_that_are_none_are_refused():
    with pytest.raises(TypeError, match="sequence of FibreFamily"):
        HolzapfelGasserOgden(3e4, [3.0], 1e6)
    with pytest.raises(ValueError, match="at least one"):
        HolzapfelGasserOgden(3e4, [], 1e6)
    with pytest.raises(ValueError, match="direction"):
        FibreFamily((0.0, 0.0, 0.0), 2e4, 0.5)
    with pytest.raises(ValueError, match="kappa"):
        FibreFamily((1.0, 0.0, 0.0), 2e4, 0.5, 0.4)
