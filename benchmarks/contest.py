"""Contestants that take turns: a process each, of which one works at a time.

In one process, the heap that one contestant leaves slows another by up to a third.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack

Call = Callable[[], object]

# In a contestant's process, what it repeats.
_calls: list[Call] = []


def interleaved(
    builders: Mapping[str, Callable[[], Call]], *, runs: int = 7, warmup: int = 2
) -> dict[str, list[float]]:
    """Seconds of each call in each round; rounds are interleaved so that a noisy machine hits all alike.

    Args:
        builders: picklable functions that make the call, inside its process.
        runs: number of rounds.
        warmup: calls that are not timed, after which everything is compiled.
    """
    fresh = multiprocessing.get_context("spawn")
    times: dict[str, list[float]] = {name: [] for name in builders}
    with ExitStack() as stack:
        workers = {}
        for name, builder in builders.items():
            workers[name] = stack.enter_context(ProcessPoolExecutor(1, mp_context=fresh))
            workers[name].submit(_prepare, builder, warmup).result()
        for _ in range(runs):
            for name, worker in workers.items():
                times[name].append(worker.submit(_timed).result())
    return times


def _prepare(builder: Callable[[], Call], warmup: int) -> None:
    _calls.append(builder())
    for _ in range(warmup):
        _calls[0]()


def _timed() -> float:
    begin = time.perf_counter()
    _calls[0]()
    return time.perf_counter() - begin
