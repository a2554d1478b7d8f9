import pytest
import torch
from support.scenes import noise

from simlayer import DistributedLoad, ElasticForce, Equilibrium, LinearElastic, ObservationError, box_mesh
from simlayer.laboratory import DisplacementTest, Pull, identify_tests

pytestmark = pytest.mark.usefixtures("float64")


def plate(E=1e5, nu=0.3):
    mesh = box_mesh(cells=(4, 3, 1), size=(0.4, 0.3, 0.05), element="hex8")
    load = DistributedLoad(mesh, "x_max", force=(20.0, 5.0, 0.0))
    return Equilibrium(
        mesh, {"elastic": ElasticForce(mesh, LinearElastic(E, nu)), "load": load}, fixed="x_min"
    )


def points(count=60):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(count, 3, generator=generator) * torch.tensor([0.4, 0.3, 0.0]) + torch.tensor(
        [0.0, 0.0, 0.05]
    )


def measured(size=0.0):
    with torch.no_grad():
        exact = DisplacementTest(plate(), points(), torch.zeros(60, 3)).simulated()
    return exact + size * noise(60, 3, seed=2)


def test_both_moduli_are_found_from_two_components_with_gaps():
    seen = measured()
    seen[:, 2] = torch.nan
    seen[::7, 1] = torch.nan
    found = identify_tests(
        DisplacementTest(plate(5e4, 0.2), points(), seen), ["youngs_modulus", "poissons_ratio"]
    )
    assert list(found.values.values()) == pytest.approx([1e5, 0.3], rel=1e-6)


def test_standard_errors_cover_the_truth_and_shrink_with_the_noise():
    errors = []
    for size in (2e-4, 1e-4):
        found = identify_tests(
            DisplacementTest(plate(5e4, 0.2), points(), measured(size), noise=size),
            ["youngs_modulus", "poissons_ratio"],
        )
        for (name, value), truth in zip(found.values.items(), (1e5, 0.3), strict=True):
            assert abs(value - truth) < 3 * found.standard_errors[name]
        errors.append(found.standard_errors["forces.elastic.material.youngs_modulus"])
    assert errors[0] / errors[1] == pytest.approx(2, rel=0.2)


def test_a_rigid_motion_of_the_machine_is_taken_out():
    spin = torch.tensor([1e-3, -2e-3, 3e-3])
    shifted = measured() + torch.tensor([1e-3, 2e-3, 0.0]) + torch.linalg.cross(spin.expand(60, 3), points())
    with torch.no_grad():
        free = DisplacementTest(plate(), points(), shifted, rigid_motion=True).residuals()
        held = DisplacementTest(plate(), points(), shifted).residuals()
    assert float(free.abs().max()) < 1e-9
    assert float(held.abs().max()) > 1e-3


def test_a_uniform_strain_of_the_picture_is_taken_out_and_a_varying_one_is_not():
    at = points()
    strained = measured() + at * torch.tensor([1e-3, -2e-3, 0.0])
    bent = strained + 1e-2 * at[:, :1] ** 2 * torch.tensor([1.0, 0.0, 0.0])
    options = {"rigid_motion": True, "surface_strain": True}
    with torch.no_grad():
        left = DisplacementTest(plate(), at, strained, **options).residuals()
        kept = DisplacementTest(plate(), at, strained, rigid_motion=True).residuals()
        varying = DisplacementTest(plate(), at, bent, **options).residuals()
    assert float(left.abs().max()) < 1e-9
    assert float(kept.abs().max()) > 1e-4
    assert float(varying.abs().max()) > 1e-5


def test_points_without_confidence_do_not_count():
    seen, confidence = measured(), torch.ones(60)
    seen[5:10] += 0.1
    confidence[5:10] = 0.0
    test = DisplacementTest(plate(5e4), points(), seen, confidence=confidence)
    found = identify_tests(test, "youngs_modulus")
    assert list(found.values.values()) == pytest.approx([1e5], rel=1e-6)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ObservationError, match="shape"):
        DisplacementTest(plate(), points(), torch.zeros(59, 3))
    with pytest.raises(ObservationError, match="confidence"):
        DisplacementTest(plate(), points(), measured(), confidence=torch.ones(3))
    with pytest.raises(ObservationError, match=r"outside|far"):
        DisplacementTest(plate(), 1e3 * points(), measured())
    with pytest.raises(ObservationError, match="nothing was measured"):
        DisplacementTest(plate(), points(), torch.full((60, 3), torch.nan))


def test_a_grip_that_has_moved_loads_the_specimen():
    mesh = box_mesh(cells=(4, 3, 1), size=(0.4, 0.3, 0.05), element="hex8")
    ends = torch.cat([mesh.vertex_sets["x_min"], mesh.vertex_sets["x_max"]])
    step = Equilibrium(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.3))}, fixed=ends)
    pull = {"grip": "x_max", "motion": Pull((1, 0, 0)), "amount": 0.01}
    with torch.no_grad():
        test = DisplacementTest(step, points(), torch.zeros(60, 3), **pull)
        seen, frames = test.simulated(), test.frames()
    assert float(seen[:, 0].max()) == pytest.approx(0.01, rel=0.1)
    held = mesh.vertex_sets["x_max"]
    moved = (frames.positions[1] - mesh.vertices)[held]
    torch.testing.assert_close(moved, torch.tensor([0.01, 0.0, 0.0]).expand_as(moved))
    # The ratio of the moduli shows in it, and not their size.
    other = Equilibrium(mesh, {"elastic": ElasticForce(mesh, LinearElastic(1e5, 0.2))}, fixed=ends)
    found = identify_tests(DisplacementTest(other, points(), seen, **pull), "poissons_ratio")
    assert list(found.values.values()) == pytest.approx([0.3], rel=1e-4)
    both = identify_tests(
        DisplacementTest(step, points(), seen, **pull), ["youngs_modulus", "poissons_ratio"]
    )
    assert "youngs_modulus is not determined" in both.undetermined[0]
    assert "leave it out of `unknowns`" in both.undetermined[0]
    with pytest.raises(TypeError, match="motion must be of class GripMotion"):
        DisplacementTest(step, points(), seen, grip="x_max")
    with pytest.raises(ValueError, match=r"grip must be the vertices that move by amount=0\.1"):
        DisplacementTest(step, points(), seen, amount=0.1)
