"""The outputs of executions on their way to the database, in chunks, while they grow.

The owner of the executions says which outputs there are; the thread of the connection reads
and commits them. Touches the output files.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock

from runner.execution.output import Identity, open_to_read
from runner.store.postgres.connecting.connection import Connection
from runner.store.postgres.fleet.worker_reports import OutputRow, output_written

_CHUNK = 1 << 18
_MOST_AT_ONCE = 1 << 20
"""Bytes in one commit, so that heartbeats need not wait for a large output."""


@dataclass(slots=True, kw_only=True, eq=False)
class _Growing:
    """An output, and how much of it the database has."""

    path: str
    only: Identity | None
    place: tuple[int, int] | None
    """The number of the last chunk, and the bytes so far; None if only the database knows."""
    is_ended: bool = False
    is_sent: bool = False
    """Whether all of an ended output was read for the current commit, or is committed."""


class GrowingOutputs:
    """The outputs that are not completely sent, by execution."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._growing: dict[str, _Growing] = {}

    def __contains__(self, execution: str) -> bool:
        return execution in self._growing

    def watch(self, execution: str, path: str, only: Identity | None, *, is_new: bool) -> None:
        """Send the output at `path`. `is_new`: the database has nothing of it yet.

        `only` is as for `open_to_read`.
        """
        place = (0, 0) if is_new else None
        with self._lock:
            self._growing[execution] = _Growing(path=path, only=only, place=place)

    def end(self, execution: str) -> None:
        """Note that an output grows no more."""
        with self._lock:
            if (growing := self._growing.get(execution)) is not None:
                growing.is_ended = True

    def has_more(self, execution: str) -> bool:
        """Return whether an output is not complete with the current commit."""
        growing = self._growing.get(execution)
        return growing is not None and not growing.is_sent

    def is_due(self, is_look: bool) -> bool:
        """Return whether there is anything to send; `is_look` includes running executions."""
        with self._lock:
            return any(is_look or each.is_ended for each in self._growing.values())

    def read(self, connection: Connection, *, is_look: bool) -> list[OutputRow]:
        """Return what is new, at most some megabytes, to be committed by the caller.

        `connection` is only asked how much of an output the database has.
        """
        with self._lock:
            growing = [each for each in self._growing.items() if is_look or each[1].is_ended]
        found: list[OutputRow] = []
        left = _MOST_AT_ONCE
        for execution, output in growing:
            if left <= 0:
                break
            chunks = _new_chunks(connection, execution, output, left)
            left -= sum(len(each.data) for each in chunks)
            found += chunks
        return found

    def note_committed(self) -> None:
        """Forget the outputs that are completely sent."""
        with self._lock:
            for execution in [name for name, each in self._growing.items() if each.is_sent]:
                del self._growing[execution]

    def forget_places(self) -> None:
        """Ask the database where to go on: the last transaction may have failed or not."""
        with self._lock:
            for each in self._growing.values():
                each.place, each.is_sent = None, False


def _new_chunks(
    connection: Connection, execution: str, output: _Growing, most: int
) -> list[OutputRow]:
    """Return the chunks of an output after its place, up to `most` bytes, and move the place."""
    # Read the flag before the file: what the process wrote before its end is in it.
    is_ended = output.is_ended
    if output.place is None:
        output.place = output_written(connection, execution)
    sequence, offset = output.place
    name = Path(output.path).stem
    chunks: list[OutputRow] = []
    sent = 0
    with suppress(OSError), open_to_read(output.path, only=output.only) as file:
        file.seek(offset)
        while sent < most and (data := file.read(min(_CHUNK, most - sent))):
            sequence += 1
            sent += len(data)
            chunks.append(OutputRow(execution, name, sequence, data))
    output.place = sequence, offset + sent
    output.is_sent = is_ended and sent < most
    return chunks
