"""The output of an execution, to be read: a file in the state folder, or pieces in the store
of a fleet. Reads the store when asked.
"""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Mapping
from contextlib import ExitStack, closing
from itertools import accumulate
from pathlib import Path
from typing import Any, BinaryIO, cast

from runner.access.places import Places
from runner.errors import StoreError
from runner.execution.output import below_outputs, member_order, open_to_read, outputs_folder
from runner.store.opening import read_store
from runner.store.protocol import StoreReader


def has_output(places: Places, record: Mapping[str, Any]) -> bool:
    """Return whether the execution of a record had a process, which may have an output."""
    is_stored = places.store.url is not None and record.get("started") is not None
    return bool(record.get("output_file")) or is_stored


def open_output(places: Places, record: Mapping[str, Any]) -> BinaryIO:
    """Open the output of a record's execution. Raises OSError as `open_to_read`.

    Of the path in a record only the part below the outputs folder counts.
    """
    if places.store.url is not None:
        return open_stored(places, str(record["execution"]), int(record.get("output_bytes") or 0))
    folder = outputs_folder(places.state)
    path = folder / below_outputs(str(record["output_file"]))
    if ".." in path.parts[len(folder.parts) :]:
        raise FileNotFoundError(path)
    return open_to_read(path)


def open_stored(places: Places, execution: str, at_least: int = 0) -> BinaryIO:
    """Open the output that the store has of an execution. Raises OSError.

    It is gone if the store has nothing of it, while its record says `at_least` so many bytes.
    """
    try:
        reader = read_store(places.store)
    except StoreError as error:
        raise OSError(0, str(error)) from error
    with ExitStack() as on_failure:
        on_failure.callback(reader.close)
        output = _StoredOutput(reader, execution)
        on_failure.pop_all()
    if at_least and not output.size:
        output.close()
        raise FileNotFoundError(execution)
    return cast(BinaryIO, io.BufferedReader(output))


def members_with_output(places: Places, group: str) -> list[str]:
    """Return the ids of a group's members that have output in the store, in order."""
    with closing(read_store(places.store)) as reader:
        found = reader.outputs_of_members(group)
    ordered = sorted(found, key=lambda each: member_order(Path(f"{group}.out"), each[1]))
    return [execution for execution, _ in ordered]


class _StoredOutput(io.RawIOBase):
    """An output in the store as a file. It sees what the store had when it was opened."""

    def __init__(self, reader: StoreReader, execution: str) -> None:
        """Raises StoreError. `close` also closes the reader."""
        self._reader = reader
        self._execution = execution
        self._place = 0
        pieces = reader.output_pieces(execution)
        self._numbers = [piece.number for piece in pieces]
        self._starts = [0, *accumulate(piece.size for piece in pieces)]
        self.size = self._starts.pop()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = max(base + offset, 0)
        return self._place

    def tell(self) -> int:
        return self._place

    def readinto(self, buffer: Any) -> int:
        if self._place >= self.size:
            return 0
        index = bisect_right(self._starts, self._place) - 1
        data = self._reader.output_piece(self._execution, self._numbers[index])
        wanted = data[self._place - self._starts[index] :][: len(buffer)]
        buffer[: len(wanted)] = wanted
        self._place += len(wanted)
        return len(wanted)

    def close(self) -> None:
        if not self.closed:
            self._reader.close()
        super().close()
