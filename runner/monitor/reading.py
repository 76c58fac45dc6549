"""The monitor log read back: its newest records, and those that are still to come. Reads files.

Read are the log and, where it does not suffice, the file that it was last rotated to, if that is plain (`NAME.1`).
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from runner.monitor.records import Event, decode
from runner.monitor.scanning import LogFile, backwards, lines_from, quoted
from runner.values import instant_text

Record = dict[str, object]

# Records are in the order of their time but for backward steps of the clock; larger ones than this may hide records.
_DISORDER = timedelta(hours=1)
_MOST_EXECUTIONS = 20
_EXECUTION_EVENTS = (Event.EXECUTION_STARTED, Event.EXECUTION_FINISHED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Which records are wanted. What is empty leaves its field open.

    `since` and `until`, both inclusive, are compared with the record's `time`; the text of `scheduled_for` begins as is
    given.
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
            and (not self.requests or record.get("request") in self.requests)
            and (not self.statuses or record.get("status") in self.statuses)
            and (self.since is None or str(record.get("time")) >= instant_text(self.since))
            and (self.until is None or str(record.get("time")) <= instant_text(self.until))
            and str(record.get("scheduled_for")).startswith(self.scheduled_for)
        )


def newest(path: Path, n: int, *, matches: Filter) -> list[Record]:
    """Return the newest `n` records that match, the newest last. A log that does not exist has none.

    With `since`, reading ends an hour before it: only a clock that stepped back by more can hide a record. Raises
    RunnerError if the log cannot be read.
    """
    with contextlib.ExitStack() as stack:
        return _newest(_open_both(path, stack), n, matches)


def find_execution(path: Path, id_prefix: str) -> list[Record]:
    """Return the last record of each execution whose id begins so, the newest last.

    Several if that is ambiguous, 20 at most; none for an empty prefix. Raises RunnerError if the log cannot be read.
    """
    found: dict[str, Record] = {}
    prefix = id_prefix.strip().lower()
    with contextlib.ExitStack() as stack:
        files = _open_both(path, stack) if prefix else []
        for record in backwards(files, [[quoted(prefix)[:-1]]]):
            execution = str(record.get("execution"))
            if record.get("event") in _EXECUTION_EVENTS and execution.startswith(prefix):
                found.setdefault(execution, record)
            if len(found) == _MOST_EXECUTIONS or prefix in found:
                break
    return list(found.values())[::-1]


def follow(path: Path, *, matches: Filter, wait: Callable[[], None], last: int = 0) -> Generator[Record, None, None]:
    """Yield the newest `last` records that match, then every one that is added, for ever.

    `wait` is called whenever there is nothing more to read; it sleeps, or raises to end. An incomplete line is waited
    for, and so is a log that does not exist yet. A renamed log is read to its end, once more after a wait, because its
    writer may still have had it open, and then the new one; a truncated one from its begin. Raises RunnerError if the
    log cannot be read.
    """
    file = LogFile.open(path)
    position = file.end if file else 0
    try:
        with contextlib.ExitStack() as stack:
            yield from _newest([*([file] if file else []), *_open_rotated(path, file, stack)], last, matches)
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
        [quoted(word) for word in words] for words in (matches.requests, matches.statuses, matches.events) if words
    ]
    if matches.scheduled_for:
        needles.append([quoted(matches.scheduled_for)[:-1]])
    since = instant_text(matches.since - _DISORDER) if matches.since else ""
    records = (record for record in backwards(files, needles, since=since) if matches.admits(record))
    return list(islice(records, n))[::-1]


def _added(file: LogFile, path: Path, position: int, wait: Callable[[], None]) -> Iterator[bytes]:
    """Yield whole lines from `position` on, until another file has the log's name and this one is at its end."""
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


def _open_rotated(path: Path, current: LogFile | None, stack: contextlib.ExitStack) -> list[LogFile]:
    rotated = LogFile.open(path.with_name(f"{path.name}.1"))
    if rotated is None:
        return []
    stack.callback(rotated.close)
    # Rotated in this moment: it is what we have open already.
    return [] if current and rotated.is_same(current) else [rotated]
