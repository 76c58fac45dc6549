"""An alert, and a change of one. Pure.

`service.alerts.notices` receives each `AlertChange` in the commit of what caused it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from runner.lifecycle import Check
from runner.values import to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """An open check of a request, or of the runner itself."""

    request: str | None
    """None if it is the runner's own."""
    check: Check
    since: datetime
    """When it opened."""
    count: int
    """For `failure` and `skipped`: how many in a row. For `missed`: how many fires. For the
    checks of time: how often the deadline passed.
    """
    execution: str | None
    """The id of the latest execution that the alert is about, if there is one."""
    message: str
    """What is wrong, in one line. Of a closed alert: what ended it."""
    acknowledged_by: str | None = None
    """The person who silenced it."""
    acknowledged_until: datetime | None = None

    @property
    def id(self) -> str:
        """A stable id: the same from the opening to the closing, also across restarts."""
        return f"{self.request or ''}/{self.check}/{to_microseconds(self.since)}"


class Change(StrEnum):
    """What became of an alert."""

    OPENED = "opened"
    COUNTED = "counted"  # it was open already, and the same happened again
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertChange:
    """A change of an alert.

    An alert opens at the smallest `after` of the request's routes. A route with a greater
    one is notified when `alert.count` reaches it, with OPENED or with COUNTED.
    """

    change: Change
    alert: Alert
    at: datetime
    record: Mapping[str, object] | None = None
    """The fields of the `execution.finished` record that caused it, if one did."""
