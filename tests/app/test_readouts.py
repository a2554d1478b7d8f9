import pytest
import torch
from support.scenes import Tether

from simlayer import (
    ElasticForce,
    Equilibrium,
    KelvinVoigt,
    Muscle,
    RolloutModule,
    StableNeoHookean,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.app.readouts import read_body, summarize_body, write_readouts

pytestmark = pytest.mark.usefixtures("float64")


def body():
    return box_mesh(cells=(2, 2, 2), size=(0.2, 0.1, 0.1), element="hex20")


def test_a_body_at_rest_is_held_by_its_weight_and_has_no_picture_over_time(tmp_path):
    mesh = body()
    forces = {"elastic": ElasticForce(mesh, StableNeoHookean(1e5, 0.3), quadrature="reduced")}
    rollout = RolloutModule(Equilibrium(mesh, forces, gravity=(0, 0, -9.8), fixed="x_min"), 1)
    times = torch.tensor([0.0, 1.0])
    with torch.no_grad():
        frames = rollout.trajectory(State.at_rest(mesh.vertices))
        found = read_body(rollout, frames)
        write_readouts(tmp_path, mesh, times, frames, found)
    summary = summarize_body(times, found)
    assert summary["largest_reaction"]["value"] == pytest.approx([0, 0, 2 * 9.8], abs=1e-8)
    assert summary["largest_von_mises_stress"]["time"] == 1.0
    assert {path.name for path in tmp_path.iterdir()} == {"readouts.csv", "stress.png"}


def test_forces_without_a_stress_or_at_other_points_are_left_out_of_it():
    mesh = body()
    elastic = ElasticForce(mesh, StableNeoHookean(1e5, 0.3), quadrature="reduced")
    viscous = KelvinVoigt(mesh, shear_viscosity=1.0)
    tether = Tether(mesh.vertices, 1.0)
    frames = State.at_rest(1.1 * mesh.vertices[None])

    def read(**forces):
        return read_body(RolloutModule(SymplecticEuler(mesh, forces, dt=1e-6), 1), frames)

    muscle = Muscle(mesh, (1.0, 0.0, 0.0), peak_stress=1e5, activation=1.0, cells=torch.tensor([0]))
    with torch.no_grad():
        alone = read(elastic=elastic)
        beside = read(muscle=muscle, elastic=elastic)  # which is in a part of the body, at other points
        together = read(tether=tether, elastic=elastic, viscous=viscous)
        none = read(tether=tether)
    torch.testing.assert_close(together.stress, alone.stress)
    torch.testing.assert_close(beside.stress, alone.stress)
    assert together.energies.keys() == {"kinetic", "gravitational", "tether", "elastic"}
    assert none.stress is None
    assert none.von_mises is None
    assert "largest_von_mises_stress" not in summarize_body(torch.zeros(1), none)
