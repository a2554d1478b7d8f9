"""The contract of elastic forces, their stability bounds, regions, and what they refuse."""

import numpy as np
import pytest
import torch
from support.forces import NU, E, body, deformed, elastic, forces_of, largest
from support.materials import MATERIALS, ROTATION_INVARIANT, deformations, matrix, rotations
from torch.utils.checkpoint import checkpoint

from simlayer import ElasticForce, LinearElastic, Material, Mesh, Quantity, StableNeoHookean, State, box_mesh

pytestmark = pytest.mark.usefixtures("float64")

AREA, VOLUME, CELLS = 1.0, 1.0, 48
every_material = pytest.mark.parametrize("name", MATERIALS)
every_invariant_material = pytest.mark.parametrize("name", ROTATION_INVARIANT)
# What sums to vertices knows nothing of the material, so one material shows the second way.
every_material_both_ways = pytest.mark.parametrize(
    ("name", "deterministic"), [(name, False) for name in MATERIALS] + [("StableNeoHookean", True)]
)


# The contract of elastic forces, which a material joins through MATERIALS.


@every_material_both_ways
def test_the_force_is_minus_the_gradient_of_the_energy(name, deterministic):
    force, x = elastic(name, deterministic=deterministic), deformed(2).requires_grad_()
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x)
    # The same products in another order: rounding of stresses of order E.
    assert torch.allclose(forces_of(force, x), -gradient, rtol=0, atol=1e-13 * E * AREA)


@every_material
def test_the_force_is_minus_the_gradient_of_the_energy_by_central_differences(name):
    force, x, dx, h = elastic(name), deformed(), torch.randn(27, 3), 1e-6
    slope = (force.energy(x + h * dx) - force.energy(x - h * dx)) / (2 * h)
    # Rounding eps E V / h = 2e-10 E, truncation h² psi''' = 1e-10 E.
    assert torch.allclose((forces_of(force, x) * dx).sum(), -slope, rtol=0, atol=1e-8 * E)


@every_material_both_ways
def test_the_hessian_product_is_the_derivative_of_the_gradient(name, deterministic):
    force, x, dx = (
        elastic(name, deterministic=deterministic),
        deformed(2).requires_grad_(),
        torch.randn(2, 27, 3),
    )
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x, create_graph=True)
    (product,) = torch.autograd.grad((gradient * dx).sum(), x)
    got = force.hessian_product(x.detach(), dx)
    assert torch.allclose(got, product, rtol=0, atol=1e-12 * largest(product))


@every_material_both_ways
def test_forward_mode_gives_minus_the_hessian_product(name, deterministic):
    force, x, dx = elastic(name, deterministic=deterministic), deformed(2), torch.randn(2, 27, 3)
    _, change = torch.func.jvp(lambda x: forces_of(force, x), (x,), (dx,))
    product = force.hessian_product(x, dx)
    assert torch.allclose(change, -product, rtol=0, atol=1e-12 * largest(product))


@every_material
def test_forces_add_up_to_zero(name):
    assert largest(forces_of(elastic(name), deformed(10)).sum(-2)) < 1e-10 * E * AREA


@every_invariant_material
def test_torques_add_up_to_zero(name):
    x = deformed(10)
    torque = torch.linalg.cross(x, forces_of(elastic(name), x)).sum(-2)
    assert largest(torque) < 1e-10 * E * AREA * 1.0


def test_torques_of_the_linear_material_about_the_rest_shape_add_up_to_zero():
    torque = torch.linalg.cross(body().vertices, forces_of(elastic("LinearElastic"), deformed())).sum(-2)
    assert largest(torque) < 1e-10 * E * AREA


@every_material
def test_at_rest_there_is_no_force_and_no_energy(name):
    force, x = elastic(name), body().vertices
    assert largest(forces_of(force, x)) < 1e-12 * E * AREA
    assert largest(force.energy(x)) < 1e-14 * E * VOLUME


@every_invariant_material
def test_a_rigid_motion_makes_no_force_and_no_energy(name):
    x = body().vertices @ rotations(20).mT + torch.randn(20, 1, 3)
    force = elastic(name)
    assert largest(forces_of(force, x)) < 1e-10 * E * AREA
    assert largest(force.energy(x)) < 1e-12 * E * VOLUME


@every_invariant_material
def test_forces_turn_with_a_rigid_motion_and_energy_stays(name):
    force, x, R = elastic(name), deformed(20), rotations(20)
    moved = x @ R.mT + torch.randn(20, 1, 3)
    assert torch.allclose(forces_of(force, moved), forces_of(force, x) @ R.mT, rtol=0, atol=1e-10 * E * AREA)
    assert torch.allclose(force.energy(moved), force.energy(x), rtol=0, atol=1e-12 * E * VOLUME)


@every_material
def test_an_affine_map_leaves_inner_vertices_without_force(name):
    force = elastic(name)
    x = body().vertices @ deformations(20, stretches=(0.8, 1.3)).mT + torch.randn(20, 1, 3)
    # The patch test: the only inner vertex is in the middle, and moved off the regular grid.
    assert largest(forces_of(force, x)[:, 13]) < 1e-10 * E * AREA


@every_material_both_ways
def test_a_batch_gives_the_forces_and_energies_of_its_samples_one_by_one(name, deterministic):
    moduli, ratios = E * (1 + torch.rand(3, 1)), 0.1 + 0.3 * torch.rand(3, 1)
    x, dx = deformed(3), torch.randn(3, 27, 3)
    force = elastic(name, moduli, ratios, deterministic=deterministic)
    together = forces_of(force, x), force.hessian_product(x, dx), force.energy(x)
    for k in range(3):
        force = elastic(name, moduli[k], ratios[k], deterministic=deterministic)
        alone = forces_of(force, x[k]), force.hessian_product(x[k], dx[k]), force.energy(x[k])
        for one, all_ in zip(alone, together, strict=True):
            # Vectorised and scalar powers and logarithms may differ in the last bit, cells in their order.
            assert torch.allclose(one, all_[k], rtol=0, atol=1e-13 * largest(all_))


@every_material
def test_two_batch_axes_are_one_that_is_unflattened(name):
    moduli = E * (1 + torch.rand(2, 1, CELLS))
    x = deformed(2, 3)
    grid = forces_of(elastic(name, moduli), x)
    flat = forces_of(elastic(name, moduli.expand(2, 3, CELLS).flatten(0, 1)), x.flatten(0, 1))
    assert torch.allclose(grid.flatten(0, 1), flat, rtol=0, atol=1e-13 * largest(flat))


@every_material
def test_derivatives_are_right_in_positions_and_in_every_stored_coefficient(name):
    moduli = (1 + torch.rand(CELLS)) if name != "LinearElastic" else 1.0
    force = elastic(name, moduli, 0.3)
    stored = {key: p.detach().clone().requires_grad_() for key, p in force.named_parameters()}

    def function(x, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return torch.func.functional_call(force, named, (State.at_rest(x),))

    inputs = (deformed().requires_grad_(), *stored.values())
    # Random projections of the Jacobian, which a wrong entry shows in.
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@pytest.mark.parametrize(
    "name", [name for name in MATERIALS if hasattr(MATERIALS[name](E, NU), "youngs_modulus")]
)
def test_the_gradient_in_a_cells_logarithmic_modulus_is_its_modulus_times_that_in_the_modulus(name):
    moduli, x, weights = E * (1 + torch.rand(CELLS)), deformed(), torch.randn(27, 3)
    force = elastic(name, moduli)
    log = force.material.log_youngs_modulus.requires_grad_()
    (gradient,) = torch.autograd.grad((forces_of(force, x) * weights).sum(), log)
    for cell in (0, 7, CELLS - 1):
        # Forces are linear in each modulus, so that a difference over any distance is exact.
        values = []
        for factor in (0.5, 1.5):
            changed = moduli.clone()
            changed[cell] *= factor
            values.append((forces_of(elastic(name, changed), x) * weights).sum())
        assert gradient[cell].item() == pytest.approx((values[1] - values[0]).item(), rel=1e-9, abs=1e-9 * E)


@pytest.mark.parametrize("name", ["StableNeoHookean", "LinearElastic", "written by a user"])
def test_regions_give_the_forces_of_the_cells_they_index(name):
    regions = torch.randint(0, 3, (CELLS,))
    regions[:3] = torch.arange(3)
    moduli, ratios = E * torch.tensor([1.0, 5.0, 0.2]), torch.tensor([0.1, 0.3, 0.45])
    by_region = ElasticForce(body(), MATERIALS[name](moduli, ratios), regions=regions, deterministic=False)
    by_cell = elastic(name, moduli[regions], ratios[regions])
    x, dx = deformed(), torch.randn(27, 3)
    # One rounding of each coefficient, whose vectorised exponentials may differ in the last bit.
    close = {"rtol": 1e-13, "atol": 1e-13 * E}
    assert torch.allclose(forces_of(by_region, x), forces_of(by_cell, x), **close)
    assert torch.allclose(by_region.hessian_product(x, dx), by_cell.hessian_product(x, dx), **close)
    assert torch.allclose(by_region.energy(x), by_cell.energy(x), **close)
    for state in (None, State.at_rest(x)):
        assert torch.allclose(by_region.stiffness_bound(state), by_cell.stiffness_bound(state), **close)


@every_material
def test_a_checkpoint_gives_the_same_gradients_to_the_last_bit(name):
    force = elastic(name)
    force.requires_grad_()
    inputs = (deformed().requires_grad_(), *force.parameters())
    (plain, rerun) = (
        torch.autograd.grad(work.square().sum(), inputs)
        for work in (
            forces_of(force, inputs[0]),
            checkpoint(forces_of, force, inputs[0], use_reentrant=False),
        )
    )
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


# Stability bounds


def element_stiffness(material, corners, x):
    """The stiffness of one tetrahedron, (12, 12), from its energy alone: no mesh, no trace, no elements."""
    rest = (corners[1:] - corners[0]).T
    volume, inverse = torch.linalg.det(rest) / 6, torch.linalg.inv(rest)

    def energy(flat):
        x = flat.reshape(4, 3)
        return volume * material.energy_density(matrix((x[1:] - x[0]).T @ inverse))

    return torch.autograd.functional.hessian(energy, x.flatten())


def largest_stiffness(build, x, moduli, ratios):
    """The largest eigenvalue of each cell's stiffness [N/m]."""
    mesh = body()
    return torch.stack(
        [
            torch.linalg.eigvalsh(element_stiffness(build(E_, nu), mesh.vertices[cell], x[cell]))[-1]
            for cell, E_, nu in zip(mesh.cells[::6], moduli[::6], ratios[::6], strict=True)
        ]
    )


@every_material
def test_the_stiffness_bound_at_a_state_is_the_largest_eigenvalue_of_each_element(name):
    moduli, ratios = E * (1 + torch.rand(CELLS)), 0.4 * torch.rand(CELLS)
    x = deformed()
    bound = elastic(name, moduli, ratios).stiffness_bound(State.at_rest(x))
    exact = largest_stiffness(MATERIALS[name], x, moduli, ratios)
    assert bound.shape == (CELLS,)
    assert torch.allclose(bound[::6], exact, rtol=1e-9, atol=0)


@every_material
@pytest.mark.parametrize("nu", [-0.9, -0.5, 0.0, 0.3, 0.49])
def test_the_stiffness_bound_at_rest_is_above_the_largest_eigenvalue_of_each_element(name, nu):
    moduli, ratios = E * (1 + torch.rand(CELLS)), torch.full((CELLS,), nu)
    bound = elastic(name, moduli, ratios).stiffness_bound(None)[::6]
    exact = largest_stiffness(MATERIALS[name], body().vertices, moduli, ratios)
    assert (bound >= exact * (1 - 1e-12)).all()
    # A bound that is ten times too high would shorten the time step by three.
    assert (bound <= 10 * exact).all()


@every_material
def test_the_stiffness_bound_of_a_batch_is_that_of_its_samples(name):
    # As many samples as cells, so that an axis taken for another shows in values, not in an error.
    moduli, ratios, x = E * (1 + torch.rand(CELLS, 1)), 0.4 * torch.rand(CELLS), deformed(CELLS)
    force = elastic(name, moduli, ratios)
    rest, moving = force.stiffness_bound(None), force.stiffness_bound(State.at_rest(x))
    for k in (0, 1, CELLS - 1):
        force = elastic(name, moduli[k], ratios)
        assert torch.allclose(rest.expand(CELLS, CELLS)[k], force.stiffness_bound(None), rtol=1e-11, atol=0)
        alone = force.stiffness_bound(State.at_rest(x[k]))
        assert torch.allclose(moving[k], alone, rtol=1e-11, atol=0)


@pytest.mark.parametrize("own", [(3, 1), (3, CELLS)])
def test_the_stiffness_bound_at_rest_takes_coefficients_with_and_without_batch(own):
    force, c10 = elastic("MooneyRivlin"), 1 + torch.rand(own)
    force.material.c10, force.material.c01 = c10, 1 + torch.rand(CELLS)
    bound = force.stiffness_bound(None)
    assert bound.shape == (3, CELLS)
    for k in range(3):
        force.material.c10 = c10[k]
        assert torch.allclose(bound[k], force.stiffness_bound(None), rtol=1e-12, atol=0)


# Materials that users write


class Fibre(Material):
    """Springs along x: an energy that reads one component of nine."""

    stiffness = Quantity("Pa", over="cells", positive=True)

    def __init__(self, stiffness):
        super().__init__()
        self.stiffness = stiffness

    def energy_density(self, F):
        return 0.5 * self.stiffness * (F.xx - 1) ** 2


class Transverse(Fibre):
    """Springs along y: an energy that does not read the first component."""

    def energy_density(self, F):
        return 0.5 * self.stiffness * (F.yy - 1) ** 2


@pytest.mark.parametrize("material", [Fibre, Transverse])
@pytest.mark.parametrize(
    ("batch", "own"), [((), ()), ((), (CELLS,)), ((3,), (CELLS,)), ((3,), (3, 1)), ((2, 3), (3, CELLS))]
)
def test_a_material_that_reads_one_component_gives_minus_the_gradient_of_its_energy(material, batch, own):
    force, x = ElasticForce(body(), material(1 + torch.rand(own))), deformed(*batch).requires_grad_()
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x)
    assert forces_of(force, x).shape == x.shape
    assert torch.allclose(forces_of(force, x), -gradient, rtol=0, atol=1e-13)
    assert force.hessian_product(x, x).shape == x.shape


# What an elastic force refuses


def test_a_batch_of_coefficients_at_a_single_state_is_broadcast_or_refused_but_never_misaligned():
    # As many samples as cells: taken for one another, they would fit.
    moduli, x = E * (1 + torch.rand(CELLS, 1)), deformed()
    force = elastic("LinearElastic", moduli)
    expected = forces_of(force, x.expand(CELLS, -1, -1))
    try:
        got = forces_of(force, x)
    except (ValueError, RuntimeError):
        return
    assert torch.allclose(got, expected, rtol=0, atol=1e-13 * E)


@pytest.mark.parametrize(
    "regions",
    [
        torch.zeros(CELLS),
        torch.zeros(CELLS - 1, dtype=torch.long),
        torch.full((CELLS,), -1),
        torch.full((CELLS,), CELLS),
    ],
)
def test_regions_that_are_not_one_index_per_cell_are_refused(regions):
    # By the constructor itself; a run with shape checks refuses some of them before.
    with pytest.raises(Exception, match=r"regions"):
        ElasticForce(body(), LinearElastic(E, NU), regions=regions)


@pytest.mark.parametrize("values", [2, 4])
def test_more_or_fewer_values_than_regions_are_refused_by_name(values):
    regions = torch.arange(CELLS) % 3
    with pytest.raises(ValueError, match=rf"youngs_modulus has shape \({values},\)"):
        ElasticForce(body(), LinearElastic(torch.ones(values), NU), regions=regions)


def test_the_same_scene_in_other_units_has_the_same_forces():
    # m -> mm and Pa -> MPa: N stay N.
    mesh = body()
    small = Mesh(mesh.vertices * 1000, mesh.cells)
    x = deformed()
    force = elastic("StableNeoHookean")
    scaled = ElasticForce(small, StableNeoHookean(E / 1e6, NU))
    assert torch.allclose(forces_of(scaled, 1000 * x), forces_of(force, x), rtol=0, atol=1e-10 * E * AREA)


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "regions",
    [
        [0, 0, 1, 1, 2, 2],
        np.array([0, 0, 1, 1, 2, 2], dtype=np.uint8),
        torch.tensor([0, 0, 1, 1, 2, 2]).int(),
    ],
)
def test_regions_are_integers_of_any_type(regions):
    force = ElasticForce(box_mesh(cells=(1, 1, 1)), StableNeoHookean(torch.ones(3), 0.3), regions=regions)
    assert force.regions.tolist() == [0, 0, 1, 1, 2, 2]


@pytest.mark.unchecked
@pytest.mark.parametrize(
    "regions", [[0.0] * 6, ["a"] * 6, None, torch.zeros(6, dtype=torch.bool), [0] * 5, [-1] * 6]
)
def test_regions_that_are_none_are_refused_by_name(regions):
    regions = torch.zeros(6) if regions is None else regions
    with pytest.raises((TypeError, ValueError), match=r"^regions must"):
        ElasticForce(box_mesh(cells=(1, 1, 1)), StableNeoHookean(1e5, 0.3), regions=regions)


@pytest.mark.unchecked
def test_a_material_without_a_quantity_is_refused_with_the_remedy():

    class Constant(Material):
        def energy_density(self, F):
            return 1e5 * F.inner(F)

    mesh = box_mesh(cells=(1, 1, 1))
    with pytest.raises(ValueError, match=r"Constant has no quantities.*Quantity"):
        ElasticForce(mesh, Constant())
    with pytest.raises(TypeError, match="material must be of class Material"):
        ElasticForce(mesh, 1e5)
