"""The benchmark scene in NVIDIA Warp 1.19: two kernels a step, differentiated by `wp.Tape`, float32.

Stable Neo-Hookean with the logarithm and the small-strain correction, as its closed-form stress.
Gradients: E, nu, initial positions, initial velocities, by reverse mode through every step. Warp's CPU
back end uses one thread and its default flags (-O2 -march=native, fused multiply-add).
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from peer_scene import DENSITY, GRAVITY, POISSONS_RATIO, YOUNGS_MODULUS, Result, initial_positions


def available() -> str | None:
    """None if Warp can be imported, else what to install."""
    try:
        import warp  # noqa: F401
    except ImportError:
        return "pip install warp-lang==1.19.0"
    return None


def build(
    vertices: np.ndarray,
    cells: np.ndarray,
    fixed: np.ndarray,
    *,
    dt: float,
    num_steps: int,
    graph: bool,
) -> Callable[[], Result]:
    """One forward and backward of `num_steps` steps of the mean squared distance to the rest shape.

    Every call computes both passes anew: kernel by kernel, forward through `wp.launch` and backward by the
    tape that recorded these launches once; or, with `graph`, all launches of both passes replayed natively by
    a Warp graph, which saves Python's part of a launch, some 20 us each. Compiling happens in here.
    """
    import warp as wp

    wp.config.log_level = wp.LOG_WARNING
    device = "cpu"

    def array(values, dtype, requires_grad=False):
        return wp.array(values, dtype=dtype, requires_grad=requires_grad, device=device)

    def state():
        return wp.zeros(len(vertices), dtype=wp.vec3, requires_grad=True, device=device)

    inverse_rest, volumes, inverse_masses = _rest_shape(vertices, cells, fixed)
    rest = (array(cells, wp.vec4i), array(inverse_rest, wp.mat33), array(volumes, float))
    inverse_masses = array(inverse_masses, float)
    target = array(vertices, wp.vec3)
    youngs_modulus = array([YOUNGS_MODULUS], float, requires_grad=True)
    poissons_ratio = array([POISSONS_RATIO], float, requires_grad=True)
    moduli = wp.zeros(2, dtype=float, requires_grad=True, device=device)
    loss = wp.zeros(1, dtype=float, requires_grad=True, device=device)
    positions, velocities = [[state() for _ in range(num_steps + 1)] for _ in range(2)]
    forces = [state() for _ in range(num_steps)]
    positions[0].assign(initial_positions(vertices))

    def forward():
        stable_moduli, elastic_force, integrate, squared_distance = _kernels()
        wp.launch(stable_moduli, 1, [youngs_modulus, poissons_ratio], [moduli], device=device)
        for t in range(num_steps):
            old, new = [positions[t], velocities[t]], [positions[t + 1], velocities[t + 1]]
            wp.launch(elastic_force, len(cells), [positions[t], *rest, moduli], [forces[t]], device=device)
            inputs = [*old, forces[t], inverse_masses, wp.vec3(GRAVITY), dt]
            wp.launch(integrate, len(vertices), inputs, new, device=device)
        wp.launch(squared_distance, len(vertices), [positions[-1], target], [loss], device=device)

    # This compiles the kernels and tells the tape which gradients there are: zero() knows none before.
    tape = wp.Tape()
    with tape:
        forward()
    tape.backward(loss)

    def both_passes():
        for sums in (*forces, loss):  # the kernels add to these
            sums.zero_()
        tape.zero()
        forward()
        tape.backward(loss)

    if graph:
        with wp.ScopedCapture(device=device) as capture:
            both_passes()

    leaves = {"E": youngs_modulus, "nu": poissons_ratio, "x0": positions[0], "v0": velocities[0]}

    def run() -> Result:
        if graph:
            wp.capture_launch(capture.graph)
        else:
            both_passes()
        # Copies, because the next call overwrites the buffers; squeezed, so that E and nu are scalars.
        gradients = {name: leaf.grad.numpy().squeeze().copy() for name, leaf in leaves.items()}
        return positions[-1].numpy().copy(), gradients

    run.tape = tape  # A graph holds addresses only: the tape's arrays must live as long.
    return run


def _rest_shape(vertices, cells, fixed):
    """Inverse edge matrices and volumes of the cells; inverse lumped masses, zero where fixed."""
    corners = vertices.astype(np.float64)[cells]
    edges = (corners[:, 1:] - corners[:, :1]).transpose(0, 2, 1)
    volumes = np.abs(np.linalg.det(edges)) / 6
    masses = np.bincount(cells.ravel(), np.repeat(DENSITY * volumes / 4, 4), minlength=len(vertices))
    return np.linalg.inv(edges), volumes, np.where(fixed, 0.0, 1 / masses)


@cache
def _kernels():
    import warp as wp

    @wp.kernel
    def stable_moduli(E: wp.array(dtype=float), nu: wp.array(dtype=float), moduli: wp.array(dtype=float)):
        mu = E[0] / (2.0 * (1.0 + nu[0]))
        lam = E[0] * nu[0] / ((1.0 + nu[0]) * (1.0 - 2.0 * nu[0]))
        moduli[0] = 4.0 / 3.0 * mu
        moduli[1] = lam + 5.0 / 6.0 * mu

    @wp.kernel
    def elastic_force(
        x: wp.array(dtype=wp.vec3),
        cells: wp.array(dtype=wp.vec4i),
        inverse_rest: wp.array(dtype=wp.mat33),
        volumes: wp.array(dtype=float),
        moduli: wp.array(dtype=float),
        forces: wp.array(dtype=wp.vec3),
    ):
        # Written in columns of F: the same with Warp's matrix products is 10 % slower.
        i = wp.tid()
        cell = cells[i]
        G = inverse_rest[i]
        x0 = x[cell[0]]
        e1 = x[cell[1]] - x0
        e2 = x[cell[2]] - x0
        e3 = x[cell[3]] - x0
        a = e1 * G[0, 0] + e2 * G[1, 0] + e3 * G[2, 0]
        b = e1 * G[0, 1] + e2 * G[1, 1] + e3 * G[2, 1]
        c = e1 * G[0, 2] + e2 * G[1, 2] + e3 * G[2, 2]
        bc = wp.cross(b, c)
        mu = moduli[0]
        lam = moduli[1]
        # The stress P = shear F + pressure cof(F), times minus the volume.
        V = -volumes[i]
        shear = V * mu * (1.0 - 1.0 / (wp.dot(a, a) + wp.dot(b, b) + wp.dot(c, c) + 1.0))
        pressure = V * (lam * (wp.dot(a, bc) - 1.0) - 0.75 * mu)
        p_a = shear * a + pressure * bc
        p_b = shear * b + pressure * wp.cross(c, a)
        p_c = shear * c + pressure * wp.cross(a, b)
        f1 = p_a * G[0, 0] + p_b * G[0, 1] + p_c * G[0, 2]
        f2 = p_a * G[1, 0] + p_b * G[1, 1] + p_c * G[1, 2]
        f3 = p_a * G[2, 0] + p_b * G[2, 1] + p_c * G[2, 2]
        wp.atomic_add(forces, cell[0], -(f1 + f2 + f3))
        wp.atomic_add(forces, cell[1], f1)
        wp.atomic_add(forces, cell[2], f2)
        wp.atomic_add(forces, cell[3], f3)

    @wp.kernel
    def integrate(
        x: wp.array(dtype=wp.vec3),
        v: wp.array(dtype=wp.vec3),
        forces: wp.array(dtype=wp.vec3),
        inverse_masses: wp.array(dtype=float),
        gravity: wp.vec3,
        dt: float,
        new_x: wp.array(dtype=wp.vec3),
        new_v: wp.array(dtype=wp.vec3),
    ):
        i = wp.tid()
        if inverse_masses[i] == 0.0:
            new_v[i] = wp.vec3(0.0)
            new_x[i] = x[i]
        else:
            velocity = v[i] + dt * (forces[i] * inverse_masses[i] + gravity)
            new_v[i] = velocity
            new_x[i] = x[i] + dt * velocity

    @wp.kernel
    def squared_distance(
        x: wp.array(dtype=wp.vec3), target: wp.array(dtype=wp.vec3), mean: wp.array(dtype=float)
    ):
        i = wp.tid()
        wp.atomic_add(mean, 0, wp.length_sq(x[i] - target[i]) / float(x.shape[0]))

    return stable_moduli, elastic_force, integrate, squared_distance
