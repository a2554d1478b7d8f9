"""The checker of annotated shapes and types at runtime.

Every test checks the first calls of annotated functions that it makes. A long test goes on without: its later
calls are like the first ones, and checking them takes as long as the calculation itself.
"""

import functools

from beartype import BeartypeConf, beartype
from jaxtyping import config

# Two calls of the checker per call of a function: of its arguments, and of its result.
LONGEST = 4000
_left = 0

# Numbers from configurations are what was written: `[0, 0, 0.5]`, and an int is a float (PEP 484).
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def start(enabled: bool) -> None:
    """Start a test, with checks or without."""
    global _left
    _left = LONGEST
    config.update("jaxtyping_disable", not enabled)


def checked(function):
    """Return the function with checks of its arguments and its result."""
    check = _checked(function)

    @functools.wraps(function)
    def counted(*args, **kwargs):
        global _left
        _left -= 1
        if _left < 0:
            config.update("jaxtyping_disable", True)
        return check(*args, **kwargs)

    return counted
