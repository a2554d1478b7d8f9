"""Distances between points and triangles."""

import torch
from jaxtyping import Float
from torch import Tensor


def distances_to_triangles(point: Float[Tensor, "3"], corners: Float[Tensor, "S 3 3"]) -> Float[Tensor, "S"]:
    """The distance of a point to the nearest point of each triangle [m]."""
    edges, arms = corners.roll(-1, 1) - corners, point - corners
    along = ((arms * edges).sum(-1) / edges.square().sum(-1)).clamp(0, 1)
    to_edges = (arms - along[..., None] * edges).norm(dim=-1).amin(-1)
    normals = torch.nn.functional.normalize(torch.linalg.cross(edges[:, 0], edges[:, 1]), dim=-1)
    inwards = torch.linalg.cross(normals[:, None].expand_as(edges), edges)
    above = ((arms * inwards).sum(-1) >= 0).all(-1)
    return torch.where(above, (arms[:, 0] * normals).sum(-1).abs(), to_edges)
