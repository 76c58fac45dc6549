"""The monitor log read back: its newest records, and those that are still to come. Reads files.

Read are the log and, where it does not suffice, the file that it was last rotated to,
if that is plain (`NAME.1`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from runner.monitor.names import is_named, path_of
from runner.monitor.records import Event, decode
from runner.monitor.scanning import LogFile, backwards, lines_from, quoted
from runner.values import instant_text

Record = dict[str, object]

# Records are in the order of their time but for backward steps of the clock; larger
# ones than this may hide records.
_DISORDER = timedelta(hours=1)
_MOST_EXECUTIONS = 20
_EXECUTION_EVENTS = (Event.EXECUTION_STARTED, Event.EXECUTION_FINISHED)
_STARTED_NEEDLES = [quoted(event) for event in _EXECUTION_EVENTS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records are wanted. What is empty leaves its field open.

    A member of a group matches by its group's name and by its own. `since` and `until`,
    both inclusive, are compared with the record's `time`; `scheduled_for` is the
    beginning of that field.
    """

    requests: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    scheduled_for: str = ""
    events: frozenset[str] = frozenset({Event.EXECUTION_FINISHED})

    def admits(self, record: Record) -> bool:
        """Tell whether a record is wanted."""
        return (
            (not self.events or record.get("event") in self.events)
            and (not self.requests or any(is_named(record, name) for name in self.requests))
            and (not self.statuses or record.get("status") in self.statuses)
            and (self.since is None or str(record.get("time")) >= instant_text(self.since))
            and (self.until is None or str(record.get("time")) <= instant_text(self.until))
            and str(record.get("scheduled_for")).startswith(self.scheduled_for)
        )


def newest(path: Path, n: int, *, matches: Filter) -> list[Record]:
    """Return the newest `n` records that match, the newest last. A log that does not
    exist has none.

    With `since`, reading ends an hour before it, unless the log tells of a clock that
    went back. Raises RunnerError if the log cannot be read.
    """
    with contextlib.ExitStack() as stack:
        return _newest(_open_both(path, stack), n, matches)


def find_execution(path: Path, id_part: str) -> list[Record]:
    """Return the last record of each execution whose id has this part, the newest last.

    Several if that is ambiguous, 20 at most; none for an empty part. Raises RunnerError
    if the log cannot be read.
    """
    found: dict[str, Record] = {}
    part = id_part.strip().lower()
    with contextlib.ExitStack() as stack:
        files = _open_both(path, stack) if part else []
        for record in backwards(files, [[quoted(part)[1:-1]]]):
            execution = str(record.get("execution"))
            if record.get("event") in _EXECUTION_EVENTS and part in execution:
                found.setdefault(execution, record)
            if len(found) == _MOST_EXECUTIONS or part in found:
                break
    return list(found.values())[::-1]


def newest_execution(path: Path, name: str) -> Record | None:
    """Return the last record of the execution of that name that was started last, a
    member's by its own name too.

    None if no record of a started one is left. Raises RunnerError if the log cannot be read.
    """
    newest: Record | None = None
    with contextlib.ExitStack() as stack:
        for record in backwards(_open_both(path, stack), [_name_needles([name]), _STARTED_NEEDLES]):
            if newest is not None and str(record.get("time")) < str(newest["started"]):
                break
            is_own = record.get("request") != name or record.get("group") is None
            is_wanted = (
                is_own and is_named(record, name) and record.get("event") in _EXECUTION_EVENTS
            )
            if (
                is_wanted
                and record.get("started")
                and (newest is None or _is_later(record, newest))
            ):
                newest = record
    return newest


def _is_later(record: Record, other: Record) -> bool:
    """Tell whether a record is about an execution that was started later."""
    return record["execution"] != other["execution"] and str(record["started"]) > str(
        other["started"]
    )


def follow(
    path: Path,
    *,
    matches: Filter,
    wait: Callable[[], None],
    begin: Callable[[], Iterable[Record]] = tuple,
) -> Generator[Record, None, None]:
    """Yield what `begin` returns, then every record that matches and was added since it
    was called, for ever.

    `wait` is called whenever there is nothing more to read; it sleeps, or raises to
    end. An incomplete line is waited for, and so is a log that does not exist yet. A
    renamed log is read to its end, once more after a wait, because its writer may still
    have had it open, and then the new one; a truncated one from its begin. Raises
    RunnerError if the log cannot be read.
    """
    file = LogFile.open(path)
    position = file.end if file else 0
    try:
        yield from begin()
        while True:
            while file is None:
                wait()
                file = LogFile.open(path)
            for line in _added(file, path, position, wait):
                if (record := decode(line)) is not None and matches.admits(record):
                    yield record
            file.close()
            file, position = LogFile.open(path), 0
    finally:
        if file is not None:
            file.close()


def _newest(files: list[LogFile], n: int, matches: Filter) -> list[Record]:
    needles = [
        [quoted(word) for word in words] for words in (matches.statuses, matches.events) if words
    ]
    if matches.requests:
        needles.append(_name_needles(matches.requests))
    if matches.scheduled_for:
        needles.append([quoted(matches.scheduled_for)[:-1]])
    since = instant_text(matches.since - _DISORDER) if matches.since else ""
    records = (
        record for record in backwards(files, needles, since=since) if matches.admits(record)
    )
    return list(islice(records, n))[::-1]


def _name_needles(names: Iterable[str]) -> list[bytes]:
    """Return what a record that `is_named` one of the names must hold one of."""
    paths = list(map(path_of, names))
    groups = (path.partition("/")[0] for path in paths if "/" in path)
    return [*map(quoted, (*paths, *groups)), *(b"/" + quoted(path)[1:] for path in paths)]


def _added(file: LogFile, path: Path, position: int, wait: Callable[[], None]) -> Iterator[bytes]:
    """Yield whole lines from `position` on, until another file has the log's name and
    this one is at its end.
    """
    has_moved = False
    while True:
        lines, position = lines_from(file, position)
        yield from lines
        if lines:
            continue
        if has_moved:
            return
        if file.size() < position:
            position = 0
            continue
        has_moved = file.has_successor(path)
        wait()


def _open_both(path: Path, stack: contextlib.ExitStack) -> list[LogFile]:
    current = LogFile.open(path)
    if current is not None:
        stack.callback(current.close)
    return [*([current] if current else []), *_open_rotated(path, current, stack)]


def _open_rotated(
    path: Path, current: LogFile | None, stack: contextlib.ExitStack
) -> list[LogFile]:
    rotated = LogFile.open(path.with_name(f"{path.name}.1"))
    if rotated is None:
        return []
    stack.callback(rotated.close)
    # Rotated in this moment: it is what we have open already.
    return [] if current and rotated.is_same(current) else [rotated]
