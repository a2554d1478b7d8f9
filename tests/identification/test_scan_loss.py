"""The loss of scans of a moving body: distances from its surface, and a fit of them."""

import pytest
import torch
from support.scenes import noise

from simlayer import (
    ElasticForce,
    LinearElastic,
    ObservationError,
    RolloutModule,
    State,
    SymplecticEuler,
    box_mesh,
)
from simlayer.identification import (
    ObservedRollout,
    ObservedScenes,
    ParameterIdentification,
    ScanLoss,
    Vertices,
)
from simlayer.identification.first_guess import FirstGuess
from simlayer.identification.gauss_newton import GaussNewton
from simlayer.identification.linearized_fit import LinearizedFit

pytestmark = pytest.mark.usefixtures("float64")


def moving(E):
    """A bar that falls sideways from rest under its weight, seen at three times, half a period at most."""
    mesh = box_mesh(cells=(4, 1, 1), size=(0.1, 0.02, 0.02), element="hex8")
    forces = {"elastic": ElasticForce(mesh, LinearElastic(E, 0.3))}
    step = SymplecticEuler(mesh, forces, dt=2e-4, fixed="x_min", gravity=(0.0, 0.0, -9.81))
    return mesh, ObservedRollout(RolloutModule(step, 200), Vertices(), torch.tensor([0.01, 0.02, 0.04]))


def scans(E, count=60):
    """Points on the surface, others at every time, with outliers and a few that are missing."""
    mesh, observed = moving(E)
    with torch.no_grad():
        vertices = observed(State.at_rest(mesh.vertices))
    generator = torch.Generator().manual_seed(0)
    frames = []
    for positions in vertices:
        corners = positions[mesh.boundary[torch.randint(len(mesh.boundary), (count,), generator=generator)]]
        weights = -torch.rand(count, 3, generator=generator).log()
        frames.append(((weights / weights.sum(1, keepdim=True))[..., None] * corners).sum(1))
    points = torch.stack(frames)
    points[:, :3] += 0.01 * noise(3, 3, 3, seed=1)
    points[1, -5:] = torch.nan
    return ObservedScenes(mesh.vertices[None], torch.zeros_like(mesh.vertices)[None], points[None])


@pytest.mark.parametrize("guess", [5e4, 2e5])
def test_the_modulus_of_a_moving_body_is_found_from_scans(guess):
    scenes = scans(1e5)
    mesh, observed = moving(guess)
    loss = ScanLoss(mesh, outlier_distance=1e-4)
    fit = ParameterIdentification(observed, trainable=["youngs_modulus"], loss=loss)
    assert fit.few_squares
    optimizer = GaussNewton([unknown.parameter for unknown in fit.unknowns])
    evaluations = LinearizedFit(fit.least_squares(), optimizer, FirstGuess(fit.unknowns))
    for _ in range(30):
        optimizer.step(lambda: evaluations.evaluate(scenes))
    # Without noise, up to what the outliers' bounded influence leaves.
    assert float(fit.unknowns[0].value) == pytest.approx(1e5, rel=1e-3)
    # A point has one distance, and not three coordinates.
    assert fit.uncertainty(scenes).linear.numbers == 3 * 60 - 5


def test_the_loss_is_the_mean_square_distance_of_what_was_seen_in_units_of_the_scale():
    mesh = box_mesh(cells=(2, 2, 2), size=(1.0, 1.0, 1.0))
    points = torch.tensor([[0.5, 0.5, 1.02], [0.5, 0.5, 0.96], [torch.nan] * 3])[None, None]
    found = ScanLoss(mesh, 0.1)(mesh.vertices[None, None], points)
    assert float(found) == pytest.approx((0.2**2 + 0.4**2) / 2)
    with pytest.raises(ObservationError, match="must be all 27 vertices at the times of the"):
        ScanLoss(mesh)(mesh.vertices[None, None, :5], points)


def test_derivatives_are_those_of_differences_in_every_frame_that_counts():
    mesh = box_mesh(cells=(2, 1, 1), size=(1.0, 0.5, 0.5))
    positions = (mesh.vertices + 0.02 * noise(2, 3, len(mesh.vertices), 3)).requires_grad_()
    points = torch.tensor([1.2, 0.7, 0.7]) * torch.rand(
        2, 3, 12, 3, generator=torch.Generator().manual_seed(3)
    )
    for distance, frames in ((None, "all"), (0.05, [0, 2])):
        loss = ScanLoss(mesh, outlier_distance=distance, frames=frames)
        torch.autograd.gradcheck(lambda x, loss=loss: loss(x, points), positions, eps=1e-7, atol=1e-6)


def test_outliers_are_not_the_noise_of_the_standard_errors():
    scenes, errors = scans(1e5), []
    for missing in (False, True):
        mesh, observed = moving(1e5)
        points = scenes.observed.clone() + 1e-5 * noise(3, 60, 3, seed=4)
        if missing:
            points[:, :, :3] = torch.nan  # the outliers
        seen = ObservedScenes(scenes.positions, scenes.velocities, points)
        fit = ParameterIdentification(
            observed, trainable=["youngs_modulus"], loss=ScanLoss(mesh, outlier_distance=4e-5)
        )
        errors.append(float(fit.uncertainty(seen).standard_errors))
    # An outlier changes the second derivatives by next to nothing; as noise of all it would double the error.
    assert errors[0] == pytest.approx(errors[1], rel=0.15)
