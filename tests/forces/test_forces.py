"""Forces: the contract of elastic forces, stability bounds, potentials that users write, loads."""

from functools import cache

import pytest
import torch
from support.materials import LAWS, ROTATION_INVARIANT, deformations, matrix, rotations
from torch.utils.checkpoint import checkpoint

from simlayer import (
    ElasticForce,
    Force,
    LinearElastic,
    Material,
    Mesh,
    NodalLoad,
    Potential,
    Quantity,
    StableNeoHookean,
    State,
    box_mesh,
)

pytestmark = pytest.mark.usefixtures("float64")

# A box of 1 m³ in scale, so that E A is E [N] and E V is E [J].
E, NU, AREA, VOLUME = 1e5, 0.3, 1.0, 1.0
CELLS = 48
# Inside its range a law is the one without; its tests of materials say so.
FORCES = [name for name in LAWS if not name.endswith("without range")]
every_law = pytest.mark.parametrize("name", FORCES)
every_invariant_law = pytest.mark.parametrize("name", [name for name in FORCES if name in ROTATION_INVARIANT])
# What sums to vertices knows nothing of the law, so one law shows the second way.
every_law_both_ways = pytest.mark.parametrize(
    ("name", "deterministic"), [(name, False) for name in FORCES] + [("stable Neo-Hookean", True)]
)


@cache
def body():
    """A unit box with its inner vertex moved, so that cells differ."""
    box = box_mesh(cells=(2, 2, 2))
    vertices = box.vertices.double()
    vertices[13] += torch.tensor([0.05, -0.08, 0.1])
    return Mesh(vertices, box.cells, vertex_sets=box.vertex_sets)


@cache
def _force(name, deterministic):
    # Once for all tests, since tracing takes up to two seconds; its quantities are set for each.
    return ElasticForce(body(), LAWS[name](E, NU), deterministic=deterministic)


def elastic(name, youngs_modulus=E, poissons_ratio=NU, *, deterministic=False):
    force, material = _force(name, deterministic), LAWS[name](youngs_modulus, poissons_ratio)
    for quantity in material.quantities():
        setattr(force.material, quantity, getattr(material, quantity))
    force.requires_grad_(False)
    return force


def deformed(*batch, amount=0.03):
    """Random positions of a body whose cells are half a metre wide."""
    vertices = body().vertices
    return vertices + amount * torch.randn(*batch, *vertices.shape)


def forces_of(force, x):
    return force(State.at_rest(x))


def largest(tensor):
    return tensor.abs().max().item()


# The contract of elastic forces, which a law joins through LAWS.


@every_law_both_ways
def test_the_force_is_minus_the_gradient_of_the_energy(name, deterministic):
    force, x = elastic(name, deterministic=deterministic), deformed(2).requires_grad_()
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x)
    # The same products in another order: rounding of stresses of order E.
    assert torch.allclose(forces_of(force, x), -gradient, rtol=0, atol=1e-13 * E * AREA)


@every_law
def test_the_force_is_minus_the_gradient_of_the_energy_by_central_differences(name):
    force, x, dx, h = elastic(name), deformed(), torch.randn(27, 3), 1e-6
    slope = (force.energy(x + h * dx) - force.energy(x - h * dx)) / (2 * h)
    # Rounding eps E V / h = 2e-10 E, truncation h² psi''' = 1e-10 E.
    assert torch.allclose((forces_of(force, x) * dx).sum(), -slope, rtol=0, atol=1e-8 * E)


@every_law_both_ways
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


@every_law_both_ways
def test_forward_mode_gives_minus_the_hessian_product(name, deterministic):
    force, x, dx = elastic(name, deterministic=deterministic), deformed(2), torch.randn(2, 27, 3)
    _, change = torch.func.jvp(lambda x: forces_of(force, x), (x,), (dx,))
    product = force.hessian_product(x, dx)
    assert torch.allclose(change, -product, rtol=0, atol=1e-12 * largest(product))


@every_law
def test_forces_add_up_to_zero(name):
    assert largest(forces_of(elastic(name), deformed(10)).sum(-2)) < 1e-10 * E * AREA


@every_invariant_law
def test_torques_add_up_to_zero(name):
    x = deformed(10)
    torque = torch.linalg.cross(x, forces_of(elastic(name), x)).sum(-2)
    assert largest(torque) < 1e-10 * E * AREA * 1.0


def test_torques_of_the_linear_law_about_the_rest_shape_add_up_to_zero():
    torque = torch.linalg.cross(body().vertices, forces_of(elastic("linear"), deformed())).sum(-2)
    assert largest(torque) < 1e-10 * E * AREA


@every_law
def test_at_rest_there_is_no_force_and_no_energy(name):
    force, x = elastic(name), body().vertices
    assert largest(forces_of(force, x)) < 1e-12 * E * AREA
    assert largest(force.energy(x)) < 1e-14 * E * VOLUME


@every_invariant_law
def test_a_rigid_motion_makes_no_force_and_no_energy(name):
    x = body().vertices @ rotations(20).mT + torch.randn(20, 1, 3)
    force = elastic(name)
    assert largest(forces_of(force, x)) < 1e-10 * E * AREA
    assert largest(force.energy(x)) < 1e-12 * E * VOLUME


@every_invariant_law
def test_forces_turn_with_a_rigid_motion_and_energy_stays(name):
    force, x, R = elastic(name), deformed(20), rotations(20)
    moved = x @ R.mT + torch.randn(20, 1, 3)
    assert torch.allclose(forces_of(force, moved), forces_of(force, x) @ R.mT, rtol=0, atol=1e-10 * E * AREA)
    assert torch.allclose(force.energy(moved), force.energy(x), rtol=0, atol=1e-12 * E * VOLUME)


@every_law
def test_an_affine_map_leaves_inner_vertices_without_force(name):
    force = elastic(name)
    x = body().vertices @ deformations(20, stretches=(0.8, 1.3)).mT + torch.randn(20, 1, 3)
    # The patch test: the only inner vertex is in the middle, and moved off the regular grid.
    assert largest(forces_of(force, x)[:, 13]) < 1e-10 * E * AREA


@every_law_both_ways
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


@every_law
def test_two_batch_axes_are_one_that_is_unflattened(name):
    moduli = E * (1 + torch.rand(2, 1, CELLS))
    x = deformed(2, 3)
    grid = forces_of(elastic(name, moduli), x)
    flat = forces_of(elastic(name, moduli.expand(2, 3, CELLS).flatten(0, 1)), x.flatten(0, 1))
    assert torch.allclose(grid.flatten(0, 1), flat, rtol=0, atol=1e-13 * largest(flat))


@every_law
def test_derivatives_are_right_in_positions_and_in_every_stored_coefficient(name):
    moduli = (1 + torch.rand(CELLS)) if name != "linear" else 1.0
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
    "name", [name for name in FORCES if name not in ("Mooney-Rivlin", "written by a user")]
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


@pytest.mark.parametrize("name", ["stable Neo-Hookean", "linear", "written by a user"])
def test_regions_give_the_forces_of_the_cells_they_index(name):
    regions = torch.randint(0, 3, (CELLS,))
    regions[:3] = torch.arange(3)
    moduli, ratios = E * torch.tensor([1.0, 5.0, 0.2]), torch.tensor([0.1, 0.3, 0.45])
    by_region = ElasticForce(body(), LAWS[name](moduli, ratios), regions=regions, deterministic=False)
    by_cell = elastic(name, moduli[regions], ratios[regions])
    x, dx = deformed(), torch.randn(27, 3)
    # One rounding of each coefficient, whose vectorised exponentials may differ in the last bit.
    close = {"rtol": 1e-13, "atol": 1e-13 * E}
    assert torch.allclose(forces_of(by_region, x), forces_of(by_cell, x), **close)
    assert torch.allclose(by_region.hessian_product(x, dx), by_cell.hessian_product(x, dx), **close)
    assert torch.allclose(by_region.energy(x), by_cell.energy(x), **close)
    for state in (None, State.at_rest(x)):
        assert torch.allclose(by_region.stiffness_bound(state), by_cell.stiffness_bound(state), **close)


@every_law
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
    """The stiffness of one tetrahedron, (12, 12), from its law alone: no mesh, no trace, no elements."""
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


@every_law
def test_the_stiffness_bound_at_a_state_is_the_largest_eigenvalue_of_each_element(name):
    moduli, ratios = E * (1 + torch.rand(CELLS)), 0.4 * torch.rand(CELLS)
    x = deformed()
    bound = elastic(name, moduli, ratios).stiffness_bound(State.at_rest(x))
    exact = largest_stiffness(LAWS[name], x, moduli, ratios)
    assert bound.shape == (CELLS,)
    assert torch.allclose(bound[::6], exact, rtol=1e-9, atol=0)


@every_law
@pytest.mark.parametrize("nu", [-0.9, -0.5, 0.0, 0.3, 0.49])
def test_the_stiffness_bound_at_rest_is_above_the_largest_eigenvalue_of_each_element(name, nu):
    moduli, ratios = E * (1 + torch.rand(CELLS)), torch.full((CELLS,), nu)
    bound = elastic(name, moduli, ratios).stiffness_bound(None)[::6]
    exact = largest_stiffness(LAWS[name], body().vertices, moduli, ratios)
    assert (bound >= exact * (1 - 1e-12)).all()
    # A bound that is ten times too high would shorten the time step by three.
    assert (bound <= 10 * exact).all()


@every_law
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
    force, c10 = elastic("Mooney-Rivlin"), 1 + torch.rand(own)
    force.material.c10, force.material.c01 = c10, 1 + torch.rand(CELLS)
    bound = force.stiffness_bound(None)
    assert bound.shape == (3, CELLS)
    for k in range(3):
        force.material.c10 = c10[k]
        assert torch.allclose(bound[k], force.stiffness_bound(None), rtol=1e-12, atol=0)


# Laws that users write


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


@pytest.mark.parametrize("law", [Fibre, Transverse])
@pytest.mark.parametrize(
    ("batch", "own"), [((), ()), ((), (CELLS,)), ((3,), (CELLS,)), ((3,), (3, 1)), ((2, 3), (3, CELLS))]
)
def test_a_law_that_reads_one_component_gives_minus_the_gradient_of_its_energy(law, batch, own):
    force, x = ElasticForce(body(), law(1 + torch.rand(own))), deformed(*batch).requires_grad_()
    (gradient,) = torch.autograd.grad(force.energy(x).sum(), x)
    assert forces_of(force, x).shape == x.shape
    assert torch.allclose(forces_of(force, x), -gradient, rtol=0, atol=1e-13)
    assert force.hessian_product(x, x).shape == x.shape


# What an elastic force refuses


def test_a_batch_of_coefficients_at_a_single_state_is_broadcast_or_refused_but_never_misaligned():
    # As many samples as cells: taken for one another, they would fit.
    moduli, x = E * (1 + torch.rand(CELLS, 1)), deformed()
    force = elastic("linear", moduli)
    expected = forces_of(force, x.expand(CELLS, -1, -1))
    try:
        got = forces_of(force, x)
    except (ValueError, RuntimeError):
        return
    assert torch.allclose(got, expected, rtol=0, atol=1e-13 * E)


@pytest.mark.parametrize(
    "regions", [torch.zeros(CELLS), torch.zeros(CELLS - 1, dtype=torch.long), torch.full((CELLS,), -1)]
)
def test_regions_that_are_not_one_index_a_cell_are_refused(regions):
    # By the constructor itself; a run with shape checks refuses some of them before.
    with pytest.raises(Exception, match=r"regions"):
        ElasticForce(body(), LinearElastic(E, NU), regions=regions)


@pytest.mark.parametrize("values", [2, 4])
def test_more_or_fewer_values_than_regions_are_refused_by_name(values):
    regions = torch.arange(CELLS) % 3
    with pytest.raises(ValueError, match=rf"youngs_modulus has shape \({values},\)"):
        ElasticForce(body(), LinearElastic(torch.ones(values), NU), regions=regions)


# Potentials that users write, by their energy alone


class Springs(Potential):
    """Every vertex on a stiffening spring to its anchor."""

    stiffness = Quantity("N/m", over="vertices", positive=True)
    anchors = Quantity("m", over="vertex vectors")

    def __init__(self, anchors, stiffness):
        super().__init__()
        self.anchors, self.stiffness = anchors, stiffness

    def energy(self, positions):
        squares = (positions - self.anchors).square().sum(-1)
        return (0.5 * self.stiffness * squares * (1 + squares)).sum(-1)


class Well(Potential):
    """A softened point mass that attracts all vertices; its place is a plain buffer."""

    strength = Quantity("N m", positive=True)

    def __init__(self, centre, strength):
        super().__init__()
        self.strength = strength
        self.register_buffer("centre", centre)

    def energy(self, positions):
        distance = ((positions - self.centre).square().sum(-1) + 0.01).sqrt()
        return -(self.strength.reshape(*self.strength.shape[:-1], 1) / distance).sum(-1)


POTENTIALS = {
    "springs": lambda: Springs(body().vertices.clone(), 3.0),
    "springs of each vertex": lambda: Springs(body().vertices.clone(), 1 + torch.rand(27)),
    "well": lambda: Well(torch.tensor([0.3, -0.2, 1.5]), 2.0),
    "elastic": lambda: elastic("linear", 1.0, 0.3),
}
every_potential = pytest.mark.parametrize("make", POTENTIALS.values(), ids=POTENTIALS)
shapes = pytest.mark.parametrize("batch", [(), (2,), (2, 3)])


@every_potential
@shapes
def test_a_potential_derives_force_and_hessian_product_from_its_energy(make, batch):
    potential, x, dx = make(), deformed(*batch).requires_grad_(), torch.randn(*batch, 27, 3)
    energy = potential.energy(x)
    (gradient,) = torch.autograd.grad(energy.sum(), x, create_graph=True)
    (product,) = torch.autograd.grad((gradient * dx).sum(), x)
    assert energy.shape == batch
    assert torch.allclose(forces_of(potential, x), -gradient, rtol=0, atol=1e-13)
    assert torch.allclose(potential.hessian_product(x, dx), product, rtol=0, atol=1e-12)


@every_potential
def test_a_potentials_derivatives_are_right_in_positions_and_quantities(make):
    potential = make()
    stored = {key: p.detach().clone().requires_grad_() for key, p in potential.named_parameters()}

    def function(x, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return torch.func.functional_call(potential, named, (State.at_rest(x),))

    inputs = (deformed().requires_grad_(), *stored.values())
    assert torch.autograd.gradcheck(function, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(function, inputs, fast_mode=True)


@every_potential
@pytest.mark.parametrize("prepared", [True, False])
def test_a_potential_works_inside_a_checkpoint(make, prepared):
    potential, x = make(), deformed().requires_grad_()
    potential.requires_grad_()
    if prepared:
        potential.prepare(State.at_rest(x))
    inputs = (x, *potential.parameters())
    rerun = torch.autograd.grad(
        checkpoint(forces_of, potential, x, use_reentrant=False).square().sum(), inputs
    )
    plain = torch.autograd.grad(forces_of(potential, x).square().sum(), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@every_potential
@pytest.mark.parametrize("prepared", [True, False])
def test_a_potential_works_in_forward_mode(make, prepared):
    potential, x, dx = make(), deformed(), torch.randn(27, 3)
    if prepared:
        potential.prepare(State.at_rest(x))
    _, change = torch.func.jvp(lambda x: forces_of(potential, x), (x,), (dx,))
    assert torch.allclose(change, -potential.hessian_product(x, dx), rtol=0, atol=1e-12)


def inside(transform):
    """A first call of a potential inside a transform of functions, or in a mode."""

    def first_call(potential, x):
        transform(lambda x: forces_of(potential, x), x)

    return first_call


FIRST_CALLS = {
    "forward mode": inside(lambda f, x: torch.func.jvp(f, (x,), (x,))),
    "gradient": inside(lambda f, x: torch.func.grad(lambda x: f(x).sum())(x)),
    "map over samples": inside(lambda f, x: torch.func.vmap(f)(torch.stack([x, x]))),
    "inference": inside(lambda f, x: torch.inference_mode()(f)(x)),
    "autocast": inside(lambda f, x: torch.autocast("cpu", dtype=torch.bfloat16)(f)(x)),
}


@pytest.mark.parametrize("first_call", FIRST_CALLS.values(), ids=FIRST_CALLS)
@every_potential
def test_a_potential_is_right_after_a_first_call_in_whatever_surroundings(make, first_call):
    potential, x = make(), deformed()
    first_call(potential, deformed())
    x.requires_grad_()
    (gradient,) = torch.autograd.grad(potential.energy(x).sum(), x)
    assert torch.allclose(forces_of(potential, x), -gradient, rtol=0, atol=1e-13)
    assert forces_of(potential, x).requires_grad


@every_potential
def test_a_potential_of_a_batch_gives_the_forces_of_its_samples(make):
    potential, x = make(), deformed(3)
    together = forces_of(potential, x)
    for k in range(3):
        assert torch.allclose(together[k], forces_of(potential, x[k]), rtol=0, atol=1e-13)


def test_a_batch_of_a_potentials_quantity_acts_sample_by_sample():
    strengths, x = 1 + torch.rand(3, 1), deformed(3)
    together = forces_of(Well(torch.zeros(3), strengths), x)
    for k in range(3):
        alone = forces_of(Well(torch.zeros(3), strengths[k]), x[k])
        assert torch.allclose(together[k], alone, rtol=0, atol=1e-14)


def test_a_potential_follows_a_quantity_that_was_assigned():
    potential, x = Springs(torch.zeros(1, 3), 3.0), deformed()
    before = forces_of(potential, x)
    potential.stiffness = 6.0
    assert torch.allclose(forces_of(potential, x), 2 * before, rtol=1e-14, atol=0)
    potential.anchors = x[:1] * 0
    assert torch.allclose(forces_of(potential, x), 2 * before, rtol=1e-14, atol=0)
    potential.anchors = x.clone()
    assert largest(forces_of(potential, x)) == 0


def test_a_potential_follows_a_buffer_that_was_changed_in_place():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    forces_of(potential, x)
    potential.centre.neg_()
    fresh = Well(torch.tensor([0.0, 0.0, -3.0]), 1.0)
    assert torch.equal(forces_of(potential, x), forces_of(fresh, x))


def test_a_potential_follows_a_buffer_that_was_replaced():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    forces_of(potential, x)
    potential.centre = torch.tensor([0.0, 0.0, -3.0])
    fresh = Well(torch.tensor([0.0, 0.0, -3.0]), 1.0)
    assert torch.equal(forces_of(potential, x), forces_of(fresh, x))


def test_a_potential_follows_its_module_to_another_precision():
    potential, x = Well(torch.tensor([0.0, 0.0, 3.0]), 1.0), deformed()
    exact = forces_of(potential, x)
    single = forces_of(potential.float(), x.float())
    assert single.dtype == torch.float32
    # A few roundings in single precision of forces below one.
    assert torch.allclose(single.double(), exact, rtol=0, atol=1e-6)
    assert torch.allclose(forces_of(potential.double(), x), exact, rtol=0, atol=1e-7)


def test_a_potential_that_was_first_asked_without_gradients_gives_them_later():
    potential, x = POTENTIALS["springs"](), deformed().requires_grad_()
    with torch.no_grad():
        assert not forces_of(potential, x).requires_grad
    assert forces_of(potential, x).requires_grad
    with torch.inference_mode():
        inferred = forces_of(potential, x)
    assert torch.equal(inferred, forces_of(potential, x))


def test_a_force_without_elements_bounds_no_stiffness():
    assert POTENTIALS["well"]().stiffness_bound(None).tolist() == [0.0]


# Loads


@pytest.mark.parametrize("shape", [(27, 3), (1, 3)])
@shapes
def test_a_load_is_the_given_force_on_every_vertex_of_every_sample(shape, batch):
    given = torch.randn(shape)
    got = forces_of(NodalLoad(body(), given), deformed(*batch))
    assert torch.equal(got, given.expand(*batch, 27, 3))


def test_a_batch_of_loads_is_applied_sample_by_sample():
    given = torch.randn(3, 27, 3)
    load = NodalLoad(body(), given[0])
    load.forces = given
    assert torch.equal(forces_of(load, deformed(3)), given)


def test_the_work_of_a_load_has_the_positions_as_its_gradient():
    load, x = NodalLoad(body(), torch.randn(27, 3)).requires_grad_(), deformed()
    (gradient,) = torch.autograd.grad((forces_of(load, x) * x).sum(), load.parameters())
    assert torch.equal(gradient, x)


def test_a_common_load_has_the_sum_over_vertices_as_its_gradient():
    load, x = NodalLoad(body(), torch.randn(1, 3)).requires_grad_(), deformed()
    (gradient,) = torch.autograd.grad((forces_of(load, x) * x).sum(), load.parameters())
    assert torch.allclose(gradient, x.sum(0, keepdim=True), rtol=1e-14, atol=0)


@pytest.mark.parametrize("shape", [(26, 3), (27, 1)])
def test_a_load_of_another_mesh_is_refused(shape):
    with pytest.raises(Exception, match=r"forces"):
        NodalLoad(body(), torch.zeros(shape))


def test_forces_and_potentials_are_abstract():
    for kind in (Force, Potential):
        with pytest.raises(TypeError, match="abstract"):
            kind()


def test_the_same_scene_in_other_units_has_the_same_forces():
    # m -> mm and Pa -> MPa: N stay N.
    mesh = body()
    small = Mesh(mesh.vertices * 1000, mesh.cells)
    x = deformed()
    force = elastic("stable Neo-Hookean")
    scaled = ElasticForce(small, StableNeoHookean(E / 1e6, NU))
    assert torch.allclose(forces_of(scaled, 1000 * x), forces_of(force, x), rtol=0, atol=1e-10 * E * AREA)
