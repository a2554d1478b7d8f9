"""Lumping: positive masses in any cell."""

import torch

from simlayer.fem.lumping import lumped_volumes


def test_no_node_is_left_without_mass_where_a_cell_is_so_uneven_that_its_centroid_is_out_of_reach():
    # Nearly all of the volume is at the first node, where a small function leaves little of the diagonal.
    functions = torch.eye(5, dtype=torch.float64)
    weights = torch.tensor([[1.0], [1e-3], [1e-3], [1e-3], [1e-3]], dtype=torch.float64)
    nodes = torch.cat([torch.zeros(1, 3), torch.eye(3), -torch.ones(1, 3)]).double()[None]
    volumes = lumped_volumes(functions * torch.tensor([0.1, 1, 1, 1, 1]), weights, nodes)
    assert volumes.min() > 0
    assert torch.allclose(volumes.sum(0), weights.sum(0), rtol=1e-13, atol=0)
