"""The pattern of a sparse symmetric matrix in blocks of three by three."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

T = TypeVar("T")


class SparsityPattern(nn.Module):
    """Where matrices of a fixed pattern have blocks, and what solvers have worked out about it.

    A module, so that it moves to devices with the step that it belongs to.

    Attributes:
        starts: where each row of blocks begins, and the end, `(N + 1,)`.
        columns: of the K blocks, in the order of their rows, then columns, `(K,)`.
        diagonal: which block lies on the diagonal in each row, `(N,)`.
        free: which components may move, `(N, 3)`; the rows and columns of others are those of the identity.
        points: where the vertices are, `(N, d)`, so that near ones are found without a search: any
            configuration will do.
    """

    starts: Int[Tensor, "N+1"]
    columns: Int[Tensor, "K"]
    diagonal: Int[Tensor, "N"]
    free: Bool[Tensor, "N 3"]

    def __init__(
        self,
        entries: Int[Tensor, "K"],
        diagonal: Int[Tensor, "N"],
        free: Float[Tensor, "N 3"],
        points: Float[Tensor, "N d"] | None = None,
    ) -> None:
        """Take blocks as row * N + column, ascending, and points, by default on a line."""
        super().__init__()
        count = len(free)
        starts = torch.zeros(count + 1, dtype=torch.int64, device=free.device)
        starts[1:] = torch.bincount(entries // count, minlength=count).cumsum(0)
        # 32-bit indices: reading the matrix is what a product with it takes.
        self.register_buffer("starts", starts.int(), persistent=False)
        self.register_buffer("columns", (entries % count).int(), persistent=False)
        self.register_buffer("diagonal", diagonal, persistent=False)
        self.register_buffer("free", free.bool(), persistent=False)
        line = torch.arange(count)[:, None] if points is None else points.detach()
        self.points = line.double().cpu().numpy()
        self._analyses: dict[object, Any] = {}

    @classmethod
    def of(
        cls,
        connectivity: Sequence[Int[Tensor, "_ _"]],
        free: Float[Tensor, "N 3"],
        points: Float[Tensor, "N d"] | None = None,
    ) -> tuple[SparsityPattern, list[Tensor]]:
        """Return the pattern of sums of element blocks, and which block each pair of an element adds to.

        Args:
            connectivity: for each set of elements the vertices of each, `(M, C)`; the pairs of a set are
                M * C * C.
            free: which components may move, `(N, 3)`.
            points: where the vertices are, `(N, d)`.
        """
        count = len(free)
        keys = [(cells[:, :, None] * count + cells[:, None, :]).flatten() for cells in connectivity]
        # Every vertex has a block on the diagonal, for its fixed components.
        every = torch.arange(count, device=free.device) * (count + 1)
        entries, slots = torch.cat([*keys, every]).unique(return_inverse=True)
        *sets, diagonal = slots.split([*map(len, keys), count])
        return cls(entries, diagonal, free, points), list(sets)

    def analysis(self, key: object, analyze: Callable[[SparsityPattern], T]) -> T:
        """Return what `analyze` returns of this pattern, computed at the first call with this key only."""
        if key not in self._analyses:
            self._analyses[key] = analyze(self)
        result: T = self._analyses[key]
        return result

    def __getstate__(self) -> dict[str, Any]:
        # A copy works out its own: what a library has made need not be copyable.
        return self.__dict__ | {"_analyses": {}}
