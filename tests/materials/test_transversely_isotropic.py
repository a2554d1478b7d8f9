import pytest
import torch

from simlayer import ElasticForce, TransverselyIsotropic, box_mesh
from simlayer.forces.elastic import traced_energy_density
from simlayer.linalg import Matrix3

pytestmark = pytest.mark.usefixtures("float64")

CONSTANTS = {
    "axial_modulus": 2e5,
    "transverse_modulus": 1e5,
    "axial_ratio": 0.4,
    "transverse_ratio": 0.3,
    "axial_shear_modulus": 4e4,
}


def compliance():
    """Strains xx, yy, zz, 2yz, 2xz, 2xy per stress, with the axis along z."""
    Ez, Et, nuz, nut, Gz = CONSTANTS.values()
    S = torch.zeros(6, 6)
    S[0, 0] = S[1, 1] = 1 / Et
    S[0, 1] = S[1, 0] = -nut / Et
    S[2, 2] = 1 / Ez
    S[0, 2] = S[2, 0] = S[1, 2] = S[2, 1] = -nuz / Ez
    S[3, 3] = S[4, 4] = 1 / Gz
    S[5, 5] = 2 * (1 + nut) / Et
    return S


def test_the_stiffness_at_rest_is_the_inverse_of_the_compliance_of_the_engineering_constants():
    material = TransverselyIsotropic((0.0, 0.0, 3.0), **CONSTANTS)
    density = traced_energy_density(material)
    identity = Matrix3(*torch.eye(3).reshape(9, 1))
    tangent = density.hessian(density.coefficients(material, 1), identity, point_axes=1)
    pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]
    rows = [3 * i + j for i, j in pairs]
    found = tangent.reshape(9, 9)[rows][:, rows]
    torch.testing.assert_close(found, torch.linalg.inv(compliance()), rtol=1e-10, atol=1e-6)


def test_constants_that_are_not_positive_definite_are_refused():
    with pytest.raises(ValueError, match="axial_ratio is too large"):
        TransverselyIsotropic((1, 0, 0), **(CONSTANTS | {"axial_ratio": 1.2}))
    with pytest.raises(ValueError, match="axis"):
        TransverselyIsotropic((0, 0, 0), **CONSTANTS)


def test_axes_per_cell_must_be_as_many_as_cells():
    mesh = box_mesh(cells=(2, 1, 1), size=(0.2, 0.1, 0.1), element="hex8")
    ElasticForce(mesh, TransverselyIsotropic(torch.eye(3)[:2], **CONSTANTS))
    with pytest.raises(ValueError, match="axis"):
        ElasticForce(mesh, TransverselyIsotropic(torch.eye(3), **CONSTANTS))
