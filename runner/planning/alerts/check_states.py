"""The state machine of a check: which events open or close its alert. Pure.

Each (request, check) has a `CheckState`, which the store keeps. `after_news` is the whole
state machine: it takes a state and one piece of news, and returns the next state and the change
of the alert, if it changed. So a runner that starts from the store goes on exactly where
the former one stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from enum import Enum, StrEnum, auto

from runner.lifecycle import Check
from runner.planning.alerts.alert import Alert, AlertChange, Change
from runner.values import instant_text, parse_instant

CheckKey = tuple[str | None, Check]
"""A request, or None for the runner itself, and one of its checks."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckState:
    """What is durable about one check."""

    count: int = 0
    """As in `Alert`. It counts before the alert opens, too."""
    since: datetime | None = None
    """When the alert opened; None while the check is closed."""
    execution: str | None = None
    message: str = ""
    overdue: tuple[str, ...] = ()
    """What is late: ids of executions, or for `late` the fires. The last end closes it."""
    counted_from: datetime | None = None
    """The beginning of the time that must not become too long: for `absent` since the last
    success, for `invalid` and `reload` since the trouble began.
    """
    acknowledged_by: str | None = None
    acknowledged_until: datetime | None = None

    def alert(self, key: CheckKey) -> Alert | None:
        """Return the alert, if the check is open."""
        if self.since is None:
            return None
        request, check = key
        return Alert(
            request=request,
            check=check,
            since=self.since,
            count=self.count,
            execution=self.execution,
            message=self.message,
            acknowledged_by=self.acknowledged_by,
            acknowledged_until=self.acknowledged_until,
        )


NOTHING = CheckState()
"""The state of a check about which nothing is known. The store keeps no row for it."""


class Fact(StrEnum):
    """What can happen to a check."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"  # after the last attempt
    STARTED = "started"
    ENDED = "ended"  # however it ended
    MISSED = "missed"
    SKIPPED = "skipped"
    COUNTING = "counting"  # the time of `counted_from` begins
    EXPIRED = "expired"  # a deadline has passed
    BROKEN = "broken"  # something of the runner does not work
    WORKS = "works"  # it works again, or a file is valid again
    RETIRED = "retired"  # the request is unscheduled or removed, or the check not wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class News:
    """One thing that happened, and what an alert says about it."""

    fact: Fact
    at: datetime
    message: str = ""
    execution: str | None = None
    overdue: str | None = None
    """Of a passed deadline, and of what ends it: see `CheckState`."""
    count: int = 1
    record: Mapping[str, object] | None = field(default=None, compare=False)


class _Effect(Enum):
    COUNT = auto()
    OPEN = auto()
    ADD = auto()
    REMOVE = auto()
    BEGIN = auto()
    RESTART = auto()
    END = auto()


_TABLE: Mapping[tuple[Check, Fact], _Effect] = {
    (Check.FAILURE, Fact.FAILED): _Effect.COUNT,
    (Check.FAILURE, Fact.SUCCEEDED): _Effect.END,
    (Check.MISSED, Fact.MISSED): _Effect.COUNT,
    (Check.MISSED, Fact.STARTED): _Effect.END,
    (Check.SKIPPED, Fact.SKIPPED): _Effect.COUNT,
    (Check.SKIPPED, Fact.STARTED): _Effect.END,
    (Check.SKIPPED, Fact.SUCCEEDED): _Effect.END,
    (Check.SKIPPED, Fact.FAILED): _Effect.END,
    (Check.LATE_START, Fact.EXPIRED): _Effect.ADD,
    (Check.LATE_START, Fact.STARTED): _Effect.REMOVE,
    (Check.LATE_START, Fact.ENDED): _Effect.REMOVE,
    (Check.LATE, Fact.EXPIRED): _Effect.ADD,
    (Check.LATE, Fact.ENDED): _Effect.REMOVE,
    (Check.OVERRUN, Fact.EXPIRED): _Effect.ADD,
    (Check.OVERRUN, Fact.ENDED): _Effect.REMOVE,
    (Check.ABSENT, Fact.COUNTING): _Effect.BEGIN,
    (Check.ABSENT, Fact.EXPIRED): _Effect.OPEN,
    (Check.ABSENT, Fact.SUCCEEDED): _Effect.RESTART,
    (Check.INVALID, Fact.COUNTING): _Effect.BEGIN,
    (Check.INVALID, Fact.EXPIRED): _Effect.OPEN,
    (Check.INVALID, Fact.WORKS): _Effect.END,
    **{
        (check, fact): effect
        for check in (Check.RELOAD, Check.QUEUE)
        for fact, effect in (
            (Fact.COUNTING, _Effect.BEGIN),
            (Fact.EXPIRED, _Effect.OPEN),
            (Fact.WORKS, _Effect.END),
        )
    },
    **{
        (check, fact): effect
        for check in (Check.STORE, Check.LOG, Check.DISK, Check.CLOCK)
        for fact, effect in ((Fact.BROKEN, _Effect.OPEN), (Fact.WORKS, _Effect.END))
    },
    **{(check, Fact.RETIRED): _Effect.END for check in Check},
}
"""What a fact does to a check; all other facts leave it alone."""


def concerns(check: Check, fact: Fact) -> bool:
    """Return whether a fact can change a check."""
    return (check, fact) in _TABLE


def after_news(
    key: CheckKey, state: CheckState, news: News, *, after: int = 1
) -> tuple[CheckState, AlertChange | None]:
    """Return the next state of a check, and the change of its alert.

    The alert opens when the count reaches `after`.
    """
    match _TABLE.get((key[1], news.fact)):
        case None:
            return state, None
        case _Effect.COUNT:
            return _raised(key, state, news, after=after)
        case _Effect.OPEN:
            return (state, None) if state.since else _raised(key, state, news, after=1)
        case _Effect.ADD if news.overdue in state.overdue:
            return state, None
        case _Effect.ADD:
            overdue = (*state.overdue, news.overdue or "")
            return _raised(key, replace(state, overdue=overdue), news, after=1)
        case _Effect.REMOVE:
            left = tuple(each for each in state.overdue if each != news.overdue)
            if left or left == state.overdue:
                return replace(state, overdue=left), None
            return _closed(key, state, news, NOTHING)
        case _Effect.BEGIN:
            begin = state.counted_from or news.at
            return replace(state, counted_from=begin, message=news.message), None
        case _Effect.RESTART if state == NOTHING:
            return state, None  # no success is expected
        case _Effect.RESTART:
            return _closed(key, state, news, replace(NOTHING, counted_from=news.at))
        case _Effect.END:
            # Without `overdue`, the same deadline would open the alert a second time.
            return _closed(key, state, news, replace(NOTHING, overdue=state.overdue))


def _raised(
    key: CheckKey, state: CheckState, news: News, *, after: int
) -> tuple[CheckState, AlertChange | None]:
    is_open, count = state.since is not None, state.count + news.count
    raised = replace(
        state,
        count=count,
        since=state.since if is_open or count < after else news.at,
        execution=news.execution,
        message=news.message or state.message,
    )
    change = Change.COUNTED if is_open else Change.OPENED
    return raised, _change(change, key, raised, news)


def _closed(
    key: CheckKey, state: CheckState, news: News, left: CheckState
) -> tuple[CheckState, AlertChange | None]:
    ended = replace(state, execution=news.execution or state.execution, message=news.message)
    return left, _change(Change.CLOSED, key, ended, news)


def _change(change: Change, key: CheckKey, state: CheckState, news: News) -> AlertChange | None:
    alert = state.alert(key)
    if alert is None:
        return None
    return AlertChange(change=change, alert=alert, at=news.at, record=news.record)


_DEFAULTS = {each.name: each.default for each in fields(CheckState)}
_INSTANTS = {"since", "counted_from", "acknowledged_until"}


def check_text(state: CheckState) -> str:
    """Write a state as JSON text, without default values."""
    data = {
        name: instant_text(value) if isinstance(value, datetime) else value
        for name, default in _DEFAULTS.items()
        if (value := getattr(state, name)) != default
    }
    return json.dumps(data)


def check_from(text: str) -> CheckState:
    """Read the output of `check_text`."""
    data = json.loads(text)
    for name in _INSTANTS & data.keys():
        data[name] = parse_instant(data[name])
    return CheckState(**data | {"overdue": tuple(data.get("overdue", ()))})
