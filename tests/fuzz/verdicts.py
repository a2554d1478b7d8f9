"""One call with hostile values, and the verdict on what came of it."""

from __future__ import annotations

import dataclasses
import dis
import math
import re
import signal
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import torch
from fuzz.calls import Call
from fuzz.kinds import NOTHING, as_numbers
from fuzz.values import Hostile
from torch import Tensor, nn

import simlayer
from simlayer.errors import SimulationError

_PACKAGE = str(Path(simlayer.__file__).parent)
# What the package raises on purpose; an AssertionError or a bare RuntimeError says nothing to a user.
_DELIBERATE = (ValueError, TypeError, KeyError, AttributeError, ImportError, SimulationError)
# No call of the table takes longer than a second with valid values.
_LONGEST = 20


class Outcome(Enum):
    """What came of a call."""

    RIGHT = "right"
    CLEAR = "clear"
    OBSCURE = "obscure"
    SILENT = "silent"


@dataclass(frozen=True)
class Verdict:
    """What came of a call, and what there is to say about it."""

    outcome: Outcome
    remark: str = ""


class _TooLong(BaseException):
    """A call that did not end in time."""


def judge(call: Call, hostile: Mapping[str, Hostile]) -> Verdict:
    """Make a call with some of its arguments replaced, and judge its result or its error."""
    valid = call.valid()
    given = {name: value.make(valid[name]) for name, value in hostile.items()}
    clean = {name: call.arguments[name].kind.clean(value) for name, value in given.items()}
    wrong = [name for name, value in clean.items() if value is NOTHING] or _unlike(call, {**valid, **clean})
    # What a generator holds is gone once it has been looked at.
    given = {name: value.make(valid[name]) for name, value in hostile.items()}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with _in_time():
                result = contents(call.run(**{**valid, **given}))
        except (Exception, _TooLong) as error:
            # Where each value is right they may not fit the others, of which any may be named.
            return _of_error(call, error, given if wrong else {**valid, **given})
    if wrong:
        texts = [str(warning.message) for warning in caught]
        if any(_names(call, text, {name: given[name] for name in wrong if name in given}) for text in texts):
            return Verdict(Outcome.CLEAR, "a warning")
        return Verdict(Outcome.SILENT, f"accepted {wrong}")
    try:
        with warnings.catch_warnings(), _in_time():
            warnings.simplefilter("ignore")
            expected = contents(call.run(**{**call.valid(), **clean}))
    except (Exception, _TooLong) as error:
        return Verdict(Outcome.SILENT, f"accepted, but the clean value was not: {_said(error)[:200]}")
    if difference := _difference(expected, result):
        return Verdict(Outcome.SILENT, f"another result than with the clean value: {difference}")
    return Verdict(Outcome.RIGHT)


def _unlike(call: Call, clean: Mapping[str, Any]) -> list[str]:
    """Return the arguments whose shapes must be equal, if they are not."""
    shapes = {tuple(clean[name].shape) for name in call.alike}
    return list(call.alike) if len(shapes) > 1 else []


def _of_error(call: Call, error: BaseException, given: Mapping[str, Any]) -> Verdict:
    said = f"{type(error).__name__}: {_said(error)[:300]}"
    if not isinstance(error, _DELIBERATE) or not _is_raised_by_package(error.__traceback__):
        return Verdict(Outcome.OBSCURE, said)
    if not _names(call, _said(error), given):
        return Verdict(Outcome.OBSCURE, f"does not name argument and value: {said}")
    return Verdict(Outcome.CLEAR, said)


def _said(error: BaseException) -> str:
    # The text of a KeyError is quoted.
    return str(error.args[0]) if isinstance(error, KeyError) and error.args else str(error)


def _is_raised_by_package(traceback: TracebackType | None) -> bool:
    """Whether the innermost frame is the package's, at a `raise`: an error inside of C has no frame."""
    if traceback is None:
        return False
    while traceback.tb_next is not None:
        traceback = traceback.tb_next
    code = traceback.tb_frame.f_code
    operation = code.co_code[traceback.tb_lasti]
    return code.co_filename.startswith(_PACKAGE) and operation in (
        dis.opmap["RAISE_VARARGS"],
        dis.opmap["RERAISE"],
    )


def _names(call: Call, text: str, given: Mapping[str, Any]) -> bool:
    """Whether a text names one of the arguments, and shows its value, its shape or its type."""
    # Of several values a message may show the wrong one alone, by its index.
    return any(
        re.search(rf"\b{name}\[\d+\] must be .*\bgot ", text)
        or (any(word in text for word in (name, *call.arguments[name].names)) and _is_shown(text, value))
        for name, value in given.items()
    )


def _is_shown(text: str, value: Any) -> bool:
    return any(shown and shown in text for shown in _forms(value))


def _forms(value: Any) -> Iterator[str]:
    """Yield the texts by which a message may show a value."""
    yield type(value).__name__
    yield from (repr(value)[:30], str(value)[:30])
    if isinstance(value, type):
        yield value.__name__
    if hasattr(value, "__len__") and not isinstance(value, type) and _length(value) == 0:
        yield from ("()", "[]", "empty", "got 0", "got none", "at least one")
    numbers = as_numbers(value)
    if numbers is not None:
        shape = tuple(numbers.shape)
        yield from (f"shape {shape}", f"got {shape}", f"and {shape}")
    if isinstance(value, list | tuple | str | bytes | set | range | Mapping):
        yield repr(tuple(value))[:30]
    if isinstance(value, Tensor | np.ndarray):
        # Of many numbers a message shows which are wrong.
        yield from ("got", "sample", "vertices [") * (_length(value) > 4)
        yield from (str(tuple(value.shape)), str(value.dtype), f"shape {tuple(value.shape)}")
        yield from ("requires grad",) * bool(getattr(value, "requires_grad", False))
        yield from _kinds(value) if isinstance(value, Tensor) else ()
        single = [] if numbers is None else numbers.flatten()[:20].tolist()
    elif isinstance(value, Mapping):
        yield from (form(name) for name in value for form in (str, repr))
        single = list(value.values())
        yield from (type(x).__name__ for x in single)
    else:
        single = list(_flat(value))
        yield from (type(x).__name__ for x in single if not isinstance(x, float | int))
        yield from (str(x) for x in single if isinstance(x, str | None))
        # Of a state, a message shows the shape of the part that is wrong.
        yield from (f"shape {tuple(x.shape)}" for x in single if isinstance(x, Tensor))
    for number in single:
        yield from _forms_of_number(number)


def _kinds(tensor: Tensor) -> Iterator[str]:
    yield from ("boolean",) * (tensor.dtype == torch.bool)
    yield from ("complex",) * tensor.is_complex()
    yield from ("sparse",) * (tensor.layout != torch.strided)
    yield from ("meta",) * tensor.is_meta


def _length(value: Any) -> int:
    return value.shape[0] if getattr(value, "shape", ()) else len(value) if not hasattr(value, "shape") else 1


def _flat(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple | set | range):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _forms_of_number(number: Any) -> Iterator[str]:
    if isinstance(number, bool | complex | np.complexfloating):
        yield str(number)
    elif isinstance(number, float | int | np.number | Decimal | Fraction):
        try:
            number = float(number)
        except OverflowError:
            return
        if math.isnan(number):
            yield from ("NaN", "nan")
        elif math.isinf(number):
            yield from ("inf", "not finite", "overflow")
        else:
            yield from (f"{number:g}", repr(number), f"{number:.3g}")
            yield from (str(int(number)),) * (number == int(number))


def contents(value: Any, path: str = "", depth: int = 0) -> dict[str, Any]:
    """Return what a result holds as tensors, numbers and texts by path."""
    if isinstance(value, Tensor):
        return {path: value.detach()}
    if isinstance(value, nn.Module):
        found = {**dict(value.named_parameters()), **dict(value.named_buffers())}
        plain = {
            f"{name}.{key}": part
            for name, module in value.named_modules()
            for key, part in vars(module).items()
            if not key.startswith("_") and isinstance(part, float | int | str | tuple)
        }
        return {f"{path}.{k}": v.detach() if isinstance(v, Tensor) else v for k, v in (found | plain).items()}
    if isinstance(value, np.ndarray):
        return {path: torch.from_numpy(value.copy())}
    if isinstance(value, float | int | str | bool | None | Path | Enum):
        return {path: str(value) if isinstance(value, Path) else value}
    if depth > 4:
        return {}
    parts: dict[str, Any] = {}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
    elif isinstance(value, Mapping):
        parts = {str(k): v for k, v in value.items()}
    elif isinstance(value, list | tuple):
        parts = {str(k): v for k, v in enumerate(value)}
    return {
        k: v for name, part in parts.items() for k, v in contents(part, f"{path}.{name}", depth + 1).items()
    }


def _difference(expected: Mapping[str, Any], found: Mapping[str, Any]) -> str:
    if expected.keys() != found.keys():
        return f"{sorted(expected.keys() ^ found.keys())[:3]}"
    for name, value in expected.items():
        if not _equal(value, found[name]):
            return f"{name} is {str(found[name])[:80]} and not {str(value)[:80]}"
    return ""


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor) and isinstance(b, Tensor):
        if (
            a.layout != b.layout
            or a.is_meta
            or a.dtype != b.dtype
            or a.shape != b.shape
            or a.device != b.device
        ):
            return False
        return torch.allclose(
            a.to_dense().double(), b.to_dense().double(), rtol=1e-5, atol=1e-12, equal_nan=True
        )
    if isinstance(a, float | int) and isinstance(b, float | int):
        return math.isclose(a, b, rel_tol=1e-6) or (a != a and b != b)
    return type(a) is type(b) and a == b


@contextmanager
def _in_time() -> Iterator[None]:
    def stop(*_: Any) -> None:
        raise _TooLong(f"it took longer than {_LONGEST} s")

    # Processor time: on a busy machine a call takes longer by the clock.
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, _LONGEST)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def counted(verdicts: Iterator[Verdict]) -> str:
    """Return how often each outcome came."""
    counts = Counter(verdict.outcome for verdict in verdicts)
    return ", ".join(f"{counts[outcome]} {outcome.value}" for outcome in Outcome) + f" of {counts.total()}"
