"""Who did what: commands, reloads, alerts, logins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from runner.access.shown.event_words import line_of
from runner.commands import CommandKind
from runner.monitor.records import Event
from runner.web.pages.past import Past
from runner.web.pages.present import Present
from runner.web.pages.rendering import Content

Record = Mapping[str, Any]
_ON_PAGE = 100
_TONES = {"ERROR": "bad", "WARNING": "warn", "SUCCESS": "ok"}
KINDS = ("", "commands", "reloads", "alerts", "logins")
_LOGIN = str(CommandKind.LOGIN)
_WORDS = frozenset(Event)


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """A record as a line."""

    at: str | None
    by: str
    tone: str
    mark: str
    words: str
    request: str | None


def changes(present: Present, past: Past, kind: str, before: int | None) -> Content:
    """Return a page of changes, the newest first."""

    def is_shown(record: Record) -> bool:
        return (
            record.get("event") in _WORDS
            and (not kind or kind_of_event(record) == kind)
            and _is_seen(present, record)
        )

    found = past.events(is_shown, before=before, limit=_ON_PAGE)
    older = None if found.before is None else f"/changes?kind={kind}&before={found.before}"
    return Content(
        template="changes.html",
        title="Changes · Runner",
        is_live=before is None,
        values={
            "changes": [change_of(record) for record in found.records],
            "kind": kind if kind in KINDS else "",
            "kinds": KINDS,
            "older": older,
            "clock": present.clock,
        },
    )


def kind_of_event(record: Record) -> str:
    """Return the kind under which a record is found.

    >>> kind_of_event({"event": "request.unscheduled", "requested_by": "ana"})
    'commands'
    """
    event = str(record["event"])
    if event.startswith(("alert.", "notification.")):
        return "alerts"
    if event == Event.WEB_CHANGED and record.get("action") == _LOGIN:
        return "logins"
    return "commands" if record.get("requested_by") else "reloads"


def change_of(record: Record) -> Change:
    """Return a record as a line, in the words of the runner's console."""
    level, text = _line(record)
    mark, _, words = text.partition(" ")
    request = record.get("request") or None
    return Change(
        at=record.get("time"),
        by=str(record.get("requested_by") or ""),
        tone=_TONES.get(level, "idle"),
        mark=mark,
        words=words.replace(f"{request}  ", "", 1) if request else words,
        request=request,
    )


def _line(record: Record) -> tuple[str, str]:
    """Return the console's line; for a record of another program or version, its event."""
    try:
        return line_of(record)
    except (KeyError, TypeError, AttributeError, ValueError):
        return "INFO", f"· {record.get('event')}  {record.get('message') or ''}"


def _is_seen(present: Present, record: Record) -> bool:
    if present.admits is None:
        return True
    return bool(record.get("request")) and present.is_seen(str(record["request"]))
