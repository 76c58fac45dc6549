"""Alerts that changed, and notices of them."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from runner.lifecycle import Check
from runner.notifying.notice import Notice, after_message, closed, opened
from runner.notifying.wording import MessageContext
from runner.planning.alerts.alert import Alert, AlertChange, Change
from runner.requests.policies import Route

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
RECORD: Mapping[str, object] = {
    "exit_code": 3,
    "output_tail": "Posting 412 documents\npsql: error: connection to server refused\n",
    "owner": "finance",
    "reason": "exit_code",
}
EXECUTION = "019a9f3e-8a4f-7aa0-8f5e-6f1c2d3e4f50"
SETTING = MessageContext(
    host="erp-1",
    jobs="/srv/erp/jobs.d",
    zone="Europe/Madrid",
    next_fires={"nightly-posting": NOON + timedelta(hours=13)},
)


def change(
    kind: Change = Change.OPENED,
    at: datetime = NOON,
    *,
    request: str | None = "nightly-posting",
    check: Check = Check.FAILURE,
    count: int = 1,
    message: str | None = None,
    record: Mapping[str, object] | None = RECORD,
) -> AlertChange:
    """Return a change of an alert that opened at noon."""
    ended = "ended with status success" if kind is Change.CLOSED else "exit code 3"
    alert = Alert(
        request=request,
        check=check,
        since=min(at, NOON),
        count=count,
        execution=EXECUTION if check is Check.FAILURE else None,
        message=message or ended,
    )
    return AlertChange(change=kind, alert=alert, at=at, record=record)


def news(changed: AlertChange, **route: object) -> Notice:
    """Return the notice of an alert that has just opened."""
    return opened(changed, Route(**{"to": "ops"} | route))  # type: ignore[arg-type]


def known(changed: AlertChange, message: str = "m1") -> Notice:
    """Return the notice of an alert that the receiver knows."""
    notice = after_message(news(changed), message, changed.at)
    assert notice is not None
    return notice


def recovery(changed: AlertChange, after: timedelta = timedelta(hours=2, minutes=5)) -> Notice:
    """Return the notice of the end of an alert that the receiver knows."""
    alert = changed.alert
    end = change(
        Change.CLOSED, changed.at + after, request=alert.request, check=alert.check, record=None
    )
    notice = closed(known(changed), end)
    assert notice is not None
    return notice
