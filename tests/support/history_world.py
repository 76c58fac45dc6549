"""A monitor log whose files change as in life, and what a plain scan of them finds."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from support.monitor_records import line_of

from runner.execution.output import output_path
from runner.history.building.builder import Builder
from runner.history.building.retention import Limits
from runner.history.reading.index import HistoryIndex, HistoryUnreadableError
from runner.history.reading.query import Query
from runner.history.rows import Record
from runner.history.tables import index_path
from runner.monitor.reading import Filter
from runner.monitor.records import Event, Recorder, decode
from runner.values import new_id

AT = datetime(2026, 11, 22, 2, 0, tzinfo=UTC)
UNLIMITED = Limits(age=timedelta(days=100_000), size=1 << 40)
_COMPRESS: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.compress,
    ".bz2": bz2.compress,
    ".xz": lzma.compress,
}
_OPEN: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".bz2": bz2.decompress,
    ".xz": lzma.decompress,
}
_RECORDER = Recorder("erp", "erp-1")


def finished_line(at: datetime = AT, **fields: object) -> bytes:
    """Return the line of an execution that ended at a time."""
    execution = new_id()
    known: dict[str, object] = {
        "execution": execution,
        "request": "nightly",
        "process": "nightly",
        "channel": "process_scheduler",
        "status": "success",
        "scheduled_for": at,
        "started": at,
        "ended": at,
        "duration_s": 1.5,
        "lateness_s": 0.02,
        "attempt": 1,
        "generation": 1,
        "output_file": output_path("/var/lib/runner/outputs", execution),
    }
    return line_of(_RECORDER, Event.EXECUTION_FINISHED, at, **known | fields)


def other_line(event: Event, at: datetime = AT, **fields: object) -> bytes:
    """Return the line of another event."""
    return line_of(_RECORDER, event, at, **fields)


def indexed_executions(index: HistoryIndex) -> int:
    """Return how many executions an index has: none while it does not exist or is being built."""
    try:
        return index.coverage().executions
    except HistoryUnreadableError:
        return 0


class HistoryWorld:
    """A log, its index, and both ways to answer a question."""

    def __init__(self, folder: Path, limits: Limits = UNLIMITED) -> None:
        self.state, self.log = folder / "state", folder / "logs" / "monitor.jsonl"
        self.state.mkdir()
        self.log.parent.mkdir()
        self._limits = limits
        self.builder = self._new_builder()
        self.index = HistoryIndex(self.state)

    def append(self, *lines: bytes) -> None:
        """Add bytes to the log."""
        with self.log.open("ab") as file:
            file.write(b"".join(lines))

    def rotate(self) -> None:
        """Rename each file of the log to the next number, as logrotate does."""
        for path in reversed(self.rotated()):
            number, _, suffix = path.name.removeprefix("monitor.jsonl.").partition(".")
            path.rename(self.log.with_name(f"monitor.jsonl.{int(number) + 1}.{suffix}".rstrip(".")))
        if self.log.exists():
            self.log.rename(self.log.with_name("monitor.jsonl.1"))

    def compress(self, suffix: str) -> None:
        """Compress the newest rotated file that is plain."""
        for path in self.rotated():
            if path.suffix not in _COMPRESS:
                path.with_name(f"{path.name}{suffix}").write_bytes(
                    _COMPRESS[suffix](path.read_bytes())
                )
                path.unlink()
                return

    def replace(self, content: bytes, *, in_place: bool) -> None:
        """Give the log another content, in its file or in a new one."""
        if in_place:
            self.log.write_bytes(content)
        else:
            other = self.log.with_name("new")
            other.write_bytes(content)
            other.rename(self.log)

    def rotated(self) -> list[Path]:
        """Return the rotated files, the newest first."""
        found = self.log.parent.glob("monitor.jsonl.*")
        return sorted(found, key=lambda path: int(path.name.split(".")[2]))

    def restart(self) -> None:
        """Close the index's writer, and open it again."""
        self.builder.close()
        self.builder = self._new_builder()

    def settle(self) -> None:
        """Bring the index up to date."""
        for _ in range(10_000):
            if not self.builder.step():
                return
        raise AssertionError("the index is never up to date")

    def scan(self) -> Iterator[Record]:
        """Yield all records of all files, the oldest first."""
        for path in (*reversed(self.rotated()), self.log):
            content = path.read_bytes() if path.exists() else b""
            for line in _OPEN.get(path.suffix, bytes)(content).split(b"\n")[:-1]:
                record = decode(line)
                if record is not None and not _is_only_like_one(record):
                    yield record

    def scanned(self, matches: Filter) -> list[Record]:
        """Return the records that match, the newest first."""
        return [record for record in self.scan() if matches.admits(record)][::-1]

    def paged(self, query: Query, limit: int = 3) -> list[Record]:
        """Return all executions of a query from the index, page by page."""
        found: list[Record] = []
        before = None
        while True:
            page = self.index.executions(query, before=before, limit=limit)
            assert len(page.records) <= limit
            found += page.records
            if (before := page.before) is None:
                return found

    def close(self) -> None:
        """Close the index."""
        self.index.close()
        self.builder.close()

    def _new_builder(self) -> Builder:
        return Builder(index_path(self.state), self.log, self._limits)


def _is_only_like_one(record: Record) -> bool:
    """Return whether a line of another program has the event of an execution's end."""
    texts = ("time", "execution", "request", "status")
    is_end = record.get("event") == Event.EXECUTION_FINISHED
    return is_end and not all(isinstance(record.get(name), str) for name in texts)


def truncate(path: Path, size: int) -> None:
    """Cut a file; one that is missing or shorter stays as it is."""
    if path.exists() and path.stat().st_size > size:
        os.truncate(path, size)
