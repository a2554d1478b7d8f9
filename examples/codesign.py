"""Shape and control of a soft arm, together: its thickness, and the pull of its muscles.

The arm hangs from one end and reaches for points at its sides by muscles on its left and on its right. One
shape has to serve all points; activations are found for each. Three arms learn in one batch with equally
many updates: one changes its shape, one its activations, and one both. Its volume stays the same.

Run it by: python examples/codesign.py
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

import simlayer as sl

LENGTH, THICKNESS, MUSCLES = 0.06, 0.02, 8
STEPS = 240  # of 0.5 ms: the arm almost comes to rest within them
ACTIVATION = "forces.muscle.activation"
# Where the tip should be [m]; it is at zero in the shape of the mesh.
POINTS = torch.tensor([[0.045, 0.0, 0.03], [-0.045, 0.0, 0.03], [0.03, 0.0, 0.01]])
ARMS = ("shape alone", "control alone", "both")
SHAPED, CONTROLLED = torch.tensor([1.0, 0.0, 1.0]), torch.tensor([0.0, 1.0, 1.0])


def body() -> tuple[sl.Mesh, sl.Step]:
    """Return the arm and its step, with all muscles as one force: each is a part of the cells."""
    size, corner = (THICKNESS, THICKNESS, LENGTH), (-THICKNESS / 2, -THICKNESS / 2, 0.0)
    mesh = sl.box_mesh(cells=(2, 2, 4), size=size, origin=corner, element="hex8")
    elastic = sl.ElasticForce(mesh, sl.StableNeoHookean(1e5, poissons_ratio=0.3))
    forces = {"elastic": elastic, "muscle": sl.Muscle(mesh, (0.0, 0.0, 1.0), peak_stress=5e4)}
    damping = {"damping": sl.MassDamping(60.0)}
    step = sl.SymplecticEuler(
        mesh, forces, dt=5e-4, fixed="z_max", gravity=(0.0, 0.0, -9.81), dissipation=damping
    )
    return mesh, step


def shapes(mesh: sl.Mesh, design: Tensor) -> Tensor:
    """Return rest positions `(..., N, 3)`, thinner or thicker at five heights by numbers `(..., 5)`.

    The volume is kept: a slice between square ends of sides a and b has (a² + ab + b²) / 3 of its height.
    """
    scale = (0.5 * design.tanh()).exp()  # Bounded, as the stable time step is shorter where cells are thin.
    a, b = scale[..., :-1], scale[..., 1:]
    scale = scale / ((a * a + a * b + b * b) / 3).mean(-1, keepdim=True).sqrt()
    height = (mesh.vertices[:, 2] / LENGTH * (design.shape[-1] - 1)).round().long()
    across = mesh.vertices[:, :2] * scale[..., height, None]
    return torch.cat([across, mesh.vertices[:, 2:].expand(*across.shape[:-1], 1)], -1)


def muscle_cells(mesh: sl.Mesh) -> Tensor:
    """Return which cells each muscle has, 1 or 0, `(MUSCLES, M)`: left and right at four heights."""
    x, _, z = mesh.vertices[mesh.cells].mean(1).T
    number = (x > 0).long() + 2 * (z / LENGTH * 4).long()
    return nn.functional.one_hot(number, MUSCLES).T.to(mesh.vertices.dtype)


def listed(errors: Tensor) -> str:
    """Return the error of each arm, in words."""
    pairs = zip(errors.tolist(), ARMS, strict=True)
    return ", ".join(f"{1e3 * error:.1f} mm ({arm})" for error, arm in pairs)


def main(updates: int = 30) -> tuple[float, float, float]:
    """Return by how much points are missed [m], by shape alone, by control alone and by both."""
    mesh, step = body()
    rollout, cells = sl.RolloutModule(step, STEPS, compile=False), muscle_cells(mesh)
    bottom, count = mesh.vertex_sets["z_min"], len(POINTS)
    design = torch.zeros(len(ARMS), 5, requires_grad=True)
    # Muscles on the side of the point pull more from the start, or shape alone could not do anything.
    side = torch.tensor([-1.0, 1.0]).repeat(MUSCLES // 2)
    logits = (POINTS[:, :1].sign() * side).repeat(len(ARMS), 1, 1).requires_grad_()

    def misses() -> Tensor:
        """Return how far each arm's tip is from each point near the end [m], `(ARMS, POINTS)`."""
        rest = shapes(mesh, design).repeat_interleave(count, 0)
        values = {"rest_positions": rest, ACTIVATION: (logits.sigmoid() @ cells).flatten(0, 1)}
        frames = rollout.trajectory(sl.State.at_rest(rest), values, every=STEPS // 8).positions[-2:]
        tips = frames[:, :, bottom].mean((0, 2)).unflatten(0, (len(ARMS), count))
        return (tips - POINTS).norm(dim=-1)

    optimizer = torch.optim.Adam([design, logits], 0.3)
    for update in range(updates):
        found = misses().mean(1)
        # Arms do not meet: each has its own gradient.
        of_design, of_logits = torch.autograd.grad(found.sum() / 0.01, [design, logits])
        design.grad, logits.grad = of_design * SHAPED[:, None], of_logits * CONTROLLED[:, None, None]
        optimizer.step()
        if update % 10 == 9:
            print(f"  update {update + 1}: {listed(found)}", flush=True)
    with torch.no_grad():
        errors = misses().mean(1)
    print(f"points are missed by {listed(errors)}")
    shape, control, both = errors.tolist()
    return shape, control, both


if __name__ == "__main__":
    torch.set_num_threads(1)  # Tensors as small as these are no faster on two.
    main()
