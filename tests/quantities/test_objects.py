"""Arguments that are objects and texts: what is refused by name."""

import pytest

from simlayer.quantities.objects import checked_names, checked_text


def test_names_whose_order_matters_are_no_set():
    assert set(checked_names("names", {"a", "b"})) == {"a", "b"}
    assert checked_names("names", ["b", "a"], ordered=True) == ("b", "a")
    with pytest.raises(TypeError, match=r"^names must be in order, as in a list, got .*set"):
        checked_names("names", {"a", "b"}, ordered=True)


def test_a_text_that_is_empty_is_refused_by_name():
    assert checked_text("source", "body") == "body"
    with pytest.raises(ValueError, match=r"^source must be a text that is not empty, got ''"):
        checked_text("source", "")


@pytest.mark.parametrize("value", [None, 1, b"body", ["body"]])
def test_what_is_no_text_is_refused_by_name(value):
    with pytest.raises(TypeError, match=r"^source must be of class str, got"):
        checked_text("source", value)
