"""Shows what the program is doing while something takes long."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType

from tqdm import tqdm

# How long a block runs before something is shown [s], and how often the time is updated [s].
SLOW, EVERY = 2.0, 0.5


class Waiting:
    """Shows what a `with` block does, and for how long, once it has run for `SLOW` seconds.

    In a terminal it is a line that counts the seconds and disappears at the end, elsewhere one printed line.

    Args:
        what: what is being done, such as "Drawing the pictures".
    """

    def __init__(self, what: str) -> None:
        self._what, self._done = what, threading.Event()
        self._thread = threading.Thread(target=self._show, daemon=True)

    def __enter__(self) -> Waiting:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()

    def _show(self) -> None:
        start = time.monotonic()
        if self._done.wait(SLOW):
            return
        if not sys.stderr.isatty():
            print(f"{self._what} ...", flush=True)
            return
        with tqdm(bar_format="{desc}", leave=False, dynamic_ncols=True) as line:
            while not self._done.wait(EVERY):
                line.set_description_str(f"{self._what}: {time.monotonic() - start:.0f} s")
