"""Pieces of SVG, and how a status is drawn. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote

from markupsafe import Markup

from runner.lifecycle import ExecutionStatus

FAILED = frozenset({ExecutionStatus.ERROR, ExecutionStatus.SYSTEM_RESTART})
"""The ends that a person looks into; a person or the request itself asked for a kill."""
_KINDS: Mapping[str, str] = {
    ExecutionStatus.SUCCESS: "ok",
    ExecutionStatus.ERROR: "bad",
    ExecutionStatus.SYSTEM_RESTART: "bad",
    ExecutionStatus.KILLED: "killed",
    ExecutionStatus.MISFIRED: "missed",
    ExecutionStatus.SKIPPED: "skipped",
    ExecutionStatus.PROCESSING: "running",
}


def kind_of(status: str) -> str:
    """Return the class of a status's colour; an unknown one is drawn as skipped.

    >>> kind_of("system_restart")
    'bad'
    """
    return _KINDS.get(status, "skipped")


def number(value: float) -> str:
    """Return a coordinate, short.

    >>> number(12.0), number(0.123456)
    ('12', '0.12')
    """
    return f"{value:.2f}".rstrip("0").rstrip(".")


def boxes(kind: str, shapes: Iterable[tuple[float, float, float, float]]) -> Markup:
    """Return rectangles of one colour (x, y, width, height) as a single path; "" for none."""
    path = "".join(
        f"M{number(x)} {number(y)}h{number(width)}v{number(height)}h{number(-width)}z"
        for x, y, width, height in shapes
    )
    return Markup('<path class="{}" d="{}"/>').format(kind, path) if path else Markup("")


def box(
    kind: str,
    x: str,
    y: float,
    width: str,
    height: float,
    title: str = "",
) -> Markup:
    """Return one rectangle; `x` and `width` may be percentages."""
    tip = Markup("<title>{}</title>").format(title) if title else Markup("")
    return Markup('<rect class="{}" x="{}" y="{}" width="{}" height="{}">{}</rect>').format(
        kind, x, number(y), width, number(height), tip
    )


def execution_path(execution: str) -> str:
    """Return the path of an execution's page; an odd id stays one segment of it."""
    return f"/executions/{quote(execution, safe='')}"


def percent(part: float) -> str:
    """Return a fraction as a percentage, at least 0 and at most 100.

    >>> percent(0.12345)
    '12.35%'
    """
    return f"{number(min(max(part, 0.0), 1.0) * 100)}%"
