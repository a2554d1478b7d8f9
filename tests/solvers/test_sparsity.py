"""Patterns of sparse matrices in blocks."""

import copy
import pickle

import torch

from simlayer.solvers.sparsity import SparsityPattern

CELLS = torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]])


def pattern():
    return SparsityPattern.of([CELLS], torch.ones(6, 3))[0]


def test_a_pattern_has_a_block_where_two_vertices_share_an_element_and_on_the_diagonal():
    found, (slots,) = SparsityPattern.of([CELLS], torch.ones(6, 3))
    rows = torch.repeat_interleave(found.starts.diff())
    blocks = set(zip(rows.tolist(), found.columns.tolist(), strict=True))
    pairs = {(a, b) for cell in CELLS.tolist() for a in cell for b in cell}
    assert blocks == pairs | {(5, 5)}  # a vertex of no element
    assert found.columns[found.diagonal].tolist() == rows[found.diagonal].tolist() == list(range(6))
    wanted = torch.stack([CELLS[:, :, None].expand(2, 4, 4), CELLS[:, None].expand(2, 4, 4)], -1)
    assert torch.equal(torch.stack([rows[slots], found.columns[slots]], -1), wanted.reshape(-1, 2))


def test_an_analysis_is_made_once_of_a_pattern_and_by_itself_for_each_key_and_copy():
    calls = []

    def analyze(of):
        calls.append(of)
        return lambda: None  # nothing that could be pickled

    found = pattern()
    first = found.analysis("one", analyze)
    assert found.analysis("one", analyze) is first
    assert found.analysis("two", analyze) is not first
    assert len(calls) == 2
    for other in (copy.deepcopy(found), pickle.loads(pickle.dumps(found))):
        assert other.analysis("one", analyze) is not first
        assert torch.equal(other.columns, found.columns)
    assert found.analysis("one", analyze) is first
