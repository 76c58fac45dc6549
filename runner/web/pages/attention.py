"""What needs a person, and whether anything is wrong. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert
from runner.planning.states.results import FAILURES, Result
from runner.values import counted

_MILD = frozenset({Check.MISSED, Check.LATE_START, Check.OVERRUN, Check.SKIPPED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Attention:
    """Something that needs a person, or that a person has acknowledged."""

    tone: str
    word: str
    request: str | None
    """None for the runner itself."""
    message: str
    since: datetime
    count: int = 1
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None
    alert: str | None = None
    """The alert's name in commands; None for a failure that no alert is open for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The answer to the first question, in a few words."""

    tone: str
    words: str


def attention(
    alerts: Iterable[Alert], results: Mapping[str, Result], messages: Mapping[str, str]
) -> list[Attention]:
    """Return what needs a person: open alerts, and failing requests without one.

    What is acknowledged comes last, then the worst first, then the newest.
    """
    found = [*map(_of_alert, alerts)]
    with_alert = {each.request for each in found}
    found += [
        Attention(
            tone="bad",
            word="failing",
            request=name,
            message=messages.get(name) or f"the last execution ended as {result.status}",
            since=result.ended,
        )
        for name, result in results.items()
        if result.status in FAILURES and name not in with_alert
    ]
    return sorted(
        found,
        key=lambda each: (
            each.acknowledged_by is not None,
            each.tone != "bad",
            -each.since.timestamp(),
        ),
    )


def _of_alert(alert: Alert) -> Attention:
    tone = "warn" if alert.check in _MILD else "bad"
    return Attention(
        tone="idle" if alert.acknowledged_until else tone,
        word=str(alert.check).replace("_", " "),
        request=alert.request,
        message=alert.message,
        since=alert.since,
        count=alert.count,
        acknowledged_by=alert.acknowledged_by,
        acknowledged_until=alert.acknowledged_until,
        alert=f"{alert.request}/{alert.check}" if alert.request else str(alert.check),
    )


def verdict(
    needs: Sequence[Attention], *, trouble: str | None, requests: int, is_paused: bool
) -> Verdict:
    """Return the answer to "is anything wrong?"."""
    open_needs = sum(each.acknowledged_by is None for each in needs)
    if trouble is not None:
        return Verdict(tone="bad", words="Nothing fires")
    if open_needs:
        verb = "needs" if open_needs == 1 else "need"
        return Verdict(tone="bad", words=f"{counted(open_needs, 'thing')} {verb} a person")
    if is_paused:
        return Verdict(tone="warn", words="Paused")
    if not requests:
        return Verdict(tone="warn", words="No requests yet")
    return Verdict(tone="ok", words="All is well")
