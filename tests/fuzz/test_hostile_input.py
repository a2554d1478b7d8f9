"""Whatever a public name is given: the right result, or an error that names argument and value."""

import importlib
import os
from collections import Counter
from pathlib import Path

import pytest
from fuzz.known import is_known, known_faults
from fuzz.table import CALLS, WITHOUT_A_CALL
from fuzz.values import hostile_values
from fuzz.verdicts import Outcome, Verdict, contents, judge
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import simlayer

# As a user runs it: the tests' own checks of shapes would answer first.
pytestmark = pytest.mark.unchecked

DOORS = [path.parent.name for path in sorted(Path(simlayer.__file__).parent.glob("*/__init__.py"))]
FAULTS = (Outcome.OBSCURE, Outcome.SILENT)
SAMPLED = settings(
    max_examples=400,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=list(HealthCheck),
)
Input = tuple[str, dict[str, str]]


def values_of(call: str, argument: str) -> dict:
    return {value.label: value for value in hostile_values(CALLS[call].arguments[argument].make())}


@st.composite
def inputs(draw) -> Input:
    """A call, and the labels of hostile values for one or two of its arguments; no known faults."""
    name = draw(st.sampled_from(sorted(CALLS)))
    arguments = draw(
        st.lists(st.sampled_from(sorted(CALLS[name].arguments)), min_size=1, max_size=2, unique=True)
    )
    chosen = {}
    for argument in arguments:
        labels = [label for label in values_of(name, argument) if not is_known(name, argument, label)]
        if labels:
            chosen[argument] = draw(st.sampled_from(labels))
    return name, chosen


def verdict_of(name: str, labels: dict[str, str]) -> Verdict:
    return judge(
        CALLS[name], {argument: values_of(name, argument)[label] for argument, label in labels.items()}
    )


def check(example: Input) -> None:
    verdict = verdict_of(*example)
    assert verdict.outcome not in FAULTS, f"{verdict.outcome.value}: {verdict.remark}"


def test_every_public_name_has_a_call_or_a_reason_why_it_has_none():
    called = {part for name in CALLS for part in name.removesuffix(" =").replace(".", " ").split()}
    public = set(simlayer.__all__).union(
        *(getattr(importlib.import_module(f"simlayer.{door}"), "__all__", ()) for door in DOORS)
    )
    assert not public - called - WITHOUT_A_CALL.keys()
    assert not WITHOUT_A_CALL.keys() - public, "no longer public"


@pytest.mark.parametrize("name", CALLS)
def test_the_valid_arguments_of_a_call_are_accepted(name):
    assert contents(CALLS[name].run(**CALLS[name].valid())) is not None


@SAMPLED
@given(inputs())
def test_hostile_input_gives_the_right_result_or_an_error_that_names_it(example):
    check(example)


@pytest.mark.long
@settings(
    SAMPLED, max_examples=int(os.environ.get("FUZZ_EXAMPLES", "3000")), derandomize=False, print_blob=True
)
@given(inputs())
def test_hostile_input_that_is_drawn_anew_gives_the_right_result_or_an_error_that_names_it(example):
    check(example)


@pytest.mark.long
def test_every_hostile_value_in_every_argument_is_right_or_refused_by_name_but_for_the_known_faults(capsys):
    found, counts = {}, Counter()
    for name, call in CALLS.items():
        for argument in call.arguments:
            for label in values_of(name, argument):
                verdict = verdict_of(name, {argument: label})
                counts[verdict.outcome] += 1
                if verdict.outcome in FAULTS:
                    found.setdefault((name, argument), {})[label] = verdict.remark
    with capsys.disabled():
        numbers = ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome)
        print(f"\n{counts.total()} hostile inputs: {numbers}")
    known = known_faults()
    new = {
        f"{name} | {argument} | {label}": remark
        for (name, argument), remarks in found.items()
        for label, remark in remarks.items()
        if not is_known(name, argument, label)
    }
    assert not new
    mended = [
        f"{name} | {argument} | {label}"
        for (name, argument), labels in known.items()
        for label in labels
        if label not in found.get((name, argument), {}) and not (label == "*" and (name, argument) in found)
    ]
    assert not mended, "remove these from known_faults.txt"
