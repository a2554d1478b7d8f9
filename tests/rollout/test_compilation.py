"""Compiled rollouts: equal to eager ones in value and gradient, whatever is supplied, batched and kept.

The first class of tests uses inductor, which needs a C++ compiler and ten seconds for every new variant; the
second a backend that only traces, and takes the same path up to code generation.
"""

import copy
import pickle

import pytest
import torch
from support.contacts import KAPPA_NAME, PLACE_NAME, dropped, falling
from support.materials import MATERIALS
from support.scenes import (
    DAMPING_NAME,
    E_NAME,
    LOAD_NAME,
    NU_NAME,
    Tether,
    Wind,
    beam,
    beam_of,
    moving,
    noise,
    same,
)
from torch import Tensor

from simlayer import (
    DistributedLoad,
    ElasticForce,
    Force,
    KelvinVoigt,
    PointMass,
    RayleighDamping,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)

pytestmark = [
    pytest.mark.compiled,
    pytest.mark.usefixtures("float64"),
    # Torch's own compiler still uses torch.jit.
    pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning"),
]

M = 18
NAMES = (E_NAME, NU_NAME, LOAD_NAME, DAMPING_NAME, "log_density", "gravity", "prescribed_velocities")


def gradients(
    rollout: RolloutModule, state: State, values: dict[str, Tensor]
) -> tuple[State, dict[str, Tensor]]:
    """The end of a rollout, and the gradients of a loss of it to the state and all that is supplied."""
    leaves = {name: value.detach().clone().requires_grad_() for name, value in values.items()}
    start = State(*(x.detach().clone().requires_grad_() for x in state[:2]))
    end = rollout(start, leaves)
    weights = [noise(*end.positions.shape[-2:], seed=seed).to(end.positions.dtype) for seed in (11, 12)]
    loss = (
        100 * end.positions * weights[0] + end.velocities * weights[1] + end.velocities.square() / 50
    ).sum()
    slopes = torch.autograd.grad(loss, [*start[:2], *leaves.values()])
    return end, dict(zip(["positions", "velocities", *leaves], slopes, strict=True))


def assert_like_eager(
    step: SymplecticEuler, state: State, values: dict[str, Tensor], tolerance: float, **options
):
    """Within a tolerance relative to the largest entry of each result and gradient."""
    found = gradients(RolloutModule(step, 6, **({"checkpoint": "none"} | options)), state, values)
    expected = gradients(RolloutModule(step, 6, checkpoint="none", compile=False), state, values)
    pairs = [(name, found[1][name], slope) for name, slope in expected[1].items()]
    for name, a, b in [*zip(("end", "speed"), found[0][:2], expected[0][:2], strict=True), *pairs]:
        assert (a - b).abs().max() <= tolerance * b.abs().max(), name


def values_of(step: SymplecticEuler) -> dict[str, Tensor]:
    return {name: dict(step.named_parameters())[name] for name in NAMES}


# Fused sums are in another order: ten roundings a substep in 12 substeps, with cancellation in the forces.
TOLERANCE = {torch.float64: 1e-12, torch.float32: 2e-4}


class TestInductor:
    @pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
    def test_values_and_all_gradients_equal_the_eager_ones_with_and_without_checkpoints(self, dtype):
        torch.set_default_dtype(dtype)
        step = beam()
        for checkpoint in ("none", "sqrt", 4):
            assert_like_eager(
                step, moving(), values_of(step), TOLERANCE[dtype], compile=True, checkpoint=checkpoint
            )

    def test_a_users_material_with_parameters_per_sample_equals_the_eager_one(self):
        step = beam(material=MATERIALS["written by a user"](1e5, 0.4))
        quantities = step.forces["elastic"].material.named_parameters(prefix="forces.elastic.material")
        values = {n: p.detach() + 0.1 * noise(3, M, seed=k) for k, (n, p) in enumerate(quantities)}
        assert_like_eager(step, moving(), values, 1e-12, compile=True)

    def test_elements_with_several_quadrature_points_equal_the_eager_ones(self):
        step, state = beam_of("tet10")
        moduli = step.forces["elastic"].material.log_youngs_modulus + 0.1 * noise(
            step.elements.num_cells, seed=5
        )
        values = values_of(step) | {E_NAME: moduli.detach()}
        # The gradient to the density is one sum over all that cancels to a hundredth of its terms.
        assert_like_eager(step, state, values, 1e-11, compile=True)

    def test_damping_forces_and_a_load_on_faces_equal_the_eager_ones(self):
        mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
        forces = {
            "viscosity": KelvinVoigt(mesh, shear_viscosity=20.0, bulk_viscosity=10.0),
            "rayleigh": RayleighDamping("elastic", coefficient=5e-4),
            "tip": DistributedLoad(mesh, "x_max", force=(0.1, 0.2, 0.3)),
        }
        step = beam(forces=forces, masses={"weight": PointMass(mesh, "x_max", mass=0.1)}, dt=2e-3)
        names = ("viscosity.log_shear_viscosity", "viscosity.log_bulk_viscosity", "rayleigh.log_coefficient")
        values = {f"forces.{name}": dict(step.forces.named_parameters())[name] for name in names}
        values |= {"forces.tip.force": noise(3), "masses.weight.log_mass": noise(2, 1)} | values_of(step)
        assert_like_eager(step, moving(), values, 1e-12, compile=True, checkpoint=3)

    def test_contact_with_parameters_per_sample_equals_the_eager_one(self):
        step, names = dropped("box", dt=5e-4), (E_NAME, KAPPA_NAME, PLACE_NAME)
        values = {n: dict(step.named_parameters())[n] + 1e-4 * noise(3, 1) for n in names}
        # Its lower corners are in contact from the start.
        start = falling()._replace(positions=falling().positions - torch.tensor([0.0, 0.0, 6e-3]))
        assert_like_eager(step, start, values, 1e-11, compile=True)

    def test_weights_of_any_memory_layout_are_read_right(self):
        step = beam(forces={"mixing": Mixing()})
        for weight in (noise(3, 3), noise(3, 3).T):
            end = RolloutModule(step, 3, compile=True)(moving(), {"forces.mixing.weight": weight})
            eager = RolloutModule(step, 3, compile=False)(moving(), {"forces.mixing.weight": weight})
            assert torch.allclose(end.positions, eager.positions, rtol=0, atol=1e-14)

    def test_a_copy_of_a_rollout_that_ran_compiled_runs_alike(self):
        rollout = RolloutModule(beam((1, 1, 1)), 2, compile=True)
        first = rollout(moving((1, 1, 1)))
        for copied in (copy.deepcopy(rollout), pickle.loads(pickle.dumps(rollout))):
            copied.compiler = False
            assert torch.allclose(first.positions, copied(moving((1, 1, 1))).positions, rtol=0, atol=1e-14)


class Mixing(Force):
    """A force with a matrix of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.eye(3))

    def forward(self, state: State) -> Tensor:
        x, w = state.positions, self.weight
        return torch.stack(
            [x[..., 0] * w[i, 0] + x[..., 1] * w[i, 1] + x[..., 2] * w[i, 2] for i in range(3)], -1
        )


class Push(Force):
    """A force without quantities: one newton upwards on every vertex."""

    def forward(self, state: State) -> Tensor:
        return torch.ones_like(state.positions)


class TestTraced:
    def test_one_rollout_serves_every_batch_with_and_without_gradients(self):
        cells = (1, 2, 1)
        step = beam(cells)
        num_cells = 6 * cells[0] * cells[1] * cells[2]
        compiled = RolloutModule(step, 2, compile="eager")
        eager = RolloutModule(step, 2, compile=False)
        for shape in ((), (num_cells,), (4, 1), (4, num_cells)):
            for trained in (False, True):
                modulus = (11.5 + 0.1 * noise(*shape)).requires_grad_(trained)
                ends = [rollout(moving(cells), {E_NAME: modulus}) for rollout in (compiled, eager)]
                assert torch.allclose(ends[0].positions, ends[1].positions, rtol=0, atol=1e-14)
                if trained:
                    slopes = [torch.autograd.grad(end.positions.square().sum(), modulus)[0] for end in ends]
                    assert torch.allclose(*slopes, rtol=1e-10)

    def test_a_step_is_compiled_once_for_all_calls_of_the_same_shapes(self, monkeypatch):
        import simlayer.rollout.compilation

        made = []
        original = simlayer.rollout.compilation.CompiledStep
        monkeypatch.setattr(
            simlayer.rollout.compilation,
            "CompiledStep",
            lambda *arguments: made.append(None) or original(*arguments),
        )
        step = beam((1, 1, 1))
        for num_steps in (2, 5):
            for modulus in (11.0, 11.5):
                rollout = RolloutModule(step, num_steps, compile="eager")
                rollout(moving((1, 1, 1)), {E_NAME: torch.tensor(modulus)})
                rollout.trajectory(moving((1, 1, 1)), controls={E_NAME: torch.full((num_steps,), modulus)})
        assert len(made) == 1

    def test_controls_equal_the_eager_ones(self):
        step = beam()
        controls = {"gravity": noise(6, 3, seed=1), E_NAME: 11.5 + 0.1 * noise(6, 2, M)}
        slopes = []
        for compile in ("eager", False):
            leaves = {name: control.clone().requires_grad_() for name, control in controls.items()}
            end = RolloutModule(step, 6, compile=compile, checkpoint=2)(moving(), controls=leaves)
            slopes.append(torch.autograd.grad(end.positions.square().sum(), list(leaves.values())))
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-15) for a, b in zip(*slopes, strict=True))

    def test_only_what_needs_a_gradient_gets_one(self):
        for names in ((E_NAME,), ("gravity", LOAD_NAME), ()):
            step = beam((1, 1, 1))
            ends = []
            for compile in ("eager", False):
                leaves = {
                    n: dict(step.named_parameters())[n].detach().clone().requires_grad_() for n in names
                }
                positions = moving((1, 1, 1)).positions.requires_grad_(not names)
                start = State(positions, moving((1, 1, 1)).velocities)
                end = RolloutModule(step, 3, compile=compile)(start, leaves)
                wanted = list(leaves.values()) or [positions]
                ends.append(torch.autograd.grad(end.positions.square().sum(), wanted))
            assert all(torch.allclose(a, b, rtol=1e-10, atol=1e-15) for a, b in zip(*ends, strict=True))

    def test_sums_by_table_equal_sums_by_scattering(self):
        mesh = box_mesh(cells=(3, 1, 1), size=(0.3, 0.1, 0.1))
        ends = []
        for deterministic in (True, False):
            elastic = ElasticForce(mesh, MATERIALS["StableNeoHookean"](1e5, 0.4), deterministic=deterministic)
            step = SymplecticEuler(mesh, {"elastic": elastic}, dt=1e-3)
            modulus = (11.5 + 0.1 * noise(2, M)).requires_grad_()
            end = RolloutModule(step, 3, compile="eager")(moving(), {E_NAME: modulus})
            ends.append((end.positions, *torch.autograd.grad(end.positions.square().sum(), modulus)))
        assert all(torch.allclose(a, b, rtol=1e-9, atol=1e-15) for a, b in zip(*ends, strict=True))

    def test_laws_and_forces_written_by_a_user_equal_the_eager_ones(self):
        from support.scenes import rest

        step = beam(forces={"tether": Tether(rest(), 30.0), "wind": Wind(0.5)})
        values = {
            "forces.tether.log_stiffness": torch.tensor([[3.0], [4.0]]),
            "forces.wind.gain": torch.tensor(0.7),
        }
        assert_like_eager(step, moving(), values, 1e-12, compile="eager", checkpoint=2)

    def test_a_force_that_is_added_after_a_run_acts(self):
        step = beam((1, 1, 1))
        compiled = RolloutModule(step, 2, compile="eager")
        before = compiled(moving((1, 1, 1)))
        step.forces["push"] = Push()
        after = compiled(moving((1, 1, 1)))
        assert not same(before, after)
        eager = RolloutModule(step, 2, compile=False)(moving((1, 1, 1)))
        assert torch.allclose(after.positions, eager.positions, rtol=0, atol=1e-14)

    def test_a_force_that_is_replaced_after_a_run_acts(self):
        step = beam((1, 1, 1))
        compiled = RolloutModule(step, 2, compile="eager")
        compiled(moving((1, 1, 1)))
        mesh = box_mesh(cells=(1, 1, 1), size=(0.1, 0.1, 0.1))
        step.forces["elastic"] = ElasticForce(mesh, MATERIALS["LinearElastic"](1e5, 0.4))
        eager = RolloutModule(step, 2, compile=False)(moving((1, 1, 1)))
        after = compiled(moving((1, 1, 1)))
        assert torch.allclose(after.positions, eager.positions, rtol=0, atol=1e-14)

    def test_another_dt_and_other_substeps_take_effect(self):
        step = beam((1, 1, 1), dt=1e-3)
        compiled = RolloutModule(step, 2, compile="eager")
        compiled(moving((1, 1, 1)))
        step.dt, step.substeps = 2e-3, 3
        eager = RolloutModule(step, 2, compile=False)(moving((1, 1, 1)))
        after = compiled(moving((1, 1, 1)))
        assert torch.allclose(after.positions, eager.positions, rtol=0, atol=1e-14)
