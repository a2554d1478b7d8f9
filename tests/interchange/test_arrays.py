"""Motions as NumPy arrays: a way there and back, through a file too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.motions_of_bodies import assert_same, body, motion_of

from simlayer import MeshError
from simlayer.interchange import from_arrays, to_arrays

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("element", ["tet4", "hex20"])
def test_a_body_and_its_motion_come_back_as_they_were(element, tmp_path):
    given = motion_of(body(element))
    arrays = to_arrays(**given)
    np.savez(tmp_path / "motion.npz", **arrays)
    assert_same(from_arrays(arrays), **given)
    assert_same(from_arrays(np.load(tmp_path / "motion.npz")), **given)


def test_single_precision_and_what_requires_grad_stay_as_they_are():
    given = motion_of(body("tet4"))
    positions = given["positions"].float().requires_grad_()
    back = from_arrays(to_arrays(given["mesh"], positions))
    assert back.positions.dtype == torch.float32
    assert torch.equal(back.positions, positions.detach())
    assert back.times.tolist() == [0, 1, 2]


def test_an_array_that_is_missing_or_not_of_numbers_is_named():
    arrays = to_arrays(**motion_of(body("tet4")))
    with pytest.raises(MeshError, match="missing: cells"):
        from_arrays({name: array for name, array in arrays.items() if name != "cells"})
    with pytest.raises(MeshError, match="rest_positions must hold numbers"):
        from_arrays({**arrays, "rest_positions": np.array(["a"])})
    with pytest.raises(MeshError, match=r"positions must be real numbers of shape \(T, 8, 3\)"):
        from_arrays({**arrays, "positions": np.zeros((2, 3))})
