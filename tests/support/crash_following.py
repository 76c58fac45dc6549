"""Requests with follow-ups, and the rules for these, for runners that are killed.

What each request may do follows from its own shell line and arithmetic. The runner's
planning is not used.
"""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from support.crash_load import RAN, Load, Planned, alone, ran
from support.place import Record

NOTICE = "notice"
_NOT_STARTED = ("waiting", "queued")
_TOLD = (
    'f=${RUNNER_RECORD#*\\"execution\\":\\"};'
    ' echo "notified $RUNNER_EXECUTION_ID ${f%%\\"*}" >> "$LEDGER"'
)
_RUN_TO_ITS_END = "the process outlived the runner that started it; its exit code is unknown"
_MS = timedelta(milliseconds=1)
Place = tuple[str, int | None]
Chain = tuple[str, int, str, str | None, int | None]
"""Request, generation, fire, group and sequence: what all attempts of one claim share."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Follows:
    """The follow-ups of a request's executions, or of the member at a place in it."""

    attempts: int = 1
    delay_s: float = 0.0
    is_rerun: bool = False
    has_notice: bool = False
    """Whether `on_failure` gives a notice."""
    has_news: bool = False
    """Whether `on_success` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """An execution that the store still has at the end, so the log may lack its end."""

    id: str
    request: str
    generation: int | None
    scheduled_for: str
    attempt: int
    sequence: int | None
    group: str | None
    phase: str


_FOLLOWS: Mapping[Place, Follows] = {
    ("retried", None): Follows(attempts=3, delay_s=0.3, has_news=True),
    ("hopeless", None): Follows(attempts=2, delay_s=0.2, has_notice=True),
    ("failing", None): Follows(has_notice=True),
    ("alone-retried", None): Follows(attempts=2, delay_s=0.2),
    ("rerun", None): Follows(attempts=1, is_rerun=True),
    ("chain", None): Follows(has_notice=True),
    ("chain-stopped", 1): Follows(attempts=2, delay_s=0.2),
}
_MEMBERS = {"chain": 3, "chain-stopped": 3, "chain-whole": 3}
_LAST_MEMBER = {"chain-stopped": 2}
"""The last member that runs where `stop_on_failure` and a failing member end the group."""
_ALIVE_AT_ONCE = {"queued": 2, "replaced": 2, "alone-retried": 1, "chain-whole": 1}
"""How many claims of one guard may be unfinished at once: the holder, and the queued one."""


def declare(load: Load) -> None:
    """Write the requests."""
    retry = {"retry": {"attempts": 3, "delay": "300ms"}}
    load.write(
        "retried",
        Planned(interval_s=1),
        shell=f'{RAN}; test "$RUNNER_ATTEMPT" = 3',
        process=retry,
        on_success={"request": NOTICE},
    )
    reported: dict[str, Any] = {"on_failure": {"request": NOTICE}}
    retry = {"retry": {"attempts": 2, "delay": "200ms"}}
    load.write("hopeless", Planned(interval_s=2), shell=f"{RAN}; exit 3", process=retry, **reported)
    load.write("failing", Planned(interval_s=1), shell=f"{RAN}; exit 4", **reported)
    shell = alone(0.3, then='test "$RUNNER_ATTEMPT" = 2')
    load.write("alone-retried", Planned(interval_s=1), shell=shell, guarded=True, process=retry)
    load.write(
        "rerun",
        Planned(interval_s=2),
        shell=f"{RAN}; sleep 0.6",
        process={"if_interrupted": "rerun"},
    )
    for name, seconds, on_overlap in (("queued", 1.3, "queue"), ("replaced", 1.6, "replace")):
        # A long grace: on a starved machine the shell removes its mark late. If it were
        # killed before that, the next run would report an overlap.
        process = {"on_overlap": on_overlap, "stop_grace": "2m"}
        load.write(name, Planned(interval_s=1), shell=alone(seconds), guarded=True, process=process)
    _declare_groups(load, reported, retry)
    load.place.declare(NOTICE, _TOLD)


def _declare_groups(load: Load, reported: Mapping[str, Any], retry: Mapping[str, Any]) -> None:
    fails, works = f"{ran('b')}; exit 5", {"name": "c", "shell": ran("c")}
    plain = [{"name": "a", "shell": ran("a")}, {"name": "b", "shell": fails}, works]
    load.write("chain", Planned(interval_s=2), process={"group": {"members": plain}}, **reported)
    first = {"name": "a", "shell": f'{ran("a")}; test "$RUNNER_ATTEMPT" = 2', **retry}
    stopped = {"group": {"members": [first, plain[1], works], "stop_on_failure": True}}
    load.write("chain-stopped", Planned(interval_s=2), process=stopped)
    whole = [plain[0], {"name": "b", "shell": f"{ran('b')}; sleep 0.3"}, works]
    load.write(
        "chain-whole", Planned(interval_s=2), process={"group": {"members": whole}}, guarded=True
    )


def waiting_in(load: Load) -> list[Waiting]:
    """Return the executions that the store has at the end: waiting ones, and their groups."""
    columns = "id, request, generation, scheduled_for, attempt, sequence, group_id, phase"
    with closing(sqlite3.connect(load.place.state / "store.sqlite3")) as connection:
        rows = connection.execute(f"SELECT {columns} FROM executions").fetchall()
    return [
        Waiting(
            id=row[0],
            request=row[1],
            generation=row[2],
            scheduled_for=_instant(row[3]),
            attempt=row[4],
            sequence=row[5] or None,
            group=row[6],
            phase=row[7],
        )
        for row in rows
    ]


def check_following(
    records: Sequence[Record],
    ledger: Sequence[Sequence[str]],
    waiting: Sequence[Waiting],
    *,
    is_steady: bool = True,
) -> tuple[list[str], Counter[str]]:
    """Return the faults and the counts of the checks; compare times only under a steady clock."""
    finished = [record for record in records if record["event"] == "execution.finished"]
    faults: list[str] = []
    counts: Counter[str] = Counter(waiting=len(waiting))
    _check_waiting(finished, waiting, faults)
    _check_attempts(finished, waiting, faults, counts, is_steady=is_steady)
    _check_notices(finished, waiting, ledger, faults, counts)
    _check_groups(records, waiting, faults, counts, is_steady=is_steady)
    if is_steady:
        _check_guards(finished, faults, counts)
    return faults, counts


def _check_waiting(
    finished: Sequence[Record], waiting: Sequence[Waiting], faults: list[str]
) -> None:
    """After an orderly stop the store has only waiting executions and their groups.

    None of them has an end in the log.
    """
    ended = {record["execution"] for record in finished}
    kept = {each.group for each in waiting if each.phase in _NOT_STARTED}
    for each in waiting:
        if each.id in ended:
            faults.append(f"in the log and in the store: {each}")
        if each.phase not in _NOT_STARTED and each.id not in kept:
            faults.append(f"left over in the store: {each}")


def _check_attempts(
    finished: Sequence[Record],
    waiting: Sequence[Waiting],
    faults: list[str],
    counts: Counter[str],
    *,
    is_steady: bool,
) -> None:
    """Attempts count from 1 without a gap, and exactly the executions that need one have a next."""
    chains: dict[Chain, dict[int, Record | Waiting]] = defaultdict(dict)
    attempted: list[Record | Waiting] = [*finished, *waiting]
    for each in attempted:
        chain = _chain(each)
        if chain is None:
            continue
        attempt = each.attempt if isinstance(each, Waiting) else each["attempt"]
        if attempt in chains[chain]:
            faults.append(f"attempt {attempt} twice: {chain}")
        chains[chain][attempt] = each
    for chain, attempts in chains.items():
        follows = _FOLLOWS.get((chain[0], chain[4]), Follows())
        if sorted(attempts) != list(range(1, len(attempts) + 1)):
            faults.append(f"attempts {sorted(attempts)} of {chain}")
            continue
        counts["further attempts"] += len(attempts) - 1
        for attempt, each in attempts.items():
            _check_attempt(
                each, attempts.get(attempt + 1), follows, faults, finished, is_steady=is_steady
            )


def _check_attempt(
    each: Record | Waiting,
    following: Record | Waiting | None,
    follows: Follows,
    faults: list[str],
    finished: Sequence[Record],
    *,
    is_steady: bool,
) -> None:
    if isinstance(each, Waiting):
        if following is not None:
            faults.append(f"a next attempt of an execution that still waits: {each}")
        return
    is_to_follow = _is_tried_again(each, follows)
    if is_to_follow and following is None and not _is_of_ended_group(each, finished):
        faults.append(f"no next attempt: {each}")
    elif following is not None and not is_to_follow:
        faults.append(f"another attempt of an execution that needs none: {each}")
    elif is_steady and isinstance(following, dict) and following["started"] is not None:
        delay_s = follows.delay_s if each["status"] == "error" else 0.0
        if _at(following, "started") < _at(each, "ended") + timedelta(seconds=delay_s) - _MS:
            faults.append(f"too early after {each}: {following}")


def _is_tried_again(record: Record, follows: Follows) -> bool:
    if record["status"] == "system_restart" or record["reason"] == "runner_stopped":
        return follows.is_rerun and record["message"] != _RUN_TO_ITS_END
    is_failure = (record["status"], record["reason"]) == ("error", "exit_code")
    return is_failure and record["attempt"] < follows.attempts


def _is_of_ended_group(record: Record, finished: Sequence[Record]) -> bool:
    """Return whether a person killed the member's group; then it is not tried again."""
    return record["group"] is not None and any(
        each["execution"] == record["group"] and each["status"] == "killed" for each in finished
    )


def _check_notices(
    finished: Sequence[Record],
    waiting: Sequence[Waiting],
    ledger: Sequence[Sequence[str]],
    faults: list[str],
    counts: Counter[str],
) -> None:
    """Each end that wants a notice has exactly one, in the log and in the ledger."""
    ends = {record["execution"]: record for record in finished if _wants_notice(record)}
    wanted = Counter((record["request"], record["scheduled_for"]) for record in ends.values())
    notices = [record for record in finished if record["request"] == NOTICE]
    given = Counter(
        (record["requested_by"].partition(" of ")[2], record["scheduled_for"]) for record in notices
    )
    late = Counter(each.scheduled_for for each in waiting if each.request == NOTICE)
    if lacking := wanted - given:
        unexplained = Counter(scheduled_for for _, scheduled_for in lacking.elements()) - late
        faults += [f"an end without a notice: {each}" for each in lacking if unexplained[each[1]]]
    faults += [f"a notice that no end wants: {each}" for each in given - wanted]
    faults += [f"it follows no such end: {each}" for each in notices if each["follows"] not in ends]
    reported = {words[1]: words[2] for words in ledger if words[0] == "notified"}
    faults += [
        f"two notices of {ended}"
        for ended, count in Counter(reported.values()).items()
        if count > 1
    ]
    faults += [
        f"a notice of an execution that wants none: {ended}"
        for ended in set(reported.values()) - ends.keys()
    ]
    for notice in notices:
        if notice["status"] == "success" and notice["execution"] not in reported:
            faults.append(f"a notice that the ledger lacks: {notice}")
    counts["notices"] += len(notices)


def _wants_notice(record: Record) -> bool:
    """Return whether an end is followed: a success, or a failure of the last attempt."""
    follows = _FOLLOWS.get((record["request"], record["sequence"]), Follows())
    if record["group"] is not None or _is_tried_again(record, follows):
        return False
    is_failure = record["status"] in {"error", "killed", "system_restart"}
    return (follows.has_notice and is_failure) or (
        follows.has_news and record["status"] == "success"
    )


def _check_groups(
    records: Sequence[Record],
    waiting: Sequence[Waiting],
    faults: list[str],
    counts: Counter[str],
    *,
    is_steady: bool,
) -> None:
    """Members run one after another, in order and from the first; the group ends with the last."""
    members: dict[str, list[Record]] = defaultdict(list)
    place = {record["id"]: number for number, record in enumerate(records)}
    ends = {
        record["execution"]: record for record in records if record["event"] == "execution.finished"
    }
    for record in ends.values():
        if record["group"] is not None:
            members[record["group"]].append(record)
    begun = {
        record["execution"]
        for record in records
        if record["event"] == "execution.started"
        and record["request"] in _MEMBERS
        and record["group"] is None
    }
    known = begun | {each.id for each in waiting}
    faults += [f"members of a group that never began: {group}" for group in members.keys() - known]
    for group in begun & ends.keys():
        own = sorted(members[group], key=lambda record: (record["sequence"], record["attempt"]))
        counts["groups"] += 1
        counts["members"] += len(own)
        _check_group(ends[group], own, place, faults, is_steady=is_steady)


def _check_group(
    group: Record,
    members: Sequence[Record],
    place: Mapping[str, int],
    faults: list[str],
    *,
    is_steady: bool,
) -> None:
    sequences = list(dict.fromkeys(record["sequence"] for record in members))
    if not sequences or sequences != list(range(1, len(sequences) + 1)):
        faults.append(f"members {sequences} of {group}")
        return
    count = _LAST_MEMBER.get(group["request"], _MEMBERS[group["request"]])
    if len(sequences) > count or (
        group["reason"] in {None, "member_failed"} and len(sequences) < count
    ):
        faults.append(f"{len(sequences)} of {count} members: {group}")
    for former, later in pairwise(members):
        is_after = (
            not is_steady
            or later["started"] is None
            or _at(later, "started") >= _at(former, "ended")
        )
        if not is_after or place[later["id"]] < place[former["id"]]:
            faults.append(f"side by side: {former} and {later}")
    if place[group["id"]] < place[members[-1]["id"]]:
        faults.append(f"ended before its member: {group}")
    last = {record["sequence"]: record["status"] for record in members}
    if group["reason"] not in {None, "member_failed"}:
        return
    if (group["status"] == "success") != (set(last.values()) == {"success"} and len(last) == count):
        faults.append(f"{list(last.values())} make {group['status']}: {group}")


def _check_guards(finished: Sequence[Record], faults: list[str], counts: Counter[str]) -> None:
    """A new claim finds at most the holder of its guard and, with a queue, an empty queue.

    An id has the millisecond of its claim. A skipped execution never took a place.
    """
    begins: dict[Chain, datetime] = {}
    ends: dict[Chain, datetime] = {}
    for each in finished:
        chain = _chain(each)
        if chain is None or each["group"] is not None or each["reason"] == "concurrent":
            continue
        begins.setdefault(chain, _claimed(each["execution"]))
        ends[chain] = max(_at(each, "ended"), ends.get(chain, begins[chain]))
    for request, at_most in _ALIVE_AT_ONCE.items():
        lives = sorted((begins[chain], ends[chain]) for chain in begins if chain[0] == request)
        alive: list[datetime] = []
        for claimed, ended in lives:
            alive = [each for each in alive if each > claimed + _MS] + [ended]
            if len(alive) > at_most:
                faults.append(f"{len(alive)} at one guard: {request} at {claimed}")
        counts["at guards"] += len(lives)


def _chain(each: Record | Waiting) -> Chain | None:
    """Return the key that all attempts share; None for a miss, and for a person's execution."""
    record = asdict(each) if isinstance(each, Waiting) else each
    if record["generation"] is None or record.get("reason") in ("missed", "paused"):
        return None
    return (
        record["request"],
        record["generation"],
        record["scheduled_for"],
        record["group"],
        record["sequence"],
    )


def _claimed(execution: str) -> datetime:
    return datetime.fromtimestamp(int(execution.replace("-", "")[:12], 16) / 1000, UTC)


def _instant(microseconds: int) -> str:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=microseconds)
    return f"{at:%Y-%m-%dT%H:%M:%S.%f}Z"


def _at(record: Record, name: str) -> datetime:
    return datetime.fromisoformat(record[name])
