"""Motions as stages of USD: a surface that other programs show, and the whole body for this one."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.motions_of_bodies import assert_same, body, motion_of

from simlayer import MeshError
from simlayer.interchange import read_usd, write_usd

pytestmark = pytest.mark.usefixtures("float64")
Usd = pytest.importorskip("pxr.Usd")
UsdGeom = pytest.importorskip("pxr.UsdGeom")


def parts(element: str) -> dict[str, object]:
    given = motion_of(body(element))
    # What single precision holds.
    return {"mesh": given["mesh"], "positions": given["positions"].float().double(), "times": given["times"]}


@pytest.mark.parametrize("suffix", [".usda", ".usdc"])
def test_a_body_and_its_motion_come_back(suffix, tmp_path):
    given = parts("tet10")
    write_usd(tmp_path / f"motion{suffix}", **given)
    found = read_usd(tmp_path / f"motion{suffix}")
    found = found._replace(positions=found.positions.double())
    assert_same(found, **given, vertex_fields={}, cell_fields={})


def test_other_programs_see_the_surface_at_its_times_in_metres(tmp_path):
    given = parts("hex8")
    write_usd(tmp_path / "motion.usda", **given, frame_rate=50.0)
    stage = Usd.Stage.Open(str(tmp_path / "motion.usda"))
    assert UsdGeom.GetStageMetersPerUnit(stage) == 1.0
    assert UsdGeom.GetStageUpAxis(stage) == "Z"
    shown = UsdGeom.Mesh(stage.GetDefaultPrim())
    assert shown.GetPointsAttr().GetTimeSamples() == pytest.approx([0.0, 5.0, 12.5])
    points = torch.from_numpy(np.array(shown.GetPointsAttr().Get(5.0))).double()
    torch.testing.assert_close(points, given["positions"][1], rtol=0, atol=0)
    faces = torch.from_numpy(np.array(shown.GetFaceVertexIndicesAttr().Get())).reshape(-1, 3)
    assert torch.equal(faces.long(), given["mesh"].boundary)


def test_files_that_cannot_be_are_refused(tmp_path):
    with pytest.raises(MeshError, match=r"path must end in .usd, .usda, .usdc, got .*; name it motion.usdc"):
        write_usd(tmp_path / "motion.obj", **parts("tet4"))
    with pytest.raises(MeshError, match="does not exist"):
        read_usd(tmp_path / "nowhere.usda")
    (tmp_path / "text.usda").write_text("no stage")
    with pytest.raises(MeshError, match="cannot be read as USD"):
        read_usd(tmp_path / "text.usda")
    stage = Usd.Stage.CreateNew(str(tmp_path / "other.usda"))
    UsdGeom.Mesh.Define(stage, "/Body")
    stage.GetRootLayer().Save()
    with pytest.raises(MeshError, match="has no cells"):
        read_usd(tmp_path / "other.usda")
