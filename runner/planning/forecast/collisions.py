"""Where requests would come into each other's way in the week to come, and how that changes. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.planning.consequences import Standing
from runner.planning.forecast.simulation import Load, Rush, guard_of, simulate
from runner.planning.overlap import Guard
from runner.requests.model import ProcessRequest

WEEK = timedelta(days=7)
_LEAST = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Collision:
    """A request of which more fires than before come while its guard is held: `skipped`
    of them in the week.

    `others` are the requests that hold the same guard; with none, it is its own run before.
    """

    request: str
    process: str
    others: tuple[str, ...]
    before: int
    skipped: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Crowding:
    """The busiest minutes of the week that begins now, before and after, and the
    collisions that are new.
    """

    before: Rush | None
    after: Rush | None
    collisions: tuple[Collision, ...]


def crowding(
    old: Standing,
    new: Standing,
    renamed: Mapping[str, str],
    durations: Mapping[str, timedelta],
    now: datetime,
) -> Crowding:
    """Compare the week to come as it is with what it would be. Who has no known
    duration runs for an instant.

    `renamed` has the former names of the new requests that have one; `durations` are by
    the former names.
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
    standing: Standing, durations: Mapping[str, timedelta], now: datetime
) -> tuple[Rush | None, dict[str, Load]]:
    # For an instant: of fires that coincide all but one find the guard held, however
    # short the runs are.
    lasting = {name: max(durations.get(name, _LEAST), _LEAST) for name in standing.requests}
    simulated = simulate(
        standing.requests, standing.states, lasting, begin=now, end=now + WEEK, now=now
    )
    return simulated.rush, {load.request: load for load in simulated.loads}


def _guards(
    requests: Mapping[str, ProcessRequest],
) -> tuple[dict[str, Guard], dict[Guard, list[str]]]:
    sharing: dict[Guard, list[str]] = defaultdict(list)
    guards = {
        name: guard
        for name in requests
        if (guard := guard_of(requests[name], requests)) is not None
    }
    for name, guard in guards.items():
        sharing[guard].append(name)
    return guards, sharing
