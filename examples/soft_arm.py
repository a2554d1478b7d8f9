"""A soft arm that reaches for targets: a policy learns by gradient through the motion what to contract.

The arm hangs from one end and has eight muscles along it, four around its upper half and four around its
lower one. The policy sees the tip and the target, and is compared with the best signal that ignores the
target. Targets are where the tip comes to rest under random constant activations.

Gradients reach back over short pieces of the motion, each of which goes on from where the last one ended
(short horizons, Xu et al. 2022): many cheap updates instead of few long ones.

Run it by: python examples/soft_arm.py
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

import simlayer as sl

LENGTH, THICKNESS, MUSCLES = 0.06, 0.02, 8
STEPS, PIECE, EVERY = 240, 40, 10  # of 0.56 ms: a motion, a piece of it; the policy is asked every 10
ACTIVATION = "forces.muscle.activation"


def body() -> tuple[sl.Mesh, sl.Step]:
    """Return the arm and its step, with all muscles as one force: each is a part of the cells."""
    mesh = sl.box_mesh(cells=(2, 2, 4), size=(THICKNESS, THICKNESS, LENGTH), element="hex8")
    elastic = sl.ElasticForce(mesh, sl.StableNeoHookean(1e5, poissons_ratio=0.3))
    forces = {"elastic": elastic, "muscle": sl.Muscle(mesh, (0.0, 0.0, 1.0), peak_stress=5e4)}
    damping = {"damping": sl.MassDamping(60.0)}  # The arm comes to rest within the motion.
    step = sl.SymplecticEuler(mesh, forces, dt=5.6e-4, fixed="z_max", dissipation=damping)
    step.gravity = torch.tensor([0.0, 0.0, -9.81])
    return mesh, step


def muscle_cells(mesh: sl.Mesh) -> Tensor:
    """Return which cells each muscle has, 1 or 0, `(MUSCLES, M)`."""
    x, y, z = mesh.vertices[mesh.cells].mean(1).T
    number = (x > THICKNESS / 2) + 2 * (y > THICKNESS / 2) + 4 * (z > LENGTH / 2)
    return nn.functional.one_hot(number, MUSCLES).T.to(mesh.vertices.dtype)


def tip(mesh: sl.Mesh, vectors: Tensor) -> Tensor:
    """Return the mean over the lower end, `(*batch, 3)`, of positions or velocities."""
    return vectors[..., mesh.vertex_sets["z_min"], :].mean(-2)


class Reach(sl.Policy):
    """Sets activations by the position and velocity of the tip, and by the target."""

    def __init__(self, mesh: sl.Mesh, targets: Tensor) -> None:
        super().__init__(interval=EVERY)
        self.mesh, self.cells = mesh, muscle_cells(mesh)
        self.middle, self.spread = targets.mean(0), targets.std(0)
        hidden = [nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh()]
        self.network = nn.Sequential(*hidden, nn.Linear(64, MUSCLES))

    def observe(self, state: sl.State, target: Tensor) -> Tensor:
        """Return what the network sees, `(*batch, 9)`, all of order one."""
        place, velocity = tip(self.mesh, state.positions), tip(self.mesh, state.velocities)
        return torch.cat([*((x - self.middle) / self.spread for x in (place, target)), velocity], -1)

    def forward(self, state: sl.State, *inputs: Tensor) -> dict[str, Tensor]:
        return {ACTIVATION: self.network(self.observe(state, *inputs)).sigmoid() @ self.cells}


def settled(mesh: sl.Mesh, motion: sl.State, targets: Tensor) -> Tensor:
    """Return how far the tip is from targets `(B, 3)` in the last quarter of a motion [m], `(T, B)`."""
    frames = motion.positions[-(len(motion.positions) // 4) :]
    return (tip(mesh, frames) - targets).norm(dim=-1)


@torch.no_grad()
def reachable(rollout: sl.RolloutModule, mesh: sl.Mesh, count: int) -> Tensor:
    """Return where random constant activations leave the tip, `(count, 3)` [m]."""
    activations = (3 * torch.randn(count, MUSCLES)).sigmoid() @ muscle_cells(mesh)
    return tip(mesh, rollout(sl.State.at_rest(mesh.vertices), {ACTIVATION: activations}).positions)


class Practice:
    """Many arms that move on piece by piece; in each, some of them start from rest with a new target."""

    def __init__(self, mesh: sl.Mesh, rollout: sl.RolloutModule, targets: Tensor, batch: int = 64) -> None:
        self.mesh, self.rollout, self.targets, self.turn = mesh, rollout, targets, 0
        self.start = sl.State.at_rest(mesh.vertices.expand(batch, -1, -1))
        self.state, self.goals = self.start, self.draw()

    def draw(self) -> Tensor:
        return self.targets[torch.randint(len(self.targets), (len(self.start.positions),))]

    def __call__(self) -> Tensor:
        """Return how far tips are from their targets in the next piece [m], `(T, B)`."""
        anew = (torch.arange(len(self.goals)) + self.turn) % (STEPS // PIECE) == 0
        rows = anew[:, None, None]
        begin = sl.State(
            torch.where(rows, self.start.positions, self.state.positions),
            torch.where(rows, self.start.velocities, self.state.velocities),
        )
        self.goals, self.turn = torch.where(anew[:, None], self.draw(), self.goals), self.turn + 1
        motion = self.rollout.trajectory(begin, policy_inputs=(self.goals,), every=EVERY)
        self.state = sl.State(motion.positions[-1].detach(), motion.velocities[-1].detach())
        return (tip(self.mesh, motion.positions[1:]) - self.goals).norm(dim=-1)


def minimize(distance: Callable[[], Tensor], parameters: Sequence[Tensor], lr: float, updates: int) -> None:
    """Minimize the mean of distances [m]."""
    optimizer = torch.optim.Adam(parameters, lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, updates)
    for update in range(updates):
        found = distance()
        optimizer.zero_grad()
        (found / 0.01).mean().backward()  # in centimetres
        nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        if update % 10 == 9:
            print(f"  update {update + 1} of {updates}: {1e3 * found.mean().item():.1f} mm", flush=True)


def main(updates: int = 200, signal_updates: int = 20) -> tuple[float, float]:
    """Return the mean distance from unseen targets [m], of the policy and of the best signal for all."""
    torch.manual_seed(0)
    mesh, step = body()
    passive = sl.RolloutModule(step, STEPS, compile=False)
    targets, unseen = reachable(passive, mesh, 320).split([256, 64])
    policy = Reach(mesh, targets)
    rollout = sl.RolloutModule(step, PIECE, policy=policy, compile=False)
    print("the policy, on the way to its targets:")
    minimize(Practice(mesh, rollout, targets), list(policy.parameters()), 1e-2, updates)

    knots = torch.zeros(4, MUSCLES, requires_grad=True)  # logits of activations at four times

    def by_signal(goals: Tensor) -> Tensor:
        signal = sl.interpolated_controls(knots, STEPS).sigmoid() @ policy.cells
        start = sl.State.at_rest(mesh.vertices[None])
        return settled(mesh, passive.trajectory(start, controls={ACTIVATION: signal}, every=EVERY), goals)

    print("one signal for all targets, in the last quarter of the motion:")
    minimize(lambda: by_signal(targets), [knots], 1e-1, signal_updates)
    rollout.num_steps = STEPS
    with torch.no_grad():
        start = sl.State.at_rest(mesh.vertices.expand(len(unseen), -1, -1))
        motion = rollout.trajectory(start, policy_inputs=(unseen,), every=EVERY)
        error, of_signal = settled(mesh, motion, unseen).mean().item(), by_signal(unseen).mean().item()
    print(f"unseen targets are missed by {1e3 * error:.1f} mm (one signal for all: {1e3 * of_signal:.1f} mm)")
    return error, of_signal


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
