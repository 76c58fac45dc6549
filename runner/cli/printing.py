"""How things look: tables, local times, colours, JSON lines."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click

from runner.timing.zones import zone_named
from runner.values import instant_text

COLOURS = {
    "success": "green",
    "processing": "cyan",
    "scheduled": "green",
    "error": "red",
    "invalid": "red",
    "killed": "magenta",
    "misfired": "yellow",
    "system_restart": "yellow",
    "skipped": "yellow",
    "unscheduled": "yellow",
    "drifted": "yellow",
    "complete": "blue",
}


def who(record: Mapping[str, Any]) -> str:
    """Name what a record is about: its request, of a group's member the process, and which attempt if not the first."""
    name = str(record.get("process") if record.get("group") else record.get("request"))
    attempt = record.get("attempt") or 1
    return f"{name} (attempt {attempt})" if attempt > 1 else name


def short_commit(revision: str | None) -> str | None:
    """Return a commit as people read it, its mark kept; what is no commit's id as it is."""
    commit, mark, _ = (revision or "").partition("-dirty")
    is_id = len(commit) in (40, 64) and set(commit) <= set("0123456789abcdef")
    return f"{commit[:12]}{mark}" if is_id else revision


def coloured(status: str) -> str:
    """Return a status in its colour; click drops the colour where the output is no terminal."""
    return click.style(status, fg=COLOURS[status]) if status in COLOURS else status


def echo(text: str) -> None:
    """Print a line of data; its colours only on a terminal, and never with NO_COLOR (no-color.org)."""
    click.echo(text, color=False if os.environ.get("NO_COLOR") else None)


def printable_text(text: str) -> str:
    """Replace what could steer a terminal: output of processes and names in files reach people through us."""
    return text if text.isprintable() else "".join(each if each.isprintable() else "\ufffd" for each in text)


def local_text(instant: datetime | None, zone: str) -> str:
    """Return an instant as wall time in `zone` with its UTC offset, to the second; "-" for none."""
    if instant is None:
        return "-"
    local = instant.astimezone(zone_named(zone))
    return f"{local:%Y-%m-%d %H:%M:%S}{_offset_text(local)}"


def json_line(item: Mapping[str, Any]) -> str:
    """Return an item as one line of JSON; instants as in the monitor log."""
    return json.dumps(item, ensure_ascii=False, default=_plain)


def print_items(
    items: Iterable[Mapping[str, Any]],
    output: str,
    *,
    columns: Sequence[str],
    cells: Callable[[Mapping[str, Any]], Sequence[str]],
) -> None:
    """Print items as JSON lines, or as a table with a head of `columns`."""
    if output == "json":
        for item in items:
            click.echo(json_line(item))
        return
    print_table(columns, [cells(item) for item in items])


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print rows in columns as wide as they need; no head and nothing at all for no rows."""
    if not rows:
        return
    lines = [[click.style(name, bold=True) for name in columns], *rows]
    widths = [max(len(click.unstyle(line[column])) for line in lines) for column in range(len(columns))]
    for line in lines:
        padded = [cell + " " * (width - len(click.unstyle(cell))) for cell, width in zip(line, widths, strict=True)]
        click.echo("  ".join(padded).rstrip())


def _offset_text(local: datetime) -> str:
    text = local.strftime("%z")
    return f"{text[:3]}:{text[3:]}"


def _plain(value: object) -> object:
    return instant_text(value) if isinstance(value, datetime) else str(value)
