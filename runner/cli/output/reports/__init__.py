"""The formats of `validate`: one module each, imported on demand.

Each module has one function, `lines(checked)`, which returns the lines to print.
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
    """The result of a validation, in order of file, line and column.

    `cautions` are surprises of valid requests, in the same order. `files` are the files
    that hold requests or have problems. `requests` counts the valid requests.
    """

    problems: tuple[Problem, ...]
    cautions: tuple[Problem, ...] = ()
    files: tuple[str, ...]
    requests: int


def report(form: str, checked: Checked) -> Iterable[str]:
    """Return the result in one of `FORMS`, line by line."""
    lines: Callable[[Checked], Iterable[str]] = import_module(f"{__name__}.{_MODULES[form]}").lines
    return lines(checked)


def below_here(file: str) -> str:
    """Return a file's path relative to the working folder, which pipelines take for the
    repository's top folder.

    The path of a file elsewhere stays absolute.
    """
    here, path = Path.cwd(), Path(file).absolute()
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else path.as_posix()
