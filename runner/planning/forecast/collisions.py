"""Find the requests that would collide during the next week, before and after a change. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.planning.changeover import Served
from runner.planning.forecast.simulation import Load, Rush, guard_of_request, simulate
from runner.planning.overlap import Guard
from runner.requests.model import ProcessRequest

WEEK = timedelta(days=7)
_LEAST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """A request that would skip more fires in the week than `before`, namely `skipped`.

    `others` are the requests with the same guard. Without any, the request's own previous
    execution holds the guard.
    """

    request: str
    process: str
    others: tuple[str, ...]
    before: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """The busiest minutes of the next week before and after a change, and the new collisions."""

    before: Rush | None
    after: Rush | None
    collisions: tuple[Collision, ...]


def crowding(
    old: Served,
    new: Served,
    renamed: Mapping[str, str],
    durations: Mapping[str, timedelta],
    now: datetime,
) -> Crowding:
    """Compare the next week before and after a change.

    `renamed` has the former names of the renamed requests; `durations` uses former names. A
    request without a known duration counts as one that runs for an instant.
    """
    before, before_loads = _week(old, durations, now)
    skipped_before = {name: load.skipped for name, load in before_loads.items()}
    durations = {
        **durations,
        **{name: durations[former] for name, former in renamed.items() if former in durations},
    }
    after, loads = _week(new, durations, now)
    guards, sharing = _guards(new.requests)
    collisions = (
        Collision(
            request=name,
            process=guards[name].process,
            others=tuple(each for each in sharing[guards[name]] if each != name and each in loads),
            before=skipped_before.get(renamed.get(name, name), 0),
            skipped=load.skipped,
        )
        for name, load in loads.items()
        if name in guards
    )
    risen = (each for each in collisions if each.skipped > each.before)
    return Crowding(
        before=before, after=after, collisions=tuple(sorted(risen, key=lambda each: each.request))
    )


def _week(
    served: Served, durations: Mapping[str, timedelta], now: datetime
) -> tuple[Rush | None, dict[str, Load]]:
    # At least a microsecond: of fires at the same instant, all but one find the guard held,
    # however short the executions are.
    lasting = {name: max(durations.get(name, _LEAST), _LEAST) for name in served.requests}
    simulated = simulate(
        served.requests,
        served.states,
        lasting,
        begin=now,
        end=now + WEEK,
        now=now,
        pauses=served.pauses,
    )
    return simulated.rush, {load.request: load for load in simulated.loads}


def _guards(
    requests: Mapping[str, ProcessRequest],
) -> tuple[dict[str, Guard], dict[Guard, list[str]]]:
    sharing: dict[Guard, list[str]] = defaultdict(list)
    guards = {
        name: guard
        for name in requests
        if (guard := guard_of_request(requests[name], requests)) is not None
    }
    for name, guard in guards.items():
        sharing[guard].append(name)
    return guards, sharing
