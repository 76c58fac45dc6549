"""What must hold for a log and a ledger when the clock was stepped while runners died:
runner/README.md, "When the clock was wrong".

Fire times come from arithmetic, and moments from the machine's uptime, which the ledger
also has. The runner's planning is not used.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from support.crash_claims import (
    TURN,
    Claim,
    Evidence,
    all_misses,
    claims_in,
    evidence_in,
    first_fire,
    misses,
    moment,
    verdicts,
)
from support.crash_clock import Clocked, Segment, SteppedLoad, mapped
from support.crash_following import check_following, waiting_in
from support.crash_oracle import (
    Found,
    check_commands,
    check_executions,
    check_ledger,
    read_ledger,
    uptimes,
)
from support.place import Record, check_log

_SECOND = timedelta(seconds=1)
_EARLY = timedelta(milliseconds=50)
_STEP_BACK_S = 58.0
"""A little less than the 60 s from which the runner counts a step back."""
_MOST_SPANS = 32


def check_stepped(stepped: SteppedLoad) -> Counter[str]:
    """Check all guarantees after the last runner was stopped; return counts of the checks."""
    stepped.load.join_logs()
    found = look(stepped, check_log(stepped.load.place.log))
    assert not found.faults, f"{len(found.faults)} faults:\n" + "\n".join(found.faults[:20])
    return found.counts


def look(stepped: SteppedLoad, records: Sequence[Record]) -> Found:
    """Return all faults of a log, with counts of the checks."""
    load = stepped.load
    ledger, waiting = read_ledger(load), waiting_in(load)
    found = Found()
    found.counts.update(
        kills=len(load.deaths), lines=len(records), ran=len(ledger), steps=len(stepped.steps) - 1
    )
    check_executions(records, waiting, found)
    check_ledger(records, ledger, found, is_steady=False)
    check_commands(load, records, found)
    faults, counts = check_following(records, ledger, waiting, is_steady=False)
    found.faults += faults
    found.counts.update(counts)
    claims, history, ran_at = claims_in(records, waiting), stepped.history(), uptimes(load)
    evidence = evidence_in(stepped, claims, history, ran_at)
    settled = _settled(evidence)
    found.counts["evidence"] = len(evidence)
    found.counts["reopened"] = sum(record.get("reopened_from") is not None for record in records)
    for name, clocked in stepped.requests.items():
        own = [claim for claim in claims if claim.request == name]
        found.counts["fires"] += len(own)
        _check_doubled(name, clocked, own, history, ran_at, found)
        _check_promptness(name, clocked, own, history, records, found)
        _check_misses(name, clocked, own, records, found)
        _check_covered(name, clocked, own, records, settled, found)
        _check_on_time(name, clocked, own, evidence, history, ran_at, found)
    _check_one_time(stepped, claims, records, found)
    return found


def _check_doubled(
    name: str,
    clocked: Clocked,
    claims: Sequence[Claim],
    history: Sequence[Segment],
    ran_at: dict[str, float],
    found: Found,
) -> None:
    """A time of day is claimed once; an interval's instant again only after a step back."""
    by_fire: dict[datetime, list[Claim]] = defaultdict(list)
    for claim in claims:
        by_fire[claim.fire].append(claim)
    for fire, same in by_fire.items():
        found.expect(clocked.is_passing or len(same) == 1, f"doubled: {name} at {fire}: {same}")
        generations = {claim.generation for claim in same}
        found.expect(len(generations) == len(same), f"twice in a generation: {same}")
        moments = sorted(ran_at[claim.execution] for claim in same if claim.execution in ran_at)
        for former, later in pairwise(moments):
            found.counts["repeated"] += 1
            found.expect(_went_back(history, former, later), f"again without a step back: {same}")


def _went_back(history: Sequence[Segment], former: float, later: float) -> bool:
    """Return whether the clock went back clearly between two moments of uptime."""
    highest = max(
        (min(each.end, later) + each.ahead_s for each in history if each.begin < later),
        default=float("-inf"),
    )
    lowest = min(
        (
            max(each.begin, former) + each.ahead_s
            for each in history
            if each.begin < later and each.end > former
        ),
        default=float("inf"),
    )
    return highest - lowest > _STEP_BACK_S


def _check_promptness(
    name: str,
    clocked: Clocked,
    claims: Sequence[Claim],
    history: Sequence[Segment],
    records: Sequence[Record],
    found: Found,
) -> None:
    """Nothing runs early; a late run is one that its misfire policy catches up."""
    missed_until = {moment(each, "missed_until") for each in misses(records, name)}
    for claim in claims:
        lateness = claim.claimed - claim.fire
        if _is_at_a_step(history, claim.claimed):
            continue
        found.expect(lateness > -_EARLY, f"early: {claim}")
        if lateness > timedelta(seconds=clocked.grace_s) + TURN:
            is_caught_up = clocked.misfire == "fire_all" or (
                clocked.misfire == "fire_once" and claim.fire in missed_until
            )
            found.expect(is_caught_up, f"beyond its grace: {claim}")
            found.counts["caught up"] += 1


def _is_at_a_step(history: Sequence[Segment], reading: datetime) -> bool:
    """Return whether a reading may belong to either side of a step."""
    return any(
        not history[number].begin_at_latest + 5 < at < history[number].end_at_earliest
        for at, number in mapped(history, reading)
    )


def _check_misses(
    name: str, clocked: Clocked, claims: Sequence[Claim], records: Sequence[Record], found: Found
) -> None:
    """A miss counts only past fires of the rule that had no verdict before.

    The log has the misses of a turn before the starts of the same turn.
    """
    furthest = datetime.min.replace(tzinfo=UTC)
    fires = sorted(claim.fire for claim in claims)
    for record in verdicts(records, name):
        if record["status"] != "misfired":
            furthest = max(furthest, moment(record, "scheduled_for"))
            continue
        first, last = moment(record, "missed_from"), moment(record, "missed_until")
        span = clocked.fires(first - _SECOND, last)
        found.counts["missed"] += len(span)
        found.expect(
            span[:1] == [first] and span[-1:] == [last], f"a span of other fires: {record}"
        )
        found.expect(
            len(span) == record["missed_count"], f"{len(span)} fires in the span of {record}"
        )
        found.expect(
            first > furthest, f"falsely missed, for it had a verdict up to {furthest}: {record}"
        )
        found.expect(last <= moment(record, "time"), f"missed before its time: {record}")
        furthest = max(furthest, last)
        if clocked.misfire == "fire_once":
            run = fires[bisect_left(fires, last) :]
            is_run = bool(run) and run[0] <= moment(record, "time") + _SECOND
            found.expect(is_run, f"not caught up: {record}")


def _settled(evidence: Sequence[Evidence]) -> list[datetime]:
    """Return moments up to which every request has its verdicts.

    A runner decides its requests one after another. If the clock goes back in between,
    the fires of the requests not yet decided lie ahead again. So a fire of one request
    shows that the others are decided only where the next one follows in the same life,
    under the same steady clock: all fires before that one came first.
    """
    return [
        former.reached
        for former, later in pairwise(evidence)
        if (former.segment, former.life) == (later.segment, later.life)
    ]


def _check_covered(
    name: str,
    clocked: Clocked,
    claims: Sequence[Claim],
    records: Sequence[Record],
    settled: Sequence[datetime],
    found: Found,
) -> None:
    """Each fire from the first verdict to the latest settled moment has a verdict.

    A clock that goes back to before the registration of a request adds no due fires.
    """
    ran = {claim.fire for claim in claims}
    missed: Counter[datetime] = Counter()
    for record in misses(records, name):
        missed.update(
            clocked.fires(moment(record, "missed_from") - _SECOND, moment(record, "missed_until"))
        )
    known = ran | missed.keys()
    if not known or not settled:
        found.expect(not 0 < clocked.every_s < 60, f"{name} never fired")
        return
    begin = next(first_fire(record) for record in verdicts(records, name))
    due = clocked.fires(begin - _SECOND, max(settled))
    found.counts["due"] += len(due)
    lacking = [fire for fire in due if fire not in known]
    found.expect(not lacking, f"{len(lacking)} uncovered: {name} at {lacking[:3]} … {lacking[-1:]}")
    found.faults += [
        f"missed {count} times: {name} at {fire}" for fire, count in missed.items() if count > 1
    ]


def _check_on_time(
    name: str,
    clocked: Clocked,
    claims: Sequence[Claim],
    evidence: Sequence[Evidence],
    history: Sequence[Segment],
    ran_at: dict[str, float],
    found: Found,
) -> None:
    """A fire that falls due while a runner lives under a steady clock runs.

    It does not matter what the clock read before. Of fires that fall due together only
    the latest runs, so only that one is checked. On a busy machine more fires may have
    come due before the request is decided: then a later fire runs in its place, at the
    latest the one that is due with the next evidence. Without such evidence, in the same
    life and under the same clock, the request may never have been decided (`_settled`).
    """
    ran = {claim.fire for claim in claims}
    moments: dict[datetime, list[float]] = defaultdict(list)
    for claim in claims:
        moments[claim.fire] += [at for at, _ in mapped(history, claim.claimed)]
    forgotten = _Forgotten(clocked, claims, ran_at)
    for former, later, after in zip(evidence, evidence[1:], evidence[2:], strict=False):
        if len({(each.segment, each.life) for each in (former, later, after)}) > 1:
            continue
        if later.reached - former.reached > timedelta(seconds=clocked.grace_s) - _SECOND:
            continue
        for fire in clocked.fires(former.reached, later.reached)[-1:]:
            found.counts["on time"] += 1
            if clocked.is_passing:
                latest = later.at + TURN.total_seconds()
                is_run = any(former.at - 1 <= at <= latest for at in moments[fire])
            else:
                is_run = fire in ran or fire <= forgotten.until(later.at)
            if not is_run:
                is_run = _is_superseded(fire, claims, former, after)
            found.expect(
                is_run,
                f"not run though a runner waited for it: {name} at {fire}, uptime {later.at}",
            )


def _is_superseded(
    fire: datetime, claims: Sequence[Claim], former: Evidence, after: Evidence
) -> bool:
    """Return whether a later fire ran in the place of `fire`, because both were due."""
    return any(
        fire < claim.fire <= after.reached
        and former.reached <= claim.claimed <= after.reached + TURN
        for claim in claims
    )


class _Forgotten:
    """How far all fires count as claimed, because a request keeps only the newest 32 spans."""

    def __init__(self, clocked: Clocked, claims: Sequence[Claim], ran_at: dict[str, float]) -> None:
        self._moments: list[float] = []
        self._floors: list[datetime] = []
        floor = datetime.min.replace(tzinfo=UTC)
        claimed: list[datetime] = []
        if clocked.is_passing:
            return
        for claim in sorted(claims, key=lambda each: ran_at.get(each.execution, 0.0)):
            claimed.insert(bisect_left(claimed, claim.fire), claim.fire)
            kept = claimed[bisect_left(claimed, floor) :]
            begins = kept[:1] + [
                later for former, later in pairwise(kept) if len(clocked.fires(former, later)) > 1
            ]
            if len(begins) > _MOST_SPANS:
                floor = begins[-_MOST_SPANS]
            self._moments.append(ran_at.get(claim.execution, 0.0))
            self._floors.append(floor)

    def until(self, at: float) -> datetime:
        index = bisect_right(self._moments, at)
        return self._floors[index - 1] if index else datetime.min.replace(tzinfo=UTC)


def _check_one_time(
    stepped: SteppedLoad, claims: Sequence[Claim], records: Sequence[Record], found: Found
) -> None:
    """A one-time request ran once or was missed; nothing is counted twice."""
    ran = Counter(claim.request for claim in claims)
    missed = Counter(record["request"] for record in all_misses(records))
    ended = datetime.fromisoformat(records[-1]["time"]) - TURN
    for name in stepped.load.names:
        if not name.startswith(("once-", "later-")) or name == "once-more":
            continue
        found.counts["one-time"] += 1
        found.expect(
            ran[name] <= 1 and missed[name] <= 1,
            f"{name} ran {ran[name]}, missed {missed[name]} times",
        )
        start = stepped.load.starts.get(name)
        if start is None:
            found.expect((ran[name], missed[name]) == (1, 0), f"{name} ran {ran[name]} times")
        elif start < ended:
            found.expect(ran[name] + missed[name] > 0, f"uncovered: {name} at {start}")
