"""Reads the monitor log: its newest records, and new records as they arrive. Reads files.

If the log has too few records, the search continues in the file of the last rotation,
`NAME.1`, unless it is compressed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path

from runner.matching import has_labels, is_glob
from runner.monitor.names import is_named, path_of
from runner.monitor.records import Event, decode
from runner.monitor.scanning import LogFile, backwards, lines_from, quoted
from runner.values import instant_text

Record = dict[str, object]

# Records are ordered by time, except after a backward step of the clock. A search that
# stops at a time goes on this far before it, so that small steps hide no record.
_DISORDER = timedelta(hours=1)
_MOST_EXECUTIONS = 20
_EXECUTION_EVENTS = (Event.EXECUTION_STARTED, Event.EXECUTION_FINISHED)
_STARTED_NEEDLES = [quoted(event) for event in _EXECUTION_EVENTS]


@dataclass(frozen=True, slots=True, kw_only=True)
class Filter:
    """Selects records. An empty condition accepts every value of its field.

    A group member matches by its group's name and by its own; `requests` may be globs.
    `among`, if given, are full names of requests. A record needs one text `KEY=VALUE` of
    each set of `labels`. `since` and `until` are inclusive and apply to the record's `time`.
    `scheduled_for` is a prefix of that field.
    """

    requests: frozenset[str] = frozenset()
    among: frozenset[str] | None = None
    labels: tuple[frozenset[str], ...] = ()
    owners: frozenset[str] = frozenset()
    statuses: frozenset[str] = frozenset()
    since: datetime | None = None
    until: datetime | None = None
    scheduled_for: str = ""
    events: frozenset[str] = frozenset({Event.EXECUTION_FINISHED})

    def admits(self, record: Record) -> bool:
        """Return whether a record meets all conditions."""
        return (
            (not self.events or record.get("event") in self.events)
            and (not self.requests or any(is_named(record, name) for name in self.requests))
            and (self.among is None or record.get("request") in self.among)
            and self._has_labels(record.get("labels"))
            and (not self.owners or record.get("owner") in self.owners)
            and (not self.statuses or record.get("status") in self.statuses)
            and (self.since is None or str(record.get("time")) >= instant_text(self.since))
            and (self.until is None or str(record.get("time")) <= instant_text(self.until))
            and str(record.get("scheduled_for")).startswith(self.scheduled_for)
        )

    def _has_labels(self, labels: object) -> bool:
        return not self.labels or (isinstance(labels, dict) and has_labels(labels, self.labels))


def newest(path: Path, n: int, *, matches: Filter) -> list[Record]:
    """Return the newest `n` records that match, the newest last; none if there is no log.

    With `since`, stop reading one hour before it, unless the log records a backward step
    of the clock. Raises RunnerError if the log cannot be read.
    """
    with contextlib.ExitStack() as stack:
        return _newest(_open_both(path, stack), n, matches)


def find_execution(path: Path, id_part: str) -> list[Record]:
    """Return the last record of each execution whose id contains `id_part`, newest last.

    Return at most 20 records if the part is ambiguous, and none if it is empty. Raises
    RunnerError if the log cannot be read.
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
    """Return the last record of the most recently started execution called `name`.

    A group member also answers to its own name. Return None if the log has no record of
    a started one. Raises RunnerError if the log cannot be read.
    """
    newest: Record | None = None
    with contextlib.ExitStack() as stack:
        for record in backwards(_open_both(path, stack), [_name_needles([name]), _STARTED_NEEDLES]):
            # Older records belong to executions that started earlier: they cannot win.
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
    """Return whether a record describes another execution, and one that started later."""
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
    """Yield what `begin` returns, then every matching record added since, without end.

    Call `wait` whenever there is nothing more to read; it sleeps, or raises to stop.
    Wait for the rest of an incomplete line, and for a log that does not exist yet. After
    a rename, read the old file to its end, and once more after a wait, because the
    writer may still have had it open; then read the new file. After a truncation, read
    from the start. Raises RunnerError if the log cannot be read.
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
    # The rarest first: most blocks then fail at their first group.
    names = () if any(map(is_glob, matches.requests)) else _name_needles(matches.requests)
    wanted = [matches.among or (), matches.owners, *map(_values, matches.labels)]
    wanted += [matches.statuses, matches.events]
    moment = [quoted(matches.scheduled_for)[:-1]] if matches.scheduled_for else []
    groups = (names, moment, *([quoted(word) for word in words] for words in wanted))
    needles = [group for group in groups if group]
    since = instant_text(matches.since - _DISORDER) if matches.since else ""
    records = (
        record for record in backwards(files, needles, since=since) if matches.admits(record)
    )
    return list(islice(records, n))[::-1]


def _values(labels: Iterable[str]) -> list[str]:
    """Return what may be the values of labels `KEY=VALUE`: a key may contain a `=` too."""
    return [text[at + 1 :] for text in labels for at, sign in enumerate(text) if sign == "="]


def _name_needles(names: Iterable[str]) -> list[bytes]:
    """Return byte strings of which every record that `is_named` one of the names has one.

    For `group/member` and `group › member` a record holds the group's name, or the
    member's name at the end of its process. A name's end therefore stands for it.
    """
    paths = list(map(path_of, names))
    groups = (path.partition("/")[0] for path in paths if "/" in path)
    return [quoted(name)[1:] for name in (*paths, *groups)]


def _added(file: LogFile, path: Path, position: int, wait: Callable[[], None]) -> Iterator[bytes]:
    """Yield whole lines from `position` on, until the end of a renamed file."""
    has_moved = False
    while True:
        lines, position = lines_from(file, position)
        yield from lines
        if lines:
            continue
        if has_moved:
            return
        if file.size() < position:  # truncated by another program
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
    # Rotated between the two opens: both descriptors lead to one file.
    return [] if current and rotated.is_same(current) else [rotated]
