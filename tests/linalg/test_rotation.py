"""Rotations of rotation vectors."""

import math

import pytest
import torch

from simlayer.linalg.rotation import rotation_matrix, rotation_vector

pytestmark = pytest.mark.usefixtures("float64")


def test_a_quarter_turn_about_z_takes_x_to_y():
    R = rotation_matrix(torch.tensor([0.0, 0.0, math.pi / 2]))
    expected = torch.tensor([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    assert torch.allclose(R, expected, rtol=0, atol=1e-15)


def test_matrices_are_rotations_and_lead_back_to_their_vectors():
    vectors = torch.nn.functional.normalize(torch.randn(50, 3), dim=-1) * torch.linspace(0, 3.1, 50)[:, None]
    R = rotation_matrix(vectors)
    assert torch.allclose(R @ R.mT, torch.eye(3).expand_as(R), rtol=0, atol=1e-14)
    assert torch.allclose(torch.linalg.det(R), torch.ones(50), rtol=0, atol=1e-14)
    # Near half a turn the sine, from which the axis follows, is small.
    assert torch.allclose(rotation_vector(R), vectors, rtol=0, atol=1e-12)


@pytest.mark.parametrize("size", [0.0, 1e-9, 1e-3, 1.0])
def test_both_are_smooth_at_zero_and_away_from_it(size):
    vector = (size * torch.tensor([0.6, -0.48, 0.64])).requires_grad_()
    assert torch.autograd.gradcheck(rotation_matrix, vector)
    assert torch.autograd.gradgradcheck(rotation_matrix, vector)
    assert torch.autograd.gradcheck(lambda v: rotation_vector(rotation_matrix(v)), vector)
