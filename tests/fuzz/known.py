"""The faults that are known and not mended yet, see known_faults.txt."""

from functools import cache
from pathlib import Path


@cache
def known_faults() -> dict[tuple[str, str], frozenset[str]]:
    """Return the labels of the hostile values by call and argument; "*" is any of them."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    for line in Path(__file__).with_name("known_faults.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            name, argument, labels = (part.strip() for part in line.split(" | "))
            found[name, argument] = frozenset(label.strip() for label in labels.split(";"))
    return found


def is_known(name: str, argument: str, label: str) -> bool:
    """Whether this value is a known fault of a call."""
    return bool({"*", label} & known_faults().get((name, argument), frozenset()))
