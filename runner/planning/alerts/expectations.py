"""The deadlines of the time-driven checks, and their messages. Pure.

The runner keeps the deadlines in elapsed seconds, in a heap like that of the fires. So an
idle turn looks at the earliest one only.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from runner.lifecycle import Check
from runner.planning.alerts.check_states import CheckState
from runner.planning.states.pauses import Held
from runner.requests.model import ProcessRequest
from runner.requests.policies import Expect
from runner.timing.zones import END
from runner.values import duration_text, instant_text

PATIENCE = timedelta(minutes=5)
"""How long a file may be rejected, or the jobs folder unreadable, before an alert opens."""
QUEUE_PATIENCE = timedelta(minutes=1)
"""How long a queue of a fleet may have no live worker before an alert opens."""
COUNTED = (Check.ABSENT, Check.INVALID, Check.RELOAD, Check.QUEUE)
"""The checks that count from an instant in their state."""
HELD = frozenset({Check.LATE_START, Check.LATE, Check.OVERRUN, Check.ABSENT})
"""The checks of expectations: a pause holds their deadlines."""


class Deadline(NamedTuple):
    """What must happen in time."""

    check: Check
    request: str | None
    overdue: str
    """As in `CheckState`; empty for the checks that count from an instant."""

    @property
    def key(self) -> str:
        """The deadline as one text."""
        return "\0".join((self.check, self.overdue, self.request or ""))


class Limit(NamedTuple):
    """How long something may take."""

    begin: datetime
    length: timedelta

    def due(self, held: Held) -> datetime:
        """Return when the time is over: END at the latest. The time of a pause does not count."""
        due = self.begin + self.length
        for begin, end in held.spans:
            if end > self.begin and begin < due:
                paused = end - max(begin, self.begin)
                due = min(due, END - paused) + paused  # later than END would overflow
        return due


def deadline_in(key: str) -> Deadline:
    """Read `Deadline.key`."""
    check, overdue, request = key.split("\0")
    return Deadline(check=Check(check), request=request or None, overdue=overdue)


def fire_name(scheduled_for: datetime) -> str:
    """Return how `late` names a fire. Its attempts have different ids, but the same fire."""
    return instant_text(scheduled_for)


def limits_of_fire(
    request: ProcessRequest, execution: str, scheduled_for: datetime, delay: timedelta
) -> Iterator[tuple[Deadline, Limit]]:
    """Yield the limits of a claimed fire that has not started.

    `delay` is the spread, which counts as part of the fire's time.
    """
    expect, due = request.expect, scheduled_for + delay
    if expect.start_within is not None:
        deadline = Deadline(check=Check.LATE_START, request=request.name, overdue=execution)
        yield deadline, Limit(begin=due, length=expect.start_within)
    if expect.finish_within is not None:
        overdue = fire_name(scheduled_for)
        deadline = Deadline(check=Check.LATE, request=request.name, overdue=overdue)
        yield deadline, Limit(begin=due, length=expect.finish_within)


def limits_of_run(
    request: ProcessRequest, execution: str, started: datetime
) -> Iterator[tuple[Deadline, Limit]]:
    """Yield the limit of a running execution, if there is one."""
    if request.expect.duration is not None:
        deadline = Deadline(check=Check.OVERRUN, request=request.name, overdue=execution)
        yield deadline, Limit(begin=started, length=request.expect.duration)


def limit_of_state(check: Check, state: CheckState, expect: Expect | None) -> Limit | None:
    """Return the limit of a check that counts from an instant; None if it does not count."""
    if state.counted_from is None or state.since is not None:
        return None
    if check is not Check.ABSENT:
        patience = QUEUE_PATIENCE if check is Check.QUEUE else PATIENCE
        return Limit(begin=state.counted_from, length=patience)
    if expect is None or expect.success_every is None:
        return None
    return Limit(begin=state.counted_from, length=expect.success_every)


def words_of(deadline: Deadline, expect: Expect) -> str:
    """Return the message of an alert whose deadline has passed.

    Empty for `invalid`, `reload` and `queue`: their message is in the state already.
    """
    match deadline.check:
        case Check.LATE_START:
            return f"not started within {_text(expect.start_within)}"
        case Check.LATE:
            fire = f"{deadline.overdue[:19]}Z"
            return f"the execution of {fire} has not finished within {_text(expect.finish_within)}"
        case Check.OVERRUN:
            return f"an execution runs longer than {_text(expect.duration)}"
        case Check.ABSENT:
            return f"no success for {_text(expect.success_every)}"
        case _:
            return ""


def _text(limit: timedelta | None) -> str:
    # The file may have dropped the limit since the deadline was set.
    return "the expected time" if limit is None else duration_text(limit)
