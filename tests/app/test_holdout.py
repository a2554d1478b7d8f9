"""Another take, to test on what was found."""

import pytest
import torch
from omegaconf import OmegaConf
from support.observed import DT, E, beam_mesh, observed_beam
from support.recordings import POINTS
from support.scenes import moving

from simlayer import ObservationError, State
from simlayer.app.holdout import HoldOut, build_holdout
from simlayer.app.marker_paths import MarkerPaths
from simlayer.app.scene import Scene
from simlayer.identification.unknowns import assigned

pytestmark = pytest.mark.usefixtures("float64")

SOURCE = MarkerPaths(path="take_a.csv", points=POINTS)


def take(release):
    """An observed beam in motion, and what is seen of it when it was released then."""
    observed = observed_beam(16, times=torch.arange(1, 11) * DT, release_time=release)
    start = State(*moving((3, 1, 1), 1)[:2])
    with torch.no_grad():
        return observed, start, observed(start)[0]


def compare(observed, start, points):
    motion = observed.motion(start)
    return HoldOut(SOURCE, observed, points).compare(motion, every=observed.every)


def test_another_release_of_the_same_motion_is_found_and_leaves_nothing():
    observed, start, points = take(3.7e-3)
    observed.release_time = 0.0
    results, simulated = HoldOut(SOURCE, observed, points).compare(
        observed.motion(start), every=observed.every
    )
    assert results["source"] == "take_a.csv"
    assert results["release_time"] == pytest.approx(3.7e-3, abs=1e-5)
    # The body moves by 1 m/s.
    assert results["residual"]["rms"] < 1e-5
    torch.testing.assert_close(simulated, points, rtol=0, atol=1e-4)


def test_a_body_that_moves_otherwise_is_not_explained_by_its_release():
    observed, start, points = take(0.0)
    with assigned(observed.quantities_by_name(), {E: 2e5}):
        results, _ = compare(observed, start, points)
    assert results["residual"]["rms"] > 1e-3


def configured(**holdout):
    data = {"_target_": "simlayer.app.marker_paths.MarkerPaths", "path": None, "points": POINTS}
    return OmegaConf.create(
        {"data": data, "holdout": holdout, "duration": None, "observation": {"frames": 2}}
    )


def scene():
    mesh = beam_mesh()
    fixed = torch.zeros(len(mesh.vertices), 3, dtype=torch.bool)
    return Scene(mesh, fixed, observed_beam(16), State.at_rest(mesh.vertices[None]))


def test_without_a_path_there_is_none():
    assert build_holdout(configured(), scene()) is None
    assert build_holdout(configured(data={"path": None}, release_time=0.0), scene()) is None


def test_a_take_that_is_longer_than_the_simulation_is_refused(tmp_path):
    times = torch.arange(40) / 100
    columns = [f"{name}_{axis}_m" for name in POINTS for axis in "xyz"]
    rows = [",".join(["time_s", *columns])] + [
        ",".join([f"{t:.2f}", *["0.01"] * len(columns)]) for t in times
    ]
    path = tmp_path / "long.csv"
    path.write_text("\n".join(rows) + "\n")
    with pytest.raises(ObservationError, match=r"holdout.data ends 0.378 s after the simulation"):
        build_holdout(configured(data={"path": str(path)}, release_time=0.0), scene())
