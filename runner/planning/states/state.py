"""What Runner remembers of a request between two runs of the program, and its text for
the store. Pure.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import datetime

from runner.lifecycle import ExecutionStatus, RequestStatus
from runner.planning.states.claimed_spans import (
    NOTHING_CLAIMED,
    ClaimedSpans,
    numbers_of,
    spans_from,
)
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.values import from_microseconds, instant_text, parse_instant, to_microseconds


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestState:
    """The durable state of one request; it outlives the request's file.

    Fires up to `fired_through` are settled; the planner looks only at later ones. `since` is when
    the generation was opened. `counted_from` is set by a reschedule: repetitions count from there.
    `tokens` are the `reschedule` tokens that the file has had: each presses the button once in a
    request's life, so a branch that is checked out and back does not press it again. `word` is
    what the file last said with `scheduled`, and `override` what a person said against it.
    `pressed_by` names who last pressed Schedule or Reschedule; it ends with the file's next word or
    a changed rule. `result` is how its last execution ended, at `result_at`. `heir` is the name of
    the request that continues this state, by `formerly`; `removed_at` is when the file of a removed
    request was gone.

    Two fields outlive a clock that went back and moved `fired_through` with it. `claimed` has the
    claimed fire times of all generations: none fires again, except by a rule that measures passing
    time. `furthest_verdict` is the latest fire time that had a verdict under the present rule; an
    earlier one fires only on time, and is neither caught up nor recorded as missed again.
    """

    status: RequestStatus
    generation: int
    since: datetime
    fired_through: datetime
    rule: str
    counted_from: datetime | None = None
    ran_immediately: bool = False
    removed: bool = False
    removed_at: datetime | None = None
    word: bool = True
    tokens: tuple[str, ...] = ()
    override: bool | None = None
    override_by: str | None = None
    override_at: datetime | None = None
    pressed_by: str | None = None
    result: ExecutionStatus | None = None
    result_at: datetime | None = None
    heir: str | None = None
    claimed: ClaimedSpans = NOTHING_CLAIMED
    furthest_verdict: datetime | None = None

    @property
    def is_reopened(self) -> bool:
        """Whether a clock that went back has put fire times ahead that were claimed or
        had a verdict.
        """
        verdict = self.furthest_verdict
        return (
            self.claimed.reaches_beyond(self.fired_through)
            or (verdict or self.fired_through) > self.fired_through
        )

    @property
    def is_wanted(self) -> bool:
        """Whether the request is to be scheduled: a person's word until the file's own
        changes, else the file's.
        """
        return self.word if self.override is None else self.override


_IN_TEXT = [
    (each.name, each.default)
    for each in fields(RequestState)
    if each.name not in ("generation", "fired_through")
]
_INSTANTS = {"since", "removed_at", "counted_from", "override_at", "result_at", "furthest_verdict"}
_encode = json.JSONEncoder(default=instant_text).encode


def rule_of(request: ProcessRequest) -> str:
    """Return the normal form of what decides a request's fire times; a changed one
    opens a generation.
    """
    match request.timing:
        case None:
            return ""
        case RunImmediately():
            return "run_immediately"
        case RunLater(start=start):
            return f"run_later {instant_text(start)}"
        case Schedule(rule=rule):
            return rule.key


def state_text(state: RequestState) -> str:
    """Write a state as JSON text; `generation` and `fired_through` have columns of
    their own and are left out.

    True stands for a `furthest_verdict` at `fired_through`, where it nearly always is.
    """
    told = {name: value for name, default in _IN_TEXT if (value := getattr(state, name)) != default}
    if state.furthest_verdict == state.fired_through:
        told["furthest_verdict"] = True
    if state.claimed.bounds:
        told["claimed"] = numbers_of(state.claimed)
    return _encode(told)


def state_from(text: str, *, generation: int, fired_through: int) -> RequestState:
    """Read what `state_text` wrote; `fired_through` is in microseconds since 1970-01-01T00:00Z."""
    told = json.loads(text)
    through = from_microseconds(fired_through)
    for name in _INSTANTS & told.keys():
        told[name] = through if told[name] is True else parse_instant(told[name])
    told["status"] = RequestStatus(told["status"])
    told["result"] = ExecutionStatus(told["result"]) if "result" in told else None
    told["tokens"] = tuple(told.get("tokens", ()))
    told["claimed"] = spans_from(told["claimed"]) if "claimed" in told else NOTHING_CLAIMED
    return RequestState(generation=generation, fired_through=through, **told)


def watermark(state: RequestState) -> int:
    """Return `fired_through` in microseconds since 1970-01-01T00:00Z."""
    return to_microseconds(state.fired_through)
