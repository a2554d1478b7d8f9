"""Orders of elimination."""

import numpy as np
import pytest
from scipy import sparse

from simlayer.solvers.nested_dissection import nested_dissection


def grid(*shape):
    """The points of a grid, each adjacent to itself and its nearest neighbours along the axes."""
    points = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"), -1).reshape(-1, len(shape))
    distance = np.abs(points[:, None] - points).sum(-1)
    return sparse.csr_matrix(distance <= 1), points.astype(float)


def below(parts, k):
    """All vertices of a part and of those that it separates."""
    found = set(parts[k].vertices.tolist())
    return found.union(*(below(parts, child) for child in parts[k].children))


@pytest.mark.parametrize("shape", [(40,), (9, 13), (5, 6, 7)])
def test_each_vertex_is_in_one_part_and_no_edge_joins_two_parts_with_the_same_parent(shape):
    graph, points = grid(*shape)
    parts = nested_dissection(graph, points, largest=8)
    assert sorted(np.concatenate([part.vertices for part in parts])) == list(range(len(points)))
    for k, part in enumerate(parts):
        assert all(child < k for child in part.children)
        assert part.children or len(part.vertices) <= 8
        trees = [below(parts, child) for child in part.children]
        for number, tree in enumerate(trees):
            for other in trees[number + 1 :]:
                assert not graph[sorted(tree)][:, sorted(other)].nnz


def test_the_last_part_is_the_plane_across_the_longest_side():
    graph, points = grid(4, 21, 5)
    last = nested_dissection(graph, points, largest=10)[-1].vertices
    assert len(last) == 20
    assert np.ptp(points[last, 1]) == 0


def test_separators_are_the_fewest_vertices_that_meet_the_edges():
    # A star: its hub meets all edges, whichever side the plane leaves it on.
    points = np.concatenate([np.zeros((1, 2)), np.stack([np.linspace(-1, 1, 12), np.full(12, 0.01)], 1)])
    dense = np.eye(13, dtype=bool)
    dense[0] = dense[:, 0] = True
    parts = nested_dissection(sparse.csr_matrix(dense), points, largest=6)
    assert parts[-1].vertices.tolist() == [0]


def test_points_that_are_all_one_and_graphs_without_vertices_have_an_order_too():
    graph, points = grid(30)
    (part,) = nested_dissection(graph, 0 * points, largest=8)
    assert part.vertices.tolist() == list(range(30))
    assert nested_dissection(graph[:0][:, :0], points[:0], largest=8) == []


def test_pieces_without_an_edge_between_them_need_no_separator():
    graph, points = grid(8)
    both = sparse.block_diag([graph, graph], format="csr")
    parts = nested_dissection(both, np.concatenate([points, points + 100]), largest=8)
    assert [sorted(part.vertices.tolist()) for part in parts] == [list(range(8)), list(range(8, 16))]


def test_points_most_of_which_are_in_their_last_plane_are_divided_before_it():
    plane = np.stack(np.meshgrid([10.0], range(12), range(12)), -1).reshape(-1, 3) * [1, 0.1, 0.1]
    points = np.concatenate([np.array([[k, 0.5, 0.5] for k in range(10)], float), plane])
    near = np.linalg.norm(points[:, None] - points, axis=-1) <= 1
    parts = nested_dissection(sparse.csr_matrix(near), points, largest=20)
    assert len(parts) > 1
    assert sorted(np.concatenate([part.vertices for part in parts])) == list(range(len(points)))
