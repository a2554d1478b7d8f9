"""Motions as datasets of xarray."""

from __future__ import annotations

import pytest
import torch
from support.motions_of_bodies import assert_same, body, motion_of

from simlayer import MeshError
from simlayer.interchange import from_xarray, to_xarray

pytestmark = pytest.mark.usefixtures("float64")


@pytest.mark.parametrize("element", ["tet10", "hex8"])
def test_a_body_and_its_motion_come_back_as_they_were(element):
    given = motion_of(body(element))
    assert_same(from_xarray(to_xarray(**given)), **given)


def test_dimensions_have_names_and_lengths_units():
    given = motion_of(body("hex8"))
    dataset = to_xarray(**given)
    height = dataset["positions"].sel(axis="z").sel(time=0.1)
    torch.testing.assert_close(torch.tensor(height.to_numpy()), given["positions"][1, :, 2])
    assert dataset["positions"].attrs["units"] == "m"
    held = dataset["vertex_sets.x_min"]
    assert int(held.sum()) == len(given["mesh"].vertex_sets["x_min"])
    assert dataset["vertex_fields.velocity [m/s]"].dims[:2] == ("time", "vertex")


def test_another_dataset_is_refused_with_what_is_missing():
    with pytest.raises(MeshError, match="missing: cells"):
        from_xarray(to_xarray(**motion_of(body("hex8"))).drop_vars("cells"))
    with pytest.raises(MeshError, match=r"dataset must be an xarray.Dataset.*got int"):
        from_xarray(3)
