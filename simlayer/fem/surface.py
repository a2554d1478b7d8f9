"""Faces and edges of a body's surface that lie in a set of vertices, and integrals over them."""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from simlayer.elements.types import ELEMENT_TYPES, Facet
from simlayer.errors import listed
from simlayer.mesh.geometry import row_keys
from simlayer.mesh.mesh import Mesh, MeshError
from simlayer.quantities.arrays import checked_floats
from simlayer.quantities.objects import checked_instance

Kind = Literal["faces", "edges"]


def facets_within(mesh: Mesh, vertices: Int[Tensor, "_"], kind: Kind) -> Int[Tensor, "S K"]:
    """Return the faces of the surface, or their edges, all of whose nodes are among these vertices.

    Raises:
        MeshError: if there are none.
    """
    facets = mesh.boundary_faces if kind == "faces" else surface_edges(mesh)
    chosen = torch.zeros(len(mesh.vertices), dtype=torch.bool, device=facets.device)
    chosen[vertices] = True
    facets = facets[chosen[facets].all(1)]
    if not len(facets):
        raise MeshError(
            f"{mesh.source}: none of the {kind} on the surface has all of its nodes among the chosen "
            f"vertices, got {len(vertices)}: {listed(vertices.tolist())}."
        )
    return facets


def surface_edges(mesh: Mesh) -> Int[Tensor, "S K"]:
    """Return every edge of the surface once: its two ends, then its middle, if it is a node."""
    count, faces = ELEMENT_TYPES[mesh.element].face_corners, mesh.boundary_faces
    sides = [(k, (k + 1) % count, *range(count + k, faces.shape[1])[:1]) for k in range(count)]
    edges = torch.cat([faces[:, list(side)] for side in sides])
    _, inverse = row_keys(edges[:, :2], len(mesh.vertices)).unique(return_inverse=True)
    first = torch.full((int(inverse.max()) + 1,), len(edges), device=edges.device)
    every = torch.arange(len(edges), device=edges.device)
    return edges[first.scatter_reduce(0, inverse, every, "amin")]


def shape_integrals(
    mesh: Mesh,
    facets: Int[Tensor, "S K"],
    kind: Kind,
    rest_positions: Float[Tensor, "*batch N 3"] | None = None,
) -> Float[Tensor, "*batch N"]:
    """Return the integral of every vertex's shape function over facets [m² or m]: parts of the measure.

    At rest positions of the vertices, by default those of the mesh.
    """
    element = ELEMENT_TYPES[mesh.element]
    facet = element.face if kind == "faces" else element.edge
    vertices = mesh.vertices if rest_positions is None else rest_positions
    measures, functions = _at_quadrature_points(vertices, facets, facet)
    return _sum_to_vertices(vertices, facets, measures @ functions)


def lumped_areas(
    mesh: Mesh, rest_positions: Float[Tensor, "*batch N 3"] | None = None
) -> Float[Tensor, "*batch N"]:
    """Return the part of the surface that belongs to every vertex [m²], zero inside.

    Each face gives its area to its nodes in proportion to the diagonal of its consistent mass, as cells do
    with their masses: positive everywhere, and equal parts for linear triangles and parallelograms.

    Args:
        mesh: the body.
        rest_positions: of its vertices [m], by default those of the mesh.
    """
    checked_instance("mesh", mesh, Mesh)
    facets = mesh.boundary_faces
    vertices = mesh.vertices if rest_positions is None else checked_floats("rest_positions", rest_positions)
    measures, functions = _at_quadrature_points(vertices, facets, ELEMENT_TYPES[mesh.element].face)
    diagonal = measures @ functions.square()
    shares = diagonal / diagonal.sum(-1, keepdim=True)
    return _sum_to_vertices(vertices, facets, shares * measures.sum(-1, keepdim=True))


def _at_quadrature_points(
    vertices: Float[Tensor, "*batch N 3"], facets: Int[Tensor, "S K"], facet: Facet
) -> tuple[Float[Tensor, "*batch S Q"], Float[Tensor, "Q K"]]:
    """The measure that each point stands for [m² or m], and shape functions, in double precision."""
    nodes = vertices.double()[..., facets.to(vertices.device), :]
    points, weights = (tensor.to(nodes) for tensor in facet.rule.tensors())
    tangents = torch.einsum("...ski,qkd->...sqid", nodes, facet.shape.gradients(points)).unbind(-1)
    normals = torch.linalg.cross(*tangents) if len(tangents) == 2 else tangents[0]
    return normals.norm(dim=-1) * weights, facet.shape.functions(points)


def _sum_to_vertices(
    vertices: Float[Tensor, "*batch N 3"], facets: Int[Tensor, "S K"], parts: Float[Tensor, "*batch S K"]
) -> Float[Tensor, "*batch N"]:
    total, indices = torch.zeros_like(vertices[..., 0], dtype=parts.dtype), facets.to(vertices.device)
    return total.index_add(-1, indices.flatten(), parts.flatten(-2)).to(vertices.dtype)
