"""Requests of every kind of timing, for tests of their states."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from support.planning_world import NOON, request_of, seen

from runner.lifecycle import Misfire, RequestStatus
from runner.planning.fires.firing import settle
from runner.planning.states.state import RequestState, state_from, state_text, watermark
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.parsing import parse_rule

TICK = timedelta(microseconds=1)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
SCHEDULED, UNSCHEDULED = RequestStatus.SCHEDULED, RequestStatus.UNSCHEDULED
COMPLETE, SYSTEM_RESTART, DEFINITION = (
    RequestStatus.COMPLETE,
    RequestStatus.SYSTEM_RESTART,
    RequestStatus.DEFINITION,
)


def schedule_of(misfire: Misfire = Misfire.SKIP, **data: Any) -> Schedule:
    return Schedule(rule=parse_rule(data, default_zone="UTC"), misfire=misfire)


def later(start: datetime, misfire: Misfire = Misfire.FIRE_ONCE) -> RunLater:
    return RunLater(start=start, zone="UTC", misfire=misfire)


EVERY_HOUR = schedule_of(frequency="hourly")
HOURLY = request_of(EVERY_HOUR)
DAILY = request_of(schedule_of(frequency="daily", at="02:00"))
AT_ONCE = request_of(RunImmediately())
TOMORROW = request_of(later(NOON + DAY))
YESTERDAY = request_of(later(NOON - DAY))
PLAIN = request_of(None)


def ran(request: ProcessRequest, now: datetime = NOON) -> RequestState:
    """Return the state of a request whose only fire was claimed."""
    settlement = settle(request, seen(request, now), now)
    assert len(settlement.claims) == 1
    return settlement.state


def restarted(state: RequestState) -> RequestState:
    """Return the state as another process reads it from the store."""
    return state_from(
        state_text(state), generation=state.generation, fired_through=watermark(state)
    )
