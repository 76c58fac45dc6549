"""Reads claims and misses from a log, a store and a ledger, for the check of a stepped clock.

The runners that wrote them were killed. Pure: the caller reads the files.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from support.crash_clock import TICK, Segment, SteppedLoad, mapped
from support.crash_following import Waiting
from support.place import Record

TURN = timedelta(seconds=5)
"""How far apart the effects of one turn may be; the loop may be held up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An execution that a request's timing caused, with the claim's time from its id."""

    execution: str
    request: str
    generation: int
    fire: datetime
    claimed: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """By the uptime `at`, a runner had settled all fires up to `reached`."""

    at: float
    reached: datetime
    segment: int
    life: int


def claims_in(records: Sequence[Record], waiting: Sequence[Waiting]) -> list[Claim]:
    known: dict[str, Claim] = {}
    for record in records:
        if not record["event"].startswith("execution.") or record["channel"] != "process_scheduler":
            continue
        if record["status"] != "misfired" and record["attempt"] == 1 and record["group"] is None:
            known[record["execution"]] = Claim(
                execution=record["execution"],
                request=record["request"],
                generation=record["generation"],
                fire=moment(record, "scheduled_for"),
                claimed=_claimed(record["execution"]),
            )
    for each in waiting:
        if each.generation is not None and each.attempt == 1 and each.group is None:
            known[each.id] = Claim(
                execution=each.id,
                request=each.request,
                generation=each.generation,
                fire=datetime.fromisoformat(each.scheduled_for),
                claimed=_claimed(each.id),
            )
    return list(known.values())


def evidence_in(
    stepped: SteppedLoad,
    claims: Sequence[Claim],
    history: Sequence[Segment],
    ran_at: dict[str, float],
) -> list[Evidence]:
    """Return the evidence of the request that fires every second, oldest first."""
    begins = [begin for begin, _ in stepped.lives]
    found = []
    for claim in claims:
        if (
            claim.request != TICK
            or claim.execution not in ran_at
            or claim.claimed - claim.fire > TURN
        ):
            continue
        places = [
            each
            for each in mapped(history, claim.claimed)
            if 0 <= ran_at[claim.execution] - each[0] + 0.1 < 20
        ]
        life = bisect_right(begins, ran_at[claim.execution]) - 1
        if len(places) == 1 and begins[life] < places[0][0]:
            at, segment = places[0]
            found.append(Evidence(at=at, reached=claim.fire, segment=segment, life=life))
    return sorted(found, key=lambda each: each.at)


def verdicts(records: Sequence[Record], name: str) -> Iterator[Record]:
    """Yield the records of a request's fires in the order of the log."""
    for record in records:
        is_own = record["event"].startswith("execution.") and record["request"] == name
        if is_own and record["channel"] == "process_scheduler":
            yield record


def first_fire(record: Record) -> datetime:
    return moment(record, "missed_from" if record["status"] == "misfired" else "scheduled_for")


def misses(records: Sequence[Record], name: str) -> Iterator[Record]:
    return (record for record in all_misses(records) if record["request"] == name)


def all_misses(records: Sequence[Record]) -> Iterator[Record]:
    return (
        each
        for each in records
        if each["event"] == "execution.finished" and each["status"] == "misfired"
    )


def _claimed(execution: str) -> datetime:
    return datetime.fromtimestamp(int(execution.replace("-", "")[:12], 16) / 1000, UTC)


def moment(record: Record, name: str) -> datetime:
    return datetime.fromisoformat(record[name] or record["time"])
