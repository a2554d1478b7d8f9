"""The contract of dissipation potentials, and what each of them promises beyond."""

import copy
import pickle
from functools import cache

import pytest
import torch
from support.materials import array, matrix, rotations
from support.meshes import ELEMENTS, wavy
from torch import nn
from torch.utils.checkpoint import checkpoint

from simlayer import (
    ElasticForce,
    KelvinVoigt,
    NodalLoad,
    Quantity,
    RatePotential,
    RayleighDamping,
    StableNeoHookean,
    State,
    SymplecticEuler,
)
from simlayer.forces.kelvin_voigt import dissipation_density

pytestmark = pytest.mark.usefixtures("float64")


class Drag(RatePotential):
    """What a user writes: a resistance that grows with speed and depth, by its energy alone."""

    coefficient = Quantity("N s²/m³", over="vertices", positive=True)

    def __init__(self, coefficient):
        super().__init__()
        self.coefficient = coefficient

    def energy(self, positions, velocities):
        speeds = (velocities.square().sum(-1) + 1e-4).sqrt()
        return (self.coefficient * speeds**3 * (1 + positions[..., 2].square())).sum(-1) / 3


@cache
def body(element="tet4"):
    return wavy(element, (2, 1, 1))


@cache
def _viscous(element):
    mesh = body(element)
    return KelvinVoigt(mesh, shear_viscosity=1 + torch.rand(len(mesh.cells)), bulk_viscosity=0.7)


@cache
def _elasticity(element):
    return ElasticForce(body(element), StableNeoHookean(3.0, 0.3))


def rayleigh(element="tet4"):
    damping = RayleighDamping("elastic", coefficient=0.2)
    forces = nn.ModuleDict({"elastic": copy.deepcopy(_elasticity(element)), "damping": damping})
    damping.connect(forces)
    return damping


RATES = {
    f"viscous {element}": (element, lambda e=element: copy.deepcopy(_viscous(e))) for element in ELEMENTS
}
RATES |= {f"Rayleigh {element}": (element, lambda e=element: rayleigh(e)) for element in ("tet4", "hex20")}
RATES |= {"written by a user": ("tet4", lambda: Drag(1 + torch.rand(len(body().vertices))))}
ELEMENT_FREE = ["written by a user"]
every_rate = pytest.mark.parametrize("name", RATES)
every_element_rate = pytest.mark.parametrize("name", [name for name in RATES if name not in ELEMENT_FREE])
every_element = pytest.mark.parametrize("element", ELEMENTS)


def made(name, *batch):
    """The potential, and a deformed and moving state."""
    element, make = RATES[name]
    torch.manual_seed(1)
    vertices = body(element).vertices
    x = vertices + 0.03 * torch.randn(*batch, *vertices.shape)
    return make(), x, torch.randn(*batch, *vertices.shape)


def size(tensor):
    return tensor.abs().max().item()


@every_rate
@pytest.mark.parametrize("batch", [(), (2,), (2, 3)])
def test_the_force_is_minus_the_gradient_of_the_potential_by_the_velocities(name, batch):
    rate, x, v = made(name, *batch)
    d = torch.randn_like(v)
    v.requires_grad_()
    energy = rate.energy(x, v)
    (gradient,) = torch.autograd.grad(energy.sum(), v, create_graph=True)
    (product,) = torch.autograd.grad((gradient * d).sum(), v)
    assert energy.shape == batch
    assert torch.allclose(rate(State(x, v)), -gradient, rtol=0, atol=1e-13 * size(gradient))
    assert torch.allclose(rate.rate_product(x, v, d), product, rtol=0, atol=1e-12 * size(product))


@every_rate
def test_derivatives_are_right_in_positions_velocities_and_quantities(name):
    rate, x, v = made(name)
    stored = {key: p.detach().clone().requires_grad_() for key, p in rate.named_parameters()}

    def force(x, v, *tensors):
        named = dict(zip(stored, tensors, strict=True))
        return torch.func.functional_call(rate, named, (State(x, v),))

    inputs = (x.requires_grad_(), v.requires_grad_(), *stored.values())
    assert torch.autograd.gradcheck(force, inputs, fast_mode=True)
    assert torch.autograd.gradgradcheck(force, inputs, fast_mode=True)
    inputs = (x, v, torch.randn_like(v).requires_grad_())
    assert torch.autograd.gradcheck(rate.rate_product, inputs, fast_mode=True)
    assert torch.autograd.gradcheck(rate.energy, inputs[:2], fast_mode=True)


@every_rate
def test_forward_mode_agrees_with_reverse_mode(name):
    rate, x, v = made(name)
    dx, dv, weights = torch.randn_like(x), torch.randn_like(v), torch.randn_like(x)
    _, change = torch.func.jvp(lambda x, v: rate(State(x, v)), (x, v), (dx, dv))
    x.requires_grad_(), v.requires_grad_()
    slopes = torch.autograd.grad((rate(State(x, v)) * weights).sum(), (x, v))
    expected = (slopes[0] * dx).sum() + (slopes[1] * dv).sum()
    assert torch.allclose((change * weights).sum(), expected, rtol=1e-11)


@every_element_rate
@pytest.mark.parametrize("batch", [(), (2, 3)])
def test_the_blocks_add_up_to_the_product(name, batch):
    rate, x, v = made(name, *batch)
    d = torch.randn_like(v)
    blocks, cells = rate.hessian_blocks(x, v), rate.couplings
    parts = (blocks @ d[..., cells, :].flatten(-2)[..., None]).squeeze(-1).unflatten(-1, (-1, 3))
    total = torch.zeros_like(d).index_add(-2, cells.flatten(), parts.flatten(-3, -2))
    product = rate.rate_product(x, v, d)
    assert torch.allclose(total, product, rtol=0, atol=1e-12 * size(product))
    eigenvalues = torch.linalg.eigvalsh(rate.hessian_blocks(x, v, projected=True))
    assert eigenvalues.min() > -1e-12 * eigenvalues.max()


def test_a_potential_that_knows_its_energy_only_has_no_blocks():
    rate, x, v = made("written by a user")
    assert rate.couplings is None
    with pytest.raises(NotImplementedError, match="Drag has no couplings"):
        rate.hessian_blocks(x, v)


@every_rate
def test_a_batch_is_its_samples_one_by_one(name):
    rate, x, v = made(name, 3)
    together = rate(State(x, v)), rate.rate_product(x, v, x), rate.energy(x, v)
    for k in range(3):
        alone = rate(State(x[k], v[k])), rate.rate_product(x[k], v[k], x[k]), rate.energy(x[k], v[k])
        for one, every in zip(alone, together, strict=True):
            assert torch.allclose(one, every[k], rtol=0, atol=1e-13 * size(every))


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


@every_rate
def test_the_power_is_not_positive(name):
    # Rayleigh damping near the rest shape, where the stiffness is not indefinite.
    rate, x, v = made(name, 20)
    if name.startswith("Rayleigh"):
        x = body(RATES[name][0]).vertices.expand_as(x)
    power = (rate(State(x, v)) * v).sum((-1, -2))
    assert (power < 0).all()
    if name != "written by a user":
        assert torch.allclose(power, -2 * rate.energy(x, v), rtol=1e-12)


@every_rate
def test_a_checkpoint_gives_the_same_gradients_to_the_last_bit(name):
    rate, x, v = made(name)
    rate.requires_grad_()
    inputs = (x.requires_grad_(), v.requires_grad_(), *rate.parameters())

    def force(x, v):
        return rate(State(x, v))

    plain = torch.autograd.grad(force(x, v).square().sum(), inputs)
    again = checkpoint(force, x, v, use_reentrant=False)
    rerun = torch.autograd.grad(again.square().sum(), inputs)
    assert all(torch.equal(p, r) for p, r in zip(plain, rerun, strict=True))


@every_rate
def test_a_copy_gives_the_same_forces(name):
    rate, x, v = made(name)
    expected = rate(State(x, v))
    for copied in (copy.deepcopy(rate), pickle.loads(pickle.dumps(rate))):
        assert torch.equal(copied(State(x, v)), expected)


# Kelvin-Voigt


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
    eta, zeta, F, dF = torch.rand(5), torch.rand(5), torch.randn(5, 3, 3), torch.randn(5, 3, 3)
    dF.requires_grad_()
    density = dissipation_density((eta, zeta), matrix(F), matrix(dF))
    (stress,) = torch.autograd.grad(density.sum(), dF)
    rate = (F.mT @ dF + dF.mT @ F) / 2
    trace = rate.diagonal(dim1=-2, dim2=-1).sum(-1)[:, None, None]
    expected = F @ (2 * eta[:, None, None] * rate + zeta[:, None, None] * trace * torch.eye(3))
    assert torch.allclose(stress, expected, rtol=1e-12, atol=1e-13)
    law, element = _viscous("tet4").law, [*matrix(F)]
    assert torch.allclose(
        array(law.gradient([eta, zeta, *element], matrix(dF.detach()))), expected, rtol=1e-12
    )


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


# Rayleigh damping


def damped(**options):
    forces = {"elastic": copy.deepcopy(_elasticity("tet4"))}
    forces |= {"damping": RayleighDamping("elastic", coefficient=1e-3)} | options.pop("forces", {})
    return SymplecticEuler(body(), forces, dt=1e-4, **options)


def test_rayleigh_damping_is_beta_times_the_stiffness_there():
    rate, x, v = made("Rayleigh hex20")
    elastic = rate._potential
    assert torch.equal(rate(State(x, v)), -0.2 * elastic.hessian_product(x, v))
    assert torch.equal(rate.damping_bound(State(x, v)), 0.2 * elastic.stiffness_bound(State(x, v)))


def test_the_force_that_damping_refers_to_keeps_a_single_name():
    step = damped()
    names = [name for name, _ in step.named_parameters(remove_duplicate=False)]
    assert len(names) == len(set(names))
    assert [name for name in names if name.startswith("forces.damping")] == ["forces.damping.log_coefficient"]
    assert not [name for name, _ in step.named_modules() if name.startswith("forces.damping.")]
    assert "forces.damping.log_coefficient" in step.state_dict()


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda step: pickle.loads(pickle.dumps(step))])
def test_damping_in_a_copied_step_refers_to_the_copied_force(copied):
    step = copied(damped())
    assert step.forces["damping"]._potential is step.forces["elastic"]
    x, v = body().vertices, torch.randn(len(body().vertices), 3)
    before = step.forces["damping"](State(x, v))
    step.forces["elastic"].material.youngs_modulus = 6.0
    assert torch.allclose(step.forces["damping"](State(x, v)), 2 * before, rtol=1e-12)


def test_damping_follows_a_step_to_another_precision_and_a_force_that_is_replaced():
    step, (x, v) = damped(), (body().vertices, torch.randn(len(body().vertices), 3))
    exact = step.forces["damping"](State(x, v))
    single = step.float().forces["damping"](State(x.float(), v.float()))
    assert single.dtype == torch.float32
    assert torch.allclose(single.double(), exact, rtol=0, atol=1e-5 * size(exact))
    step.double().forces["elastic"] = ElasticForce(body(), StableNeoHookean(9.0, 0.3))
    again = step.forces["damping"](State(x, v))
    assert torch.allclose(again, 3 * exact, rtol=1e-5, atol=1e-5 * size(exact))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("elastc", r"refers to a force 'elastc' that the step does not have; did you mean 'elastic'\?"),
        ("zzz", r"'zzz' that the step does not have; there are \['elastic', 'other', 'damping'\]"),
        ("other", r"needs the stiffness of a Potential, such as ElasticForce, but 'other' is Drag"),
        ("damping", r"needs the stiffness of a Potential.* 'damping' is RayleighDamping"),
    ],
)
def test_a_name_that_damping_can_not_refer_to_is_refused(name, message):
    forces = {"elastic": copy.deepcopy(_elasticity("tet4")), "other": Drag(1.0)}
    with pytest.raises(ValueError, match=message):
        SymplecticEuler(body(), forces | {"damping": RayleighDamping(name, coefficient=1.0)}, dt=1e-4)


def test_damping_outside_a_step_says_what_it_lacks():
    damping = RayleighDamping("elastic", coefficient=1.0)
    with pytest.raises(RuntimeError, match="knows the force 'elastic' only as part of a step"):
        damping(State.at_rest(body().vertices))


def test_damping_may_refer_to_a_potential_that_a_user_wrote_and_to_a_load():
    load = NodalLoad(body(), torch.ones(1, 3))
    step = damped(forces={"load": load, "none": RayleighDamping("load", coefficient=1.0)})
    x = body().vertices
    assert not step.forces["none"](State(x, x)).any()


def test_rate_potentials_are_abstract():
    with pytest.raises(TypeError, match="abstract"):
        RatePotential()
