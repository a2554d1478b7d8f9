"""Scans without correspondences: the modulus comes out, whatever else is in the scan."""

import re

import pytest
import torch
from support.scenes import noise

from simlayer import ElasticForce, Equilibrium, LinearElastic, NeoHookean, ObservationError, State, box_mesh
from simlayer.laboratory import ScanTest, identify_tests
from simlayer.linalg.rotation import rotation_matrix
from simlayer.rollout.parameter_jacobian import parameter_jacobian

pytestmark = pytest.mark.usefixtures("float64")
TRUTH, NOISE = 2e5, 2e-5


def bar(E=TRUTH, element="hex20", law=NeoHookean):
    mesh = box_mesh(cells=(8, 2, 1), size=(0.1, 0.02, 0.02), element=element)
    force = ElasticForce(mesh, law(E, 0.3), **({"quadrature": "reduced"} if element == "hex20" else {}))
    return Equilibrium(mesh, {"elastic": force}, fixed="x_min", gravity=(0.0, 0.0, -9.81))


def scan(element="hex20", count=600, beside=0.05, size=NOISE):
    """Points of the bent surface with noise, some of which are up to 10 mm beside it."""
    step = bar(element=element)
    with torch.no_grad():
        bent = step(State.at_rest(step.elements.mesh.vertices)).positions
    generator = torch.Generator().manual_seed(0)
    corners = bent[step.elements.mesh.boundary]
    areas = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]).norm(dim=1)
    chosen = corners[areas.multinomial(count, replacement=True, generator=generator)]
    weights = -torch.rand(count, 3, generator=generator).log()
    points = (weights / weights.sum(1, keepdim=True))[..., None].mul(chosen).sum(1)
    points += size * noise(count, 3, seed=1)
    points[: int(beside * count)] += 0.01 * noise(int(beside * count), 3, seed=2)
    return points


@pytest.mark.parametrize("element", ["hex20", "tet10"])
@pytest.mark.parametrize("guess", [TRUTH / 4, 4 * TRUTH])
def test_the_modulus_is_found_from_points_without_correspondences_outliers_or_not(element, guess):
    test = ScanTest(bar(guess, element), scan(element), outlier_distance=4 * NOISE, noise=NOISE)
    found = identify_tests(test, "youngs_modulus")
    ((_, value), (_, error)) = (*found.values.items(), *found.standard_errors.items())
    assert value == pytest.approx(TRUTH, rel=5e-3)
    assert abs(value - TRUTH) < 3 * error


def test_outliers_cost_precision_where_all_points_count_alike():
    errors = []
    for distance in (4 * NOISE, None):
        test = ScanTest(bar(2 * TRUTH, "hex8"), scan("hex8"), outlier_distance=distance, noise=NOISE)
        errors.append(next(iter(identify_tests(test, "youngs_modulus").standard_errors.values())))
    assert errors[1] > 5 * errors[0]


def test_a_scan_of_a_part_of_the_surface_without_noise_gives_the_exact_modulus():
    points = scan(beside=0.0, size=0.0)
    points = points[points[:, 2] > 0.0].clone()
    points[::10, 1] = torch.nan  # not measured
    found = identify_tests(ScanTest(bar(1.5 * TRUTH), points), "youngs_modulus")
    assert next(iter(found.values.values())) == pytest.approx(TRUTH, rel=1e-6)


@pytest.mark.parametrize(
    ("distance", "reach"), [(None, None), (1e-3, None), (1e-5, None), (None, 0.02), (1e-3, 4e-3)]
)
def test_derivatives_of_residuals_are_those_of_differences(distance, reach):
    step = bar(1.2 * TRUTH, "hex8", LinearElastic)
    test = ScanTest(step, scan("hex8", 80), outlier_distance=distance, surface_reach=reach)
    modulus = step.forces["elastic"].material.log_youngs_modulus
    _, found = parameter_jacobian(test.residuals, {"E": modulus})
    values = []
    with torch.no_grad():
        for change in (1e-4, -2e-4):
            modulus += change
            values.append(test.residuals())
    expected = (values[0] - values[1]) / 2e-4
    # Of second order in the change, and where another triangle becomes the closest, of first order.
    torch.testing.assert_close(
        found["E"].flatten(), expected, rtol=1e-3, atol=1e-3 * float(expected.abs().max())
    )
    if reach is not None:
        assert bool((found["E"][80:] != 0).any())


@pytest.mark.parametrize("reach", [None, 4e-3])
def test_the_gradient_with_a_rigid_motion_is_that_of_differences(reach):
    step = bar(1.2 * TRUTH, "hex8", LinearElastic)
    test = ScanTest(step, scan("hex8", 120), outlier_distance=1e-3, surface_reach=reach, rigid_motion=True)
    modulus = step.forces["elastic"].material.log_youngs_modulus
    value, found = parameter_jacobian(test.residuals, {"E": modulus})
    losses = []
    with torch.no_grad():
        for change in (1e-4, -2e-4):
            modulus += change
            losses.append(test.residuals().square().sum())
    expected = (losses[0] - losses[1]) / 2e-4
    # The motion is that which makes the distances of the points least: exactly so without those of the
    # surface, whose sum changes with the motion to first order.
    tolerance = 2e-3 if reach is None else 0.05
    assert float(2 * value @ found["E"].flatten()) == pytest.approx(float(expected), rel=tolerance)


def test_what_was_not_scanned_has_no_influence_on_distances_from_the_surface():
    step = bar(TRUTH, "hex8", LinearElastic)
    points = scan("hex8", 300, beside=0.0)
    half = points[points[:, 0] < 0.04]
    with torch.no_grad():
        test = ScanTest(step, half, surface_reach=0.01)
        there = test.simulated()[len(half) :]
        triangles = step.elements.mesh.vertices[step.elements.mesh.boundary].mean(1)
    assert bool((there[triangles[:, 0] > 0.052] == 0).all())
    assert bool((there[triangles[:, 0] < 0.03] != 0).any())


def test_distances_from_the_surface_are_along_its_normal_and_less_the_further_the_point_is():
    step = bar(law=LinearElastic)
    step.gravity = torch.zeros(3)
    middles = step.elements.mesh.vertices[step.elements.mesh.boundary].mean(1)
    top = (middles[:, 2] > 0.0199).nonzero().flatten()
    aside = torch.tensor([5e-4, 0.0, -1e-3])
    points = middles[top] + aside
    with torch.no_grad():
        found = ScanTest(step, points, surface_reach=2e-3).simulated()[len(points) :]
    share = (1 - float(aside.square().sum()) / 2e-3**2) ** 2
    torch.testing.assert_close(found[top], torch.full((len(top),), 1e-3 * share), rtol=1e-9, atol=0)


def test_noise_that_is_seen_in_both_directions_does_not_count_twice():
    clean, errors = scan("hex8", 100, beside=0.0, size=0.0), []
    for reach in (None, 0.02):
        tests = [
            ScanTest(bar(TRUTH, "hex8"), clean + NOISE * noise(100, 3, seed=seed), surface_reach=reach)
            for seed in range(50, 56)
        ]
        found = [identify_tests(test, "youngs_modulus").standard_errors.values() for test in tests]
        errors.append(torch.tensor([list(each) for each in found]).square().mean().sqrt())
    # With the distances of the 104 triangles as measurements of their own it would be 0.7; each error has one
    # of its own, of some 20 %.
    assert 0.85 < errors[1] / errors[0] < 1.4


@pytest.mark.parametrize("reach", [None, 0.01])
def test_the_modulus_is_found_from_a_scan_in_a_frame_of_its_own(reach):
    turn = rotation_matrix(torch.tensor([0.3, -0.7, 0.5]) / 0.83**0.5 * torch.pi / 36)  # 5 degrees
    points = scan("hex8", 300) @ turn.T + torch.tensor([0.003, -0.002, 0.004])
    options = {"outlier_distance": 4 * NOISE, "noise": NOISE, "surface_reach": reach}
    test = ScanTest(bar(TRUTH / 3, "hex8"), points, rigid_motion=True, **options)
    found = identify_tests(test, "youngs_modulus")
    ((_, value), (_, error)) = (*found.values.items(), *found.standard_errors.items())
    assert value == pytest.approx(TRUTH, rel=0.02)
    assert abs(value - TRUTH) < 3 * error
    placed = test.placed(test.frames().positions[-1].detach())
    torch.testing.assert_close(placed[15:], scan("hex8", 300)[15:], rtol=0, atol=3 * NOISE)


def test_standard_errors_are_the_scatter_of_fits_to_scans_with_other_noise_and_outliers():
    values, errors = [], []
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.02, 0.02), element="hex8")
    step = Equilibrium(
        mesh, {"elastic": ElasticForce(mesh, LinearElastic(TRUTH, 0.3))}, fixed="x_min", gravity=(0, 0, -9.81)
    )
    with torch.no_grad():
        corners = step(State.at_rest(mesh.vertices)).positions[mesh.boundary]
    for seed in range(40):
        generator = torch.Generator().manual_seed(seed)
        chosen = corners[torch.randint(len(corners), (150,), generator=generator)]
        weights = -torch.rand(150, 3, generator=generator).log()
        points = ((weights / weights.sum(1, keepdim=True))[..., None] * chosen).sum(1)
        points += 1e-4 * noise(150, 3, seed=100 + seed)
        points[:22] += 0.01 * noise(22, 3, seed=200 + seed)
        step.forces["elastic"].material.youngs_modulus = TRUTH
        found = identify_tests(ScanTest(step, points, outlier_distance=4e-4, noise=1e-4), "youngs_modulus")
        values += found.values.values()
        errors += found.standard_errors.values()
    scatter, told = float(torch.tensor(values).std()), float(torch.tensor(errors).square().mean().sqrt())
    # The scatter of 40 values has an error of 1 / sqrt(80) = 11 %. With the outliers as noise of all
    # residuals the errors would be twice as large.
    assert told == pytest.approx(scatter, rel=0.3)
    # The mean of 40 has a sixth of the scatter.
    assert abs(float(torch.tensor(values).mean()) - TRUTH) < 0.5 * scatter


def test_residuals_are_zero_on_the_surface_and_positive_where_it_lies_outside_of_a_point():
    step = bar(law=LinearElastic)
    step.gravity = torch.zeros(3)
    points = torch.tensor([[0.05, 0.01, 0.02], [0.05, 0.01, 0.019], [0.05, 0.01, 0.022]])
    with torch.no_grad():
        residuals = ScanTest(step, points).residuals()
    torch.testing.assert_close(residuals, torch.tensor([0.0, 1e-3, -2e-3]), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda p: 1000 * p,
            "are they in millimetres? Give that where they are read, by unit=mm or",
        ),
        (lambda p: p + 1.0, "move the scan into the frame of the mesh"),
        (lambda p: p[:, :2], "points must be of shape (K, 3)"),
        (lambda p: p / 0.0, "must not be infinite"),
        (lambda p: p * torch.nan, "nothing was measured"),
    ],
)
def test_points_that_cannot_be_of_the_specimen_are_refused_with_a_remedy(change, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        ScanTest(bar(), change(scan(count=50, beside=0.0)))
