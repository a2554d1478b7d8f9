"""The messages that the page on troubleshooting explains are those of the package."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
HEADINGS = re.findall(r"^### (.*)$", (ROOT / "docs/troubleshooting.md").read_text(), re.MULTILINE)
MESSAGES = [heading.strip("`") for heading in HEADINGS if heading.startswith("`")]


@pytest.fixture(scope="module")
def sources():
    text = "\n".join(path.read_text() for path in sorted((ROOT / "simlayer").rglob("*.py")))
    # A message may go on in the next line of the source.
    return re.sub(r'"\s*\n\s*f?"', "", text)


@pytest.mark.parametrize("message", MESSAGES)
def test_a_message_that_is_explained_is_one_of_the_package(message, sources):
    for part in message.split("…"):
        assert part.strip() in sources
