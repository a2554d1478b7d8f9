"""Meshes of images: every labelled voxel is a cell, and nothing else is."""

import re

import pytest
import torch

from simlayer import MeshError
from simlayer.mesh.voxels import voxel_mesh


def two_materials():
    labels = torch.zeros(4, 3, 2, dtype=torch.long)
    labels[:3, 1:] = 2
    labels[0, 1, 0] = 7
    return labels


def test_a_voxel_is_a_cell_at_its_place_in_the_region_of_its_label():
    labels = two_materials()
    mesh = voxel_mesh(labels, spacing=(0.1, 0.2, 0.3), origin=(1.0, 0.0, 0.0), names={7: "bone"})
    assert (mesh.element, mesh.region_names) == ("hex8", ("label_2", "bone"))
    middles = mesh.vertices[mesh.cells].mean(1)
    expected = (labels != 0).nonzero()
    torch.testing.assert_close(
        middles, torch.tensor([1.0, 0.0, 0.0]) + (expected + 0.5) * torch.tensor([0.1, 0.2, 0.3])
    )
    assert mesh.cell_regions.tolist() == (labels[labels != 0] == 7).long().tolist()


def test_pieces_are_an_error_unless_the_largest_is_asked_for():
    labels = two_materials()
    labels[3, 0, 0] = 0
    apart = torch.zeros(6, 3, 2, dtype=torch.long)
    apart[:4], apart[5, 0, 0] = labels, 5
    with pytest.raises(MeshError, match=r"in 2 pieces that no vertex joins, of 12, 1 voxels; largest=True"):
        voxel_mesh(apart, spacing=(1, 1, 1))
    mesh = voxel_mesh(apart, spacing=(1, 1, 1), largest=True)
    assert len(mesh.cells) == 12
    assert mesh.region_names == ("label_2", "label_7")


@pytest.mark.parametrize(
    ("labels", "message"),
    [(torch.zeros(2, 2, 2).long(), "got only 0"), (torch.ones(2, 2).long(), "got shape (2, 2)")],
)
def test_labels_without_a_body_are_refused(labels, message):
    with pytest.raises(MeshError, match=re.escape(message)):
        voxel_mesh(labels, spacing=(1, 1, 1))
