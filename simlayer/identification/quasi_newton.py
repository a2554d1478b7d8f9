"""L-BFGS, set for fits of many unknowns."""

from __future__ import annotations

from functools import partial

from torch.optim import LBFGS

# For many unknowns and a smooth loss.
lbfgs = partial(
    LBFGS,
    max_iter=4,
    history_size=20,
    tolerance_grad=1e-9,
    tolerance_change=1e-12,
    line_search_fn="strong_wolfe",
)
