"""Sparse symmetric matrices in blocks of three by three, assembled from the blocks of elements."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from scipy import sparse
from torch import Tensor, nn

from simlayer.solvers.sparsity import SparsityPattern


class BlockMatrix(NamedTuple):
    """One matrix for each of B samples, all with the same pattern of K blocks.

    Attributes:
        values: the blocks, in the order of their rows, then columns.
        pattern: where they are.
    """

    values: Float[Tensor, "B K 3 3"]
    pattern: SparsityPattern

    def multiplication(self) -> Callable[[Tensor], Tensor]:
        """Return the product with vectors `(B, N, 3)`, as a function that is to be called often."""
        samples, count = self.values.shape[:2]
        rows = len(self.pattern.diagonal)
        offsets = torch.arange(samples, dtype=torch.int32, device=self.pattern.starts.device)[:, None]
        starts = (self.pattern.starts[:-1] + offsets * count).flatten()
        starts = torch.cat([starts, starts.new_tensor([samples * count])])
        columns = (self.pattern.columns + offsets * rows).flatten()
        size = 3 * samples * rows
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Sparse BSR tensor support is in beta")
            matrix = torch.sparse_bsr_tensor(
                starts, columns, self.values.flatten(0, 1), (size, size), check_invariants=False
            )
        if matrix.device.type == "cpu" and not torch.backends.mkl.is_available():
            matrix = matrix.to_sparse_csr()  # blocks need MKL there
        return lambda vectors: (matrix @ vectors.reshape(-1)).view_as(vectors)

    def diagonal_blocks(self) -> Float[Tensor, "B N 3 3"]:
        """Return the blocks on the diagonal."""
        return self.values[:, self.pattern.diagonal]

    def to_scipy(self, sample: int) -> sparse.csc_matrix:
        """Return the matrix of a sample, in double precision."""
        values = self.values[sample].double().cpu().numpy()
        size = 3 * len(self.pattern.diagonal)
        blocks = (values, self.pattern.columns.cpu().numpy(), self.pattern.starts.cpu().numpy())
        matrix = sparse.bsr_matrix(blocks, shape=(size, size)).tocsr()
        # By symmetry, rows are columns.
        return sparse.csc_matrix((matrix.data, matrix.indices, matrix.indptr), shape=(size, size))


class Assembly(nn.Module):
    """Assembly of element blocks into a sparse matrix of fixed pattern.

    Args:
        connectivity: for each set of elements the vertices of each, `(M, C)`.
        free: which components may move: 1, or 0 for those fixed, whose rows and columns become those of the
            identity.
        points: where the vertices are, `(N, d)`, by which the order of an elimination is found.
    """

    mask: Tensor
    fixed: Tensor

    def __init__(
        self,
        connectivity: Sequence[Int[Tensor, "_ _"]],
        free: Float[Tensor, "N 3"],
        points: Float[Tensor, "N d"] | None = None,
    ) -> None:
        super().__init__()
        self.pattern, sets = SparsityPattern.of(connectivity, free, points)
        columns = self.pattern.columns
        rows = torch.repeat_interleave(self.pattern.starts.diff())
        buffers = {
            "mask": free[rows][:, :, None] * free[columns][:, None, :],
            "fixed": torch.diag_embed(1 - free),
        }
        places = [_entry_places(part, cells.shape[1]) for part, cells in zip(sets, connectivity, strict=True)]
        for name, buffer in (buffers | {f"places_{k}": part for k, part in enumerate(places)}).items():
            self.register_buffer(name, buffer, persistent=False)

    def forward(self, blocks: Sequence[Float[Tensor, "B _ _ _"]], samples: int) -> BlockMatrix:
        """Return the sum of blocks, one tensor for each set of elements, for each of B samples."""
        values = self.mask.new_zeros((samples, self.mask.numel()))
        for index, part in enumerate(blocks):
            places = getattr(self, f"places_{index}")
            # One axis at a time: with more, index_add_ takes several times as long.
            for sample, entries in zip(values, part, strict=True):
                sample.index_add_(0, places, entries.reshape(-1))
        values = values.view(samples, *self.mask.shape)
        values *= self.mask
        values[:, self.pattern.diagonal] += self.fixed
        return BlockMatrix(values, self.pattern)


def _entry_places(slots: Int[Tensor, "P"], size: int) -> Int[Tensor, "E"]:
    """Return where the entries of element matrices go, given the 3x3 block of each pair of its vertices."""
    pairs = slots.view(-1, size, 1, size, 1)
    row, column = torch.arange(3, device=slots.device)[:, None, None], torch.arange(3, device=slots.device)
    return (9 * pairs + 3 * row + column).flatten().int()
