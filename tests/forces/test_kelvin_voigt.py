"""Kelvin-Voigt viscosity: its stress, rigid motions, batches, and its bound."""

import pytest
import torch
from support.materials import array, matrix, rotations
from support.meshes import ELEMENTS
from support.rates import body, made, size

from simlayer import KelvinVoigt, State

pytestmark = pytest.mark.usefixtures("float64")

every_element = pytest.mark.parametrize("element", ELEMENTS)


@every_element
def test_no_rigid_motion_is_resisted_however_the_body_is_deformed(element):
    rate, x, _ = made(f"viscous {element}", 20)
    rate.shear_viscosity = 1.0
    axes, drift = torch.randn(20, 1, 3), torch.randn(20, 1, 3)
    v = torch.linalg.cross(axes.expand_as(x), x) + drift
    # Viscosity times area times rate of rotation is about 1 N.
    assert size(rate(State(x, v))) < 1e-13
    assert size(rate.energy(x, v)) < 1e-25


@every_element
def test_forces_and_torques_add_up_to_zero(element):
    rate, x, v = made(f"viscous {element}", 10)
    forces = rate(State(x, v))
    assert size(forces.sum(-2)) < 1e-12 * size(forces)
    assert size(torch.linalg.cross(x, forces).sum(-2)) < 1e-12 * size(forces)


@every_element
def test_forces_turn_with_the_body(element):
    rate, x, v = made(f"viscous {element}", 10)
    R, forces = rotations(10), rate(State(x, v))
    turned = rate(State(x @ R.mT, v @ R.mT))
    assert torch.allclose(turned, forces @ R.mT, rtol=0, atol=1e-12 * size(forces))


def test_the_stress_is_that_of_kelvin_and_voigt():
    viscosity, _, _ = made("viscous tet4")
    count = viscosity.extents["cells"]
    eta, zeta = torch.rand(count), torch.rand(count)
    F, dF = torch.randn(count, 3, 3), torch.randn(count, 3, 3, requires_grad=True)
    viscosity.shear_viscosity, viscosity.bulk_viscosity = eta, zeta
    density = viscosity.dissipation_density(matrix(F), matrix(dF))
    (stress,) = torch.autograd.grad(density.sum(), dF)
    rate = (F.mT @ dF + dF.mT @ F) / 2
    trace = rate.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    expected = F @ (2 * eta[:, None, None] * rate + zeta[:, None, None] * trace * torch.eye(3))
    assert torch.allclose(stress, expected, rtol=1e-12, atol=1e-13)
    traced = viscosity.traced_density
    coefficients = [*traced.coefficients(viscosity), *matrix(F)]
    assert torch.allclose(array(traced.gradient(coefficients, matrix(dF.detach()))), expected, rtol=1e-12)


def test_no_bulk_viscosity_is_next_to_none():
    mesh = body()
    without, little = (KelvinVoigt(mesh, shear_viscosity=2.0, bulk_viscosity=bulk) for bulk in (None, 1e-12))
    _, x, v = made("viscous tet4")
    assert torch.allclose(
        without(State(x, v)), little(State(x, v)), rtol=0, atol=2e-6 * size(little(State(x, v)))
    )
    with pytest.raises(ValueError, match="bulk_viscosity must be positive, got 0"):
        KelvinVoigt(mesh, shear_viscosity=1.0, bulk_viscosity=0.0)
    with pytest.raises(ValueError, match=r"shear_viscosity has shape \(5,\)"):
        KelvinVoigt(mesh, shear_viscosity=torch.ones(5))


@every_element
def test_the_damping_bound_of_viscosity_is_the_largest_eigenvalue_of_each_element(element):
    rate, x, v = made(f"viscous {element}")
    elements = rate.elements
    ratios = (elements.lumped_volumes / elements.lumped_volumes.mean(0)).T.rsqrt().repeat_interleave(3, -1)

    def exact(x):
        blocks = ratios[:, :, None] * rate.hessian_blocks(x, v) * ratios[:, None, :]
        return torch.linalg.eigvalsh(blocks)[:, -1]

    rest = body(element).vertices
    assert torch.allclose(rate.damping_bound(State(x, v)), exact(x), rtol=1e-9)
    assert (rate.damping_bound(None) >= exact(rest) * (1 - 1e-12)).all()
    assert (rate.damping_bound(None) <= 4 * exact(rest)).all()


@pytest.mark.parametrize("kind", ["shear", "bulk"])
def test_viscosities_of_a_batch_are_those_of_its_samples(kind):
    _, x, v = made("viscous tet10", 3)
    values = {f"{part}_viscosity": 1 + torch.rand(3, 1) for part in ("shear", "bulk")}
    values[f"{kind}_viscosity"] = 1 + torch.rand(3, len(body("tet10").cells))
    together = KelvinVoigt(body("tet10"), **values)
    for k in range(3):
        alone = KelvinVoigt(body("tet10"), **{name: value[k] for name, value in values.items()})
        assert torch.allclose(together(State(x, v))[k], alone(State(x[k], v[k])), rtol=1e-10, atol=1e-12)
        assert torch.allclose(together.energy(x, v)[k], alone.energy(x[k], v[k]), rtol=1e-12)
        blocks = together.hessian_blocks(x, v)[k], alone.hessian_blocks(x[k], v[k])
        assert torch.allclose(*blocks, rtol=1e-10, atol=1e-12)
        for state in (None, State(x, v)):
            one = alone.damping_bound(state and State(x[k], v[k]))
            assert torch.allclose(together.damping_bound(state)[k], one, rtol=1e-10)
