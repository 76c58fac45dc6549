"""What must hold for a monitor log and a ledger, however often the runner was killed:
runner/README.md, "Stopping and recovery".

Fire times come from arithmetic, from the generations that the log says were opened and
ended. Pure, apart from reading the files. Every check adds to a list of faults, so one
run shows all of them.
"""

from __future__ import annotations

import json
import sqlite3
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from support.crash_following import NOTICE, Waiting, check_following, waiting_in
from support.crash_load import Death, Load, Planned
from support.place import Record, check_log

_NEVER_RAN = {"concurrent", "missed", "paused", "spawn_failed", "unscheduled"}
_MAY_LACK_A_START = _NEVER_RAN | {"runner_lost", "runner_stopped", "killed_by_user", "replaced"}
_US = timedelta(microseconds=1)
_AHEAD = timedelta(milliseconds=5)
"""A fire may be claimed so long before its time."""
Fire = tuple[str, int, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """The time in which a generation of a request was in force; fires in (begin, end] are due."""

    request: str
    generation: int
    planned: Planned
    begin: datetime
    end: datetime | None

    def fires(self, until: datetime, *, ahead: timedelta = timedelta()) -> set[datetime]:
        """Return the due fires up to `until`; none if the same turn replaced the generation.

        With `ahead`, return also those that may have been claimed so long before the end.
        """
        if self.begin == self.end:
            return set()
        end = until if self.end is None else min(self.end + ahead, until)
        return set(self.planned.fires(self.begin, end))


@dataclass(slots=True, kw_only=True)
class Found:
    """The faults that were found, and counts of the checks."""

    faults: list[str] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def expect(self, is_true: bool, fault: str) -> None:
        if not is_true:
            self.faults.append(fault)


def check(load: Load, *, settled: datetime) -> Counter[str]:
    """Check all guarantees; each fire that was due by `settled` must have its verdict.

    Return counts of the checks.
    """
    load.join_logs()
    records = check_log(load.place.log)
    assert all(
        len(line) < 32 * 1024 for line in load.place.log.read_bytes().splitlines(keepends=True)
    )
    ledger, waiting = read_ledger(load), waiting_in(load)
    found = Found()
    found.counts.update(deaths=len(load.deaths), lines=len(records), ran=len(ledger))
    check_executions(records, waiting, found)
    check_ledger(records, ledger, found)
    _check_cut_off(records, load.deaths, found)
    _check_fires(load, records, waiting, settled, found)
    check_commands(load, records, found)
    check_alerts(records, found)
    faults, counts = check_following(records, ledger, waiting)
    found.faults += faults
    found.counts.update(counts)
    assert not found.faults, f"{len(found.faults)} faults:\n" + "\n".join(found.faults[:20])
    return found.counts


def read_ledger(load: Load) -> list[list[str]]:
    """Return the ledger's lines as words; fail for a torn or unknown line."""
    return [words for words in _lines(load) if words[0] != "at"]


def uptimes(load: Load) -> dict[str, float]:
    """Return the uptime in seconds at which each execution ran, from the ledger."""
    return {words[1]: float(words[2]) for words in _lines(load) if words[0] == "at"}


def _lines(load: Load) -> list[list[str]]:
    text = load.ledger.read_text() if load.ledger.exists() else ""
    assert not text or text.endswith("\n")
    lines = [line.split() for line in text.splitlines()]
    known = {("ran", 6), ("notified", 3), ("overlap", 3), ("at", 3)}
    assert all((words[0], len(words)) in known for words in lines)
    return lines


def open_windows(records: Sequence[Record], versions: Mapping[str, Planned]) -> list[Window]:
    """Return the schedules in force at the end of a log."""
    return [
        each
        for each in _windows(records, versions)
        if each.end is None and each.planned.interval_s is not None
    ]


def is_settled(records: Sequence[Record], versions: Mapping[str, Planned], at: datetime) -> bool:
    """Return whether every schedule in force has a verdict for a fire after `at`."""
    latest: dict[str, datetime] = {}
    for record in _finished(records):
        if record["channel"] == "process_scheduler":
            latest[record["request"]] = max(
                _at(record, "scheduled_for"), latest.get(record["request"], at)
            )
    return all(latest.get(window.request, at) > at for window in open_windows(records, versions))


def check_alerts(records: Sequence[Record], found: Found) -> None:
    """Each alert opens and closes in turn, and a failure opens after its execution ended."""
    opened: dict[tuple[object, object], object] = {}
    ends: set[object] = set()
    for record in records:
        if record["event"] == "execution.finished":
            ends.add(record["execution"])
        if record["event"] not in ("alert.opened", "alert.closed"):
            continue
        key, is_opening = (record["request"], record["check"]), record["event"] == "alert.opened"
        expected = None if is_opening else record["since"]
        found.expect(opened.get(key) == expected, f"{record['event']} twice: {key}")
        opened[key] = record["since"] if is_opening else None
        if record["check"] == "failure" and is_opening:
            found.expect(record["execution"] in ends, f"an alert before its execution: {key}")
        found.counts["alerts"] += is_opening


def check_executions(records: Sequence[Record], waiting: Sequence[Waiting], found: Found) -> None:
    """An execution has at most one start, then one end; an attempt of a fire has one execution."""
    begun: dict[str | None, Record] = {}
    ended: set[str | None] = set()
    attempts: Counter[tuple[object, ...]] = Counter()
    for record in records:
        execution = record.get("execution")
        if record["event"] == "execution.started":
            found.expect(execution not in begun, f"started twice: {execution}")
            found.expect(execution not in ended, f"started after its end: {execution}")
            begun[execution] = record
        elif record["event"] == "execution.finished":
            found.expect(execution not in ended, f"ended twice: {execution}")
            ended.add(execution)
            has_start = execution in begun or record["reason"] in _MAY_LACK_A_START
            found.expect(has_start, f"ended without a start: {record}")
            found.expect(
                not _never_ran(record) or execution not in begun,
                f"started and skipped: {record}",
            )
            if record["channel"] == "process_scheduler" and not _is_span(record):
                attempts[_fire(record), record["attempt"]] += 1
    for execution in begun.keys() - ended - {each.id for each in waiting}:
        found.faults.append(f"no end: {begun[execution]}")
    for attempt, count in attempts.items():
        found.expect(count == 1, f"{count} executions of {attempt}")
    found.counts.update(executions=len(begun), finished=len(ended))


def check_ledger(
    records: Sequence[Record],
    ledger: Sequence[Sequence[str]],
    found: Found,
    *,
    is_steady: bool = True,
) -> None:
    """Every run is recorded once and correctly, every success ran, and guards held.

    Under a clock that was stepped, a fire may come again in another generation.
    """
    finished = {record["execution"]: record for record in _finished(records)}
    groups = {record["group"] for record in finished.values()}
    for words in ledger:
        if words[0] == "overlap":
            found.faults.append(f"ran beside another one: {finished.get(words[1])}")
            continue
        record = finished.get(words[1])
        if record is None or _never_ran(record):
            found.faults.append(f"ran, but the log says otherwise: {words}, {record}")
        else:
            member = " abc"[record["sequence"]] if record["sequence"] else "-"
            logged = (record["request"], record["scheduled_for"], str(record["attempt"]), member)
            is_so = words[0] == "notified" or logged == tuple(words[2:])
            found.expect(is_so, f"the process reported {words}, the log {logged}")
    ran = Counter(words[1] for words in ledger if words[0] != "overlap")
    scheduled = Counter(
        (*words[2:], "" if is_steady else str(finished[words[1]]["generation"]))
        for words in ledger
        if words[0] == "ran" and words[2] != "asked" and words[1] in finished
    )
    found.faults += [
        f"{each} ran {count} times" for each, count in (ran | scheduled).items() if count > 1
    ]
    for execution, record in finished.items():
        has_run = execution in ran or execution in groups
        found.expect(
            record["status"] != "success" or has_run, f"a success that did not run: {record}"
        )


def _never_ran(record: Record) -> bool:
    """Return whether a record says that nothing was started."""
    return record["reason"] in _NEVER_RAN or "never ran" in (record["message"] or "")


def _check_cut_off(records: Sequence[Record], deaths: Sequence[Death], found: Found) -> None:
    """Exactly the executions around a death are cut off, and their exit codes are unknown."""
    groups = {record["group"] for record in _finished(records)}
    for record in _finished(records):
        ended = _at(record, "ended")
        if record["status"] == "system_restart":
            facts = (record["reason"], record["exit_code"], record["signal"])
            found.expect(facts == ("runner_lost", None, None), f"cut off, but with {facts}")
            lies_within = any(
                _at(record, "scheduled_for") <= each.latest + _AHEAD and each.earliest <= ended
                for each in deaths
            )
            found.expect(lies_within, f"cut off without a death: {record}")
            found.counts["system_restart"] += 1
        elif record["status"] == "success" and record["execution"] not in groups:
            begun = _at(record, "started")
            is_cut = any(begun < each.earliest and each.latest < ended for each in deaths)
            found.expect(not is_cut, f"a success that no runner can have seen: {record}")


def _check_fires(
    load: Load,
    records: Sequence[Record],
    waiting: Sequence[Waiting],
    settled: datetime,
    found: Found,
) -> None:
    """Every due fire has exactly one verdict, and every verdict belongs to a fire of the rule."""
    versions = load.versions
    windows = _windows(records, versions)
    seen = {window.request for window in windows}
    found.expect(seen >= load.names, f"never registered: {load.names - seen}")
    ran, missed, caught_up = _verdicts(records, versions, windows, found)
    ran.update(
        (each.request, each.generation, datetime.fromisoformat(each.scheduled_for))
        for each in waiting
        if each.generation is not None and each.attempt == 1 and each.group is None
    )
    end = max(datetime.fromisoformat(record["time"]) for record in records)
    known: set[Fire] = set()
    for window in windows:
        due = window.fires(settled)
        found.counts["fires"] += len(due)
        fires = window.fires(end, ahead=_AHEAD)
        known |= {(window.request, window.generation, fire) for fire in fires}
        for fire in sorted(due):
            key = (window.request, window.generation, fire)
            counts = (ran[key], missed[key])
            is_right = counts in {(1, 0), (0, 1)} or (counts == (1, 1) and key in caught_up)
            found.expect(
                is_right, f"ran {counts[0]} times, missed {counts[1]} times: {key} of {window}"
            )
    for key in ran.keys() | missed.keys():
        found.expect(key in known, f"a fire that the rule does not have: {key}")
        found.expect(ran[key] <= 1 and missed[key] <= 1, f"doubled: {key}")


def _verdicts(
    records: Sequence[Record],
    versions: Mapping[str, Planned],
    windows: Sequence[Window],
    found: Found,
) -> tuple[Counter[Fire], Counter[Fire], set[Fire]]:
    """Count per fire how often it ran or was skipped, and how often it was missed or held.

    Also return the fires that may run although they were missed.
    """
    ran: Counter[Fire] = Counter()
    missed: Counter[Fire] = Counter()
    caught_up: set[Fire] = set()
    by_generation: dict[tuple[str, int], list[Window]] = defaultdict(list)
    for window in windows:
        by_generation[window.request, window.generation].append(window)
    for record in _finished(records):
        if record["channel"] != "process_scheduler":
            continue
        if not _is_span(record):
            ran[_fire(record)] += 1
            is_skipped = record["status"] == "skipped"
            found.expect(
                is_skipped == (record["reason"] in {"concurrent", "unscheduled"}),
                f"not skipped, but {record}",
            )
            is_early = record["started"] and record["started"] < record["scheduled_for"]
            found.expect(not is_early, f"started before its time: {record}")
            found.counts["skipped"] += is_skipped
            found.counts["withdrawn"] += record["reason"] == "unscheduled"
            continue
        first, last = _at(record, "missed_from"), _at(record, "missed_until")
        generation = by_generation[record["request"], record["generation"]]
        fires = {fire for window in generation for fire in window.fires(last) if first <= fire}
        found.expect({first, last} <= fires, f"a span of other fires: {record}")
        found.expect(
            len(fires) == record["missed_count"], f"{len(fires)} fires in the span of {record}"
        )
        found.counts["held" if record["reason"] == "paused" else "missed"] += len(fires)
        missed.update((record["request"], record["generation"], fire) for fire in fires)
        if versions[record["request_sha256"]].misfire == "fire_once":
            caught_up.add((record["request"], record["generation"], last))
    return ran, missed, caught_up


def _windows(records: Sequence[Record], versions: Mapping[str, Planned]) -> list[Window]:
    """Return when each generation was in force, from the `request.*` records of a log."""
    done: list[Window] = []
    current: dict[str, Window] = {}
    for record in records:
        if (
            not record["event"].startswith("request.")
            or record.get("request_sha256") not in versions
        ):
            continue
        name, at, generation = (
            record["request"],
            datetime.fromisoformat(record["time"]),
            record["generation"],
        )
        former = current.get(name)
        planned = versions[record["request_sha256"]]
        is_new = former is None or former.generation != generation
        if former is not None and (is_new or record["status"] != "scheduled"):
            is_claimed_ahead = record["event"] == "request.completed"
            done.append(_ended(current.pop(name), at + _AHEAD * is_claimed_ahead))
        is_one_time = planned.interval_s is None
        is_late = (
            is_one_time and record["event"] == "request.completed"
        )  # registered after its time
        if is_new and (record["status"] == "scheduled" or is_late):
            begin = at - _US if record["event"] == "request.rescheduled" and not is_one_time else at
            current[name] = Window(
                request=name, generation=generation, planned=planned, begin=begin, end=None
            )
    return done + list(current.values())


def _ended(window: Window, at: datetime) -> Window:
    return Window(
        request=window.request,
        generation=window.generation,
        planned=window.planned,
        begin=window.begin,
        end=at,
    )


def check_commands(load: Load, records: Sequence[Record], found: Found) -> None:
    """Each command was either applied or withdrawn."""
    with closing(sqlite3.connect(load.place.state / "store.sqlite3")) as connection:
        rows = {
            each[0]: each[1:]
            for each in connection.execute("SELECT id, kind, status, answer FROM commands")
        }
    found.expect(rows.keys() >= set(load.posted), "a command was forgotten")
    executed = set()
    for identity, (kind, status, answer) in rows.items():
        found.expect(status in {"answered", "withdrawn"}, f"command {identity} is {status}")
        found.expect(
            (status == "answered") == (answer is not None),
            f"command {identity} is {status}: {answer}",
        )
        found.counts[f"commands {status}"] += 1
        if kind == "exec" and answer and json.loads(answer)["is_done"]:
            executed.add(json.loads(answer)["data"]["execution"])
    direct = {
        record["execution"]
        for record in _finished(records)
        if record["channel"] == "direct" and record["request"] != NOTICE
    }
    found.expect(executed == direct, f"asked for and executed differ: {executed ^ direct}")


def _finished(records: Sequence[Record]) -> Iterator[Record]:
    return (record for record in records if record["event"] == "execution.finished")


def _is_span(record: Record) -> bool:
    """Return whether a record is about fires that did not run: missed, or held by a pause."""
    return record.get("missed_count") is not None


def _fire(record: Record) -> Fire:
    return record["request"], record["generation"], _at(record, "scheduled_for")


def _at(record: Record, name: str) -> datetime:
    return datetime.fromisoformat(record[name] or record["time"])
