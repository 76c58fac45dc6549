"""Moves a store from SQLite to PostgreSQL. Touches files and the database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from runner.store.opening import address_of
from runner.store.place import StorePlace
from runner.store.sqlite.moving import moving_store


@dataclass(frozen=True, slots=True, kw_only=True)
class Copied:
    """How much was copied."""

    requests: int
    executions: int
    results: int
    records: int


def copy_store(place: StorePlace, log: Iterable[bytes]) -> Copied:
    """Copy the SQLite store of a state folder into the database at the place's URL.

    Everything goes along: states, guards, results, what waits, and the records of `log`,
    the lines of the monitor log. The source is marked as moved before the copy is
    committed, so that never both can be used; if the commit fails, the mark is taken away,
    and after a crash in between `copy_store` may be called again.

    Raises StoreInUseError while a runner owns the source, RefusedError for a target that
    is in use or not empty, and StoreError.
    """
    address = address_of(place)
    from runner.store.postgres.filling import Content, fill

    with moving_store(place.folder) as source:
        snapshot, results = source.snapshot(), source.results()
        waiting = set(source.records())
        content = Content(
            snapshot=snapshot,
            results=results,
            logged=_without(log, waiting),
            unlogged=source.records(),
        )
        try:
            records = fill(address, place.folder, content, before_commit=source.mark_as_moved)
        except BaseException:
            source.mark_as_moved(is_moved=False)
            raise
    return Copied(
        requests=len(snapshot.requests),
        executions=len(snapshot.executions),
        results=len(results),
        records=records,
    )


def _without(lines: Iterable[bytes], waiting: set[bytes]) -> Iterator[bytes]:
    """Yield lines of the log, without those that the store still counts as missing there."""
    return (line for line in lines if line not in waiting)
