"""The formats of `plan`: one module each, imported on demand.

Each module has one function, `lines(shown)`, which returns the lines to print.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from runner.planning.views.plan import Plan

_MODULES = {"text": "text", "json": "json_lines", "markdown": "markdown"}
FORMS = tuple(_MODULES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A plan and its context: the jobs folder and, in words, what it is compared with.
    `zone` is an IANA key.
    """

    plan: Plan
    jobs: str
    against: str
    zone: str


def report(form: str, shown: Shown) -> Iterable[str]:
    """Return a plan in one of `FORMS`, line by line."""
    lines: Callable[[Shown], Iterable[str]] = import_module(f"{__name__}.{_MODULES[form]}").lines
    return lines(shown)
