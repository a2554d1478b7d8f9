"""Scans without correspondences: the modulus comes out, whatever else is in the scan."""

import re

import pytest
import torch
from support.scenes import noise

from simlayer import ElasticForce, Equilibrium, LinearElastic, NeoHookean, ObservationError, State, box_mesh
from simlayer.laboratory import ScanTest, identify_tests
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


@pytest.mark.parametrize("distance", [None, 1e-3, 1e-5])
def test_derivatives_of_residuals_are_those_of_differences(distance):
    step = bar(1.2 * TRUTH, "hex8", LinearElastic)
    test = ScanTest(step, scan("hex8", 80), outlier_distance=distance)
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
        (lambda p: 1000 * p, "are they in millimetres? read_scan(path, scale=1e-3), or 1e-3 * points"),
        (lambda p: p + 1.0, "move the scan into the frame of the mesh"),
        (lambda p: p[:, :2], "points must be of shape (K, 3)"),
        (lambda p: p / 0.0, "must not be infinite"),
        (lambda p: p * torch.nan, "nothing was measured"),
    ],
)
def test_points_that_cannot_be_of_the_specimen_are_refused_with_a_remedy(change, message):
    with pytest.raises(ObservationError, match=re.escape(message)):
        ScanTest(bar(), change(scan(count=50, beside=0.0)))
