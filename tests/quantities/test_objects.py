"""Arguments that are objects and texts: what is refused by name."""

import pytest

from simlayer.quantities.objects import checked_text


def test_a_text_that_is_empty_is_refused_by_name():
    assert checked_text("source", "body") == "body"
    with pytest.raises(ValueError, match=r"^source must be a text that is not empty, got ''"):
        checked_text("source", "")


@pytest.mark.parametrize("value", [None, 1, b"body", ["body"]])
def test_what_is_no_text_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^source must be of class str, got"):
        checked_text("source", value)
