"""The keywords of Abaqus decks with their parameters and data lines, included files spliced in."""

import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from simlayer.mesh.validation import MeshError

_OUTSIDE_QUOTES = re.compile(r',(?=(?:[^"]*"[^"]*")*[^"]*$)')
_NUMBER = re.compile(r"[-+]?\.?\d")


class Line(NamedTuple):
    """A line of a deck or of a file that it includes, without blanks at its ends."""

    path: Path
    number: int
    text: str

    def fields(self) -> list[str]:
        """Return what is between the commas; a comma at the end of the line is followed by nothing."""
        parts = _OUTSIDE_QUOTES.split(self.text) if '"' in self.text else self.text.split(",")
        fields = [part.strip().strip('"') for part in parts]
        return fields if fields[-1] else fields[:-1]

    def integer(self, text: str) -> int:
        """Return a field as a whole number."""
        try:
            return int(text)
        except ValueError:
            raise self.error(f"a whole number is needed, got {text!r}.") from None

    def real(self, text: str) -> float:
        """Return a field as a number, 0 where it is blank."""
        try:
            return float(text.upper().replace("D", "E") or 0)
        except ValueError:
            raise self.error(f"a number is needed, got {text!r}.") from None

    def error(self, message: str) -> MeshError:
        """Return an error that names the file and the line."""
        return MeshError(f"{self.path}, line {self.number}: {message}")

    def warn(self, message: str) -> None:
        """Warn with the file and the line."""
        warnings.warn(str(self.error(message)), stacklevel=7)


@dataclass
class Keyword:
    """A keyword in capitals, its parameters by their names in capitals, and the data lines below it."""

    name: str
    line: Line
    parameters: dict[str, str] = field(default_factory=dict)
    data: list[Line] = field(default_factory=list)

    def required(self, parameter: str) -> str:
        """Return the value of a parameter; raises MeshError without one."""
        if not self.parameters.get(parameter):
            raise self.line.error(f"*{self.name} needs the parameter {parameter}=.")
        return self.parameters[parameter]

    def take(self, fields: list[str]) -> None:
        """Add parameters: NAME=value, or NAME alone."""
        for text in filter(None, fields):
            name, _, value = text.partition("=")
            self.parameters[name.strip().upper()] = value.strip().strip('"')


def read_keywords(path: Path) -> Iterator[Keyword]:
    """Yield the keywords of a deck in their order; raises MeshError by file and line."""
    keyword, continued = None, False
    for line in _lines(path, ()):
        if line.text.startswith("*"):
            if keyword:
                yield keyword
            keyword = _started(line)
            continued = line.text.endswith(",")
        elif keyword is None:
            raise line.error(
                "an Abaqus deck begins with a keyword like *HEADING or *NODE. "
                "(A .inp file of AVS has to be called .avs.)"
            )
        elif continued and not _NUMBER.match(line.text):
            keyword.take(line.fields())
            continued = line.text.endswith(",")
        else:
            keyword.data.append(line)
            continued = False
    if keyword:
        yield keyword


def _started(line: Line) -> Keyword:
    name, *parameters = line.fields()
    keyword = Keyword(" ".join(name[1:].upper().split()), line)
    keyword.take(parameters)
    return keyword


def _lines(path: Path, including: tuple[Path, ...]) -> Iterator[Line]:
    """Yield the lines with content of a file, those of included files in place of *INCLUDE and INPUT=."""
    for number, text in enumerate(path.read_text(errors="replace").splitlines(), 1):
        text = text.strip()
        if not text or text.startswith("**"):
            continue
        line = Line(path, number, text)
        source = _source(line)
        if source is None or not text.upper().replace(" ", "").startswith("*INCLUDE"):
            yield line
        if source is not None:
            if source in (*including, path):
                raise line.error(f"{source} includes itself.")
            if not source.is_file():
                raise line.error(f"{source} does not exist.")
            yield from _lines(source, (*including, path))


def _source(line: Line) -> Path | None:
    """Return the file that a line names by INPUT=, next to the file of the line."""
    if not line.text.startswith("*") or "INPUT" not in line.text.upper():
        return None
    keyword = _started(line)
    # Other keywords have files of other contents, such as matrices.
    if keyword.name == "INCLUDE" or ("INPUT" in keyword.parameters and keyword.name in _WITH_FILES):
        return line.path.parent / keyword.required("INPUT")
    return None


_WITH_FILES = ("NODE", "ELEMENT", "NSET", "ELSET")
