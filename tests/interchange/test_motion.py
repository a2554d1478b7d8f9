"""What a motion is for other packages, and what is said where one of them is missing."""

from __future__ import annotations

import sys

import pytest
import torch
from support.motions_of_bodies import body, motion_of

from simlayer.interchange import from_arrays, to_arrays, to_pyvista, to_xarray, write_usd


@pytest.mark.parametrize(
    ("package", "call", "remedy"),
    [
        ("pyvista", to_pyvista, r"pip install pyvista"),
        ("xarray", to_xarray, r"pip install 'simlayer\[interchange\]'"),
        ("pxr.UsdGeom", lambda **given: write_usd("a.usda", **given), r"usd-core.*'simlayer\[interchange\]'"),
    ],
)
def test_a_missing_package_is_named_with_what_installs_it(monkeypatch, package, call, remedy):
    monkeypatch.setitem(sys.modules, package, None)
    given = motion_of(body("tet4"))
    with pytest.raises(ImportError, match=remedy):
        call(mesh=given["mesh"], positions=given["positions"])


def test_times_keep_double_precision_beside_positions_in_single_precision():
    given = motion_of(body("tet4"))
    times = torch.tensor([0.0, 1e5 + 0.001, 1e5 + 0.002], dtype=torch.float64)
    found = from_arrays(to_arrays(given["mesh"], given["positions"].float(), times=times))
    assert torch.equal(found.times, times)
