"""The forms in which `validate` tells what it has found: one module each, imported when
it is asked for.

Such a module has one function, `lines(checked)`, which returns what is to be printed line by line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.errors import Problem

_MODULES = {
    "text": "text",
    "json": "json_lines",
    "github": "github",
    "sarif": "sarif",
    "junit": "junit",
}
FORMS = tuple(_MODULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """What was found. `files` are those that hold requests or have problems; `requests`
    counts the good ones.

    All is in order of file, line and column.
    """

    problems: tuple[Problem, ...]
    files: tuple[str, ...]
    requests: int


def report(form: str, checked: Checked) -> Iterable[str]:
    """Return what was found in one of `FORMS`, line by line."""
    lines: Callable[[Checked], Iterable[str]] = import_module(f"{__name__}.{_MODULES[form]}").lines
    return lines(checked)


def below_here(file: str) -> str:
    """Return a file's name relative to the working folder, which pipelines take for the
    repository's top.

    One that lies elsewhere keeps its whole name.
    """
    here, path = Path.cwd(), Path(file).absolute()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
