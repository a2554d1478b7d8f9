"""What was seen: read in the file's order and unit, or disturbed as it says."""

import re

import meshio
import numpy as np
import pytest
import torch
from support.mesh_files import bare, shuffled

from simlayer import MeshError, ObservationError, box_mesh, read_mesh
from simlayer.app.config_tree import flatten
from simlayer.app.final_positions import FinalPositions

pytestmark = pytest.mark.usefixtures("float64")


@pytest.fixture
def body(tmp_path):
    """A mesh without the first node of its file, and all nodes of the file, deformed."""
    file = bare(shuffled())
    file.points = np.concatenate([[[0.0, 0, 9]], file.points])
    file.cells[0].data += 1
    file.write(tmp_path / "rest.vtu")
    with pytest.warns(UserWarning, match="dropped nodes"):
        mesh = read_mesh(tmp_path / "rest.vtu")
    assert len(mesh.vertices) == len(file.points) - 1
    deformed = file.points + 0.01 * np.sin(20 * file.points[:, [1, 2, 0]])
    return file, mesh, deformed


def expected(mesh):
    return (mesh.vertices + 0.01 * torch.sin(20 * mesh.vertices.roll(-1, 1)))[None]


def test_positions_in_a_mesh_file_come_in_the_order_of_the_mesh(body, tmp_path):
    file, mesh, deformed = body
    meshio.Mesh(deformed, file.cells).write(tmp_path / "deformed.vtu")
    observed = FinalPositions(path=str(tmp_path / "deformed.vtu")).recorded(mesh)
    torch.testing.assert_close(observed, expected(mesh), rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_positions_in_an_array_come_in_the_order_of_the_mesh(body, tmp_path, dtype):
    _, mesh, deformed = body
    np.save(tmp_path / "deformed.npy", deformed.astype(dtype))
    observed = FinalPositions(path=str(tmp_path / "deformed.npy")).recorded(mesh)
    assert observed.dtype == torch.float64
    torch.testing.assert_close(observed, expected(mesh), rtol=0, atol=2 * np.finfo(dtype).eps)


def test_a_scale_turns_the_unit_of_the_file_into_metres(body, tmp_path):
    _, mesh, deformed = body
    np.save(tmp_path / "deformed.npy", 1e3 * deformed)
    observed = FinalPositions(path=str(tmp_path / "deformed.npy"), scale=1e-3).recorded(mesh)
    torch.testing.assert_close(observed, expected(mesh), rtol=0, atol=1e-15)


def test_vertices_that_were_not_observed_stay_missing(body, tmp_path):
    _, mesh, deformed = body
    deformed[7] = np.nan
    np.save(tmp_path / "deformed.npy", deformed)
    observed = FinalPositions(path=str(tmp_path / "deformed.npy")).recorded(mesh)
    missing = observed[0].isnan().all(1).nonzero().flatten()
    assert mesh.file_index[missing].tolist() == [7]


def test_all_vertices_are_observed_at_the_end_only():
    data, mesh = FinalPositions(), box_mesh(cells=(1, 1, 1))
    assert data.times(lambda: 0.3, 0.0).tolist() == [0.3]
    assert torch.equal(data.sensors(mesh)(mesh.vertices), mesh.vertices)


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda p: None, ObservationError, "does not exist (looked from"),
        (lambda p: p.write_bytes(b"garbage"), ObservationError, "could not be read as a NumPy array"),
        (lambda p: p.write_bytes(b""), ObservationError, "could not be read as a NumPy array"),
        (lambda p: np.save(p, np.zeros((53, 3))), ObservationError, "has 53 positions, but"),
        (
            lambda p: np.save(p, np.zeros((53, 3))),
            ObservationError,
            "55 nodes: the target has to be the same mesh",
        ),
        (
            lambda p: np.save(p, np.zeros((55, 2))),
            ObservationError,
            "must hold numbers of shape (N, 3), got float64 (55, 2)",
        ),
        (lambda p: np.save(p, np.zeros(165)), ObservationError, "must hold numbers of shape (N, 3)"),
        (
            lambda p: np.save(p, np.zeros((55, 3), bool)),
            ObservationError,
            "must hold numbers of shape (N, 3), got bool",
        ),
        (
            lambda p: np.save(p, np.array([[{}] * 3]), allow_pickle=True),
            ObservationError,
            "could not be read",
        ),
        (lambda p: np.save(p, np.full((55, 3), np.nan)), ObservationError, "has no finite position"),
    ],
)
def test_an_array_that_is_no_target_says_why(body, tmp_path, write, error, message):
    path = tmp_path / "target.npy"
    write(path)
    with pytest.raises(error, match=re.escape(message)):
        FinalPositions(path=str(path)).recorded(body[1])


def test_a_mesh_file_that_is_no_target_says_why(body, tmp_path):
    with pytest.raises(MeshError, match="does not exist"):
        FinalPositions(path=str(tmp_path / "nowhere.vtu")).recorded(body[1])
    bare(shuffled()).write(tmp_path / "same.vtu")
    with pytest.raises(ObservationError, match="54 positions, but box has 8 nodes"):
        FinalPositions(path=str(tmp_path / "same.vtu")).recorded(box_mesh(cells=(1, 1, 1)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"twin": "other"}, "data.twin must be one of same, refined, got 'other'"),
        ({"noise": -1e-3}, "data needs noise >= 0 [m] and missing in [0, 1), got -0.001 and 0.0"),
        ({"missing": 1.0}, "got 0.0 and 1.0"),
        ({"noise": float("nan")}, "got nan and 0.0"),
    ],
)
def test_a_twin_that_cannot_be_says_why(options, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        FinalPositions(**options)


# Noise and gaps.


def observed(dtype=torch.float64):
    return torch.linspace(-1, 1, 4 * 50 * 40 * 3, dtype=dtype).view(4, 50, 40, 3)


def test_without_noise_or_gaps_nothing_is_disturbed():
    assert torch.equal(FinalPositions().disturb(observed()), observed())


def test_noise_has_its_standard_deviation_and_no_mean():
    noise = FinalPositions(noise=1e-3).disturb(observed()) - observed()
    # 24,000 samples: five standard errors.
    assert noise.std().item() == pytest.approx(1e-3, rel=5 / (2 * 24_000) ** 0.5)
    assert abs(noise.mean().item()) < 5 * 1e-3 / 24_000**0.5


def test_the_share_missing_is_missing_in_all_coordinates_and_the_rest_is_as_without():
    disturbed = FinalPositions(missing=0.1, noise=1e-3).disturb(observed())
    gaps = disturbed.isnan()
    assert torch.equal(gaps.all(-1), gaps.any(-1))
    # 8,000 points: five standard errors.
    assert gaps.double().mean().item() == pytest.approx(0.1, abs=5 * (0.09 / 8_000) ** 0.5)
    assert torch.equal(disturbed[~gaps], FinalPositions(noise=1e-3).disturb(observed())[~gaps])


def test_a_seed_gives_the_same_noise_in_every_precision_and_another_seed_another():
    data = FinalPositions(noise=1e-3, missing=0.1, seed=3)
    torch.manual_seed(1)
    first = data.disturb(observed())
    torch.manual_seed(2)
    assert torch.equal(data.disturb(observed()).nan_to_num(7.0), first.nan_to_num(7.0))
    single = data.disturb(observed(torch.float32))
    assert single.dtype == torch.float32
    # Rounding of positions of 1 m.
    torch.testing.assert_close(single.double(), first, rtol=0, atol=2e-7, equal_nan=True)
    other = FinalPositions(noise=1e-3, missing=0.1, seed=4).disturb(observed())
    assert (other - first).abs().nanmean() > 1e-4


# The truth.


def test_a_nested_mapping_is_flattened_to_dotted_names_without_what_is_none():
    tree = {
        "density": 1.0,
        "forces": {"elastic": {"material": {"E": 2.0, "nu": None}}, "load": {}},
        3: [1, 2],
    }
    assert flatten(tree) == {"density": 1.0, "forces.elastic.material.E": 2.0, "3": [1, 2]}


def test_the_truth_is_a_number_or_what_a_function_makes_of_the_mesh():
    data = FinalPositions(truth={"density": 7.0, "material": {"E": lambda mesh: mesh.volumes}})
    mesh = box_mesh(cells=(1, 1, 1))
    values = data.true_values(mesh, ["density", "forces.elastic.material.E", "release_time"])
    assert list(values) == ["density", "forces.elastic.material.E"]
    assert values["density"] == 7.0
    assert torch.equal(values["forces.elastic.material.E"], mesh.volumes)


def test_a_true_value_has_one_name_only_and_one_that_exists():
    names, mesh = ["density", "forces.elastic.material.E"], box_mesh(cells=(1, 1, 1))
    with pytest.raises(KeyError, match="two values for forces"):
        FinalPositions(truth={"E": 1.0, "material": {"E": 2.0}}).true_values(mesh, names)
    with pytest.raises(KeyError, match="density"):
        FinalPositions(truth={"densty": 1.0}).true_values(mesh, names)


def test_a_twin_says_what_is_hidden_and_how_it_is_disturbed():
    truth = {"density": 7.0, "forces": {"E": lambda mesh: mesh.volumes}}
    text = FinalPositions(truth=truth, noise=1e-4, missing=0.1, twin="refined").description()
    for part in ("eight times the cells", "noise 0.1 mm", "10% missing", "density = 7.0", "E = a field"):
        assert part in text
    assert "own mesh" in FinalPositions(truth=truth).description()
    assert FinalPositions(path="seen.vtu").description() == "seen.vtu"
