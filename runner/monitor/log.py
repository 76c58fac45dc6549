"""Writes the monitor log, an append-only JSON-lines file. Touches files.

`MonitorLog` owns the descriptor of the log. The owner of a `MonitorLog` works in four
steps:

1. call `place`, which returns the mark: (inode, offset) where the next batch begins;
2. commit the mark and the batch to the store, if the mark has changed;
3. call `append`;
4. commit the new mark that `append` returns.

A crash between 2 and 4 and a full disk during 3 leave the same state: the file holds
all of the batch, a beginning of it, or none. Both are repaired in the same way. The
writer reads what the files contain since the mark, completes the torn line in the file
that has it (even if that file was renamed since), and appends the lines that no file
has to the current file. So a repair can be repeated safely, and the log is never
truncated.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from runner.errors import LogUnwritableError
from runner.monitor.log_files import (
    Place,
    lines_in,
    open_log,
    opened,
    opened_beside,
    place_of,
    separator,
    sync_folder,
)
from runner.monitor.recovery import Found, lines_of, missing_suffix
from runner.monitor.renamed_log import find_later, find_renamed

_sync: Callable[[int], None] = getattr(os, "fdatasync", os.fsync)  # macOS lacks it


class MonitorLog:
    """The writer of the log.

    Every batch consists of whole lines. If a disk takes only a part of a batch, the next
    call writes the rest first.
    """

    def __init__(self, path: Path) -> None:
        """Touch no file: `place` opens the log, and reports an unusable folder.

        `place` checks again on each call, because a mount may come back.
        """
        self._path = path
        self._may_make_folder = True  # once: later, a missing folder may be a lost mount
        self._descriptor: int | None = None
        # Where a batch begins that is perhaps missing or incomplete in the log.
        self._unsettled: Place | None = None
        # Where our last write ended with a newline. Equal to the end of the file, it
        # saves reading the last byte before each append.
        self._clean_end: Place | None = None

    def __str__(self) -> str:
        return f"the monitor log {self._path}"

    def place(self) -> Place:
        """Return (inode, size) of the file that receives the next batch.

        Create the file if it is missing or was renamed. While a batch is incomplete,
        return the place where it began: its mark must stay until the batch is in.
        Raises LogUnwritableError.
        """
        if self._unsettled is not None:
            return self._unsettled
        with self._worded():
            return place_of(self._current())

    def append(self, batch: bytes) -> Place:
        """Append whole lines with one write, fsync, and return the new (inode, size).

        Raises LogUnwritableError after a short or failed write. Call again with the same
        batch, or one that begins with it, to continue exactly where the write stopped.
        Raises ValueError for a batch without a newline at its end: a bug.
        """
        if not batch:
            return self.place()
        if not batch.endswith(b"\n"):
            raise ValueError("a batch is whole lines")
        with self._worded():
            if self._unsettled is None:
                self._add(batch)
            else:
                self._settle(self._unsettled, batch)
            # Not place(): the batch is in. A rename from now on must not turn this
            # success into an error, or the caller would write the batch again.
            return place_of(self._opened())

    def recover(self, inode: int, offset: int, batch: bytes) -> Place:
        """Bring `batch` into the log exactly once after a crash; return the new place.

        `inode` and `offset` are the last committed mark: everything before it is in the
        log. Find the marked file by its inode even if it was renamed, also into a folder
        nearby. Complete a torn line with its missing suffix, and append only the missing
        lines. Never truncate.

        Raises LogUnwritableError; call this or `append` again to continue. If the marked
        file is gone (compressed, or moved to another file system), append every line
        that the current file lacks: a repeated line has the same id.
        """
        self._unsettled = (inode, offset)
        with self._worded():
            self._settle(self._unsettled, batch)
            return place_of(self._opened())

    def close(self) -> None:
        """Close the file. A closed log opens it again when needed."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _add(self, batch: bytes) -> None:
        """Append a new batch; the previous one is complete.

        `_unsettled` is set before the write and cleared after the checks. An exception in
        between leaves it set, and the next call goes through `_settle`.
        """
        descriptor = self._opened()
        begin = place_of(descriptor)
        payload = batch if begin == self._clean_end else separator(descriptor) + batch
        self._unsettled = begin
        self._write(descriptor, payload)
        self._require_name(descriptor)
        self._unsettled = None
        self._clean_end = (begin[0], begin[1] + len(payload))

    def _settle(self, begin: Place, batch: bytes) -> None:
        """Write what the log lacks of a batch that began at `begin`.

        The log may have been renamed between two attempts, once or several times. So
        the file where the batch began, every file that had the log's name since, and the
        current file may each contain a part of it.
        """
        (inode, offset), batch_lines = begin, lines_of(batch)
        with contextlib.ExitStack() as stack:
            held = self._held(stack)
            current = self._current()
            is_current = place_of(current)[0] == inode
            # In another renamed file than the marked one, our lines stand at the end:
            # we wrote at most one batch since, so a batch's length is enough to read.
            renamed = [
                (
                    lines_in(
                        each, offset if at == inode else max(0, size - len(batch)), batch_lines
                    ),
                    each,
                )
                for each, (at, size) in self._renamed(held, current, inode, stack).items()
            ]
            if not is_current:
                renamed += self._later(current, inode, renamed, batch_lines, stack)
            in_current = lines_in(current, offset if is_current else 0, batch_lines)
            known = in_current.lines.union(*(found.lines for found, _ in renamed))
            missing = [line for line in batch_lines if line not in known]
            # Several files may end with bytes that begin our next line, for instance
            # "{" from another writer. The longest such tail is ours; only that file
            # gets the suffix, or the line would be written twice.
            tails = [in_current.tail, *(found.tail for found, _ in renamed)]
            ours = (tail for tail in tails if missing_suffix(tail, missing))
            torn = max(ours, key=len, default=b"")
            is_torn_here = in_current.tail == torn
            for found, descriptor in renamed:
                tail = torn if found.tail == torn and not is_torn_here else b""
                missing = self._complete_renamed(descriptor, tail, missing)
            self._complete(current, torn if is_torn_here else b"", missing)
        self._require_name(current)
        self._unsettled = None

    def _complete_renamed(self, descriptor: int, tail: bytes, missing: list[bytes]) -> list[bytes]:
        """Complete the torn line of a renamed file; return the lines still missing.

        A renamed file gets no other line: a rotation tool may compress it at any time.
        """
        if suffix := missing_suffix(tail, missing):
            self._write(descriptor, suffix)
            return missing[1:]
        _sync(descriptor)  # the lines found in it may not be durable yet
        return missing

    def _complete(self, descriptor: int, tail: bytes, missing: list[bytes]) -> None:
        """Write the missing lines with one write.

        If the file ends in the middle of the first one, write only the rest of it.
        """
        if not missing:
            _sync(descriptor)  # the lines found in it may not be durable yet
        elif suffix := missing_suffix(tail, missing):
            self._write(descriptor, suffix + b"".join(missing[1:]))
        else:
            self._write(descriptor, separator(descriptor) + b"".join(missing))

    def _write(self, descriptor: int, payload: bytes) -> None:
        written = os.write(descriptor, payload)
        _sync(descriptor)
        # Only after the sync: the bytes of a short write count as found next time.
        if written < len(payload):
            raise LogUnwritableError(
                f"the monitor log {self._path} accepted only {written} of {len(payload)} bytes"
                " (is the disk full?); the runner writes the rest as soon as it can"
            )

    def _require_name(self, descriptor: int) -> None:
        """Raise LogUnwritableError if the log was renamed during a write.

        The rotation tool may already be compressing the file, and may have read it before
        our bytes arrived. The error keeps the batch unsettled, so the next attempt looks
        again: the bytes are either in a file that still exists, or go to the new one.
        """
        with contextlib.suppress(FileNotFoundError):
            named = os.stat(self._path)  # noqa: PTH116 (half the time of Path.stat)
            if os.path.samestat(named, os.fstat(descriptor)):
                return
        raise LogUnwritableError(
            f"the monitor log {self._path} was renamed or deleted during a write;"
            " the runner writes to the new file what may be missing"
        )

    def _opened(self) -> int:
        """Return the descriptor of the open file, even if it was renamed; else open the log."""
        return self._current() if self._descriptor is None else self._descriptor

    def _current(self) -> int:
        """Return a descriptor of the file that has the log's name now.

        Open or create the file if the log was renamed or deleted. The first call also
        creates the log's folder if its parent exists. Raises OSError.
        """
        if self._descriptor is not None:
            with contextlib.suppress(FileNotFoundError):
                named = os.stat(self._path)  # noqa: PTH116 (half the time of Path.stat)
                if os.path.samestat(named, os.fstat(self._descriptor)):
                    return self._descriptor
        if self._may_make_folder:
            self._may_make_folder = False
            with contextlib.suppress(OSError):  # open_log reports it
                self._path.parent.mkdir(exist_ok=True)
        descriptor = open_log(self._path, os.O_CREAT)
        try:
            # Else a power failure could lose the name of a file whose records the store
            # has already marked as written.
            sync_folder(self._path.parent)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._clean_end = descriptor, None
        return descriptor

    def _held(self, stack: contextlib.ExitStack) -> list[int]:
        """Return a copy of our descriptor if its file still has a name.

        The file may have been moved to another folder, where no search finds it. It is a
        copy because `_current` closes the original.
        """
        if self._descriptor is None or not os.fstat(self._descriptor).st_nlink:
            return []
        held = os.dup(self._descriptor)
        stack.callback(os.close, held)
        return [held]

    def _renamed(
        self, held: list[int], current: int, marked: int, stack: contextlib.ExitStack
    ) -> dict[int, Place]:
        """Return descriptors of the former log files, with their inodes and sizes.

        Search other folders for the `marked` inode if no file beside the log has it.
        """
        places = {place_of(each)[0]: each for each in (*opened_beside(self._path, stack), *held)}
        in_use = place_of(current)[0]
        if (
            marked not in (in_use, *places)
            and (moved := find_renamed(self._path, marked)) is not None
        ):
            places |= {place_of(each)[0]: each for each in opened(moved, stack)}
        places.pop(in_use, None)
        return {each: place_of(each) for each in places.values()}

    def _later(
        self,
        current: int,
        marked: int,
        renamed: list[tuple[Found, int]],
        batch_lines: list[bytes],
        stack: contextlib.ExitStack,
    ) -> list[tuple[Found, int]]:
        """Return further former log files that have lines of the batch, like `renamed`.

        The mark names only the file where the batch began. If the log was renamed again
        while its next file got the rest, and then the runner was killed, only a search
        finds that file. Another program's log may lie near, so a torn line alone is no
        evidence.
        """
        known = {each.st_ino: each for each in map(os.fstat, (current, *(at for _, at in renamed)))}
        if marked not in known:  # gone: its repeated lines have the same ids
            return []
        length, later = sum(map(len, batch_lines)), []
        for path in find_later(self._path, known[marked].st_mtime_ns, known):
            with contextlib.ExitStack() as own, contextlib.suppress(OSError):
                for each in opened(path, own):
                    found = lines_in(each, max(0, place_of(each)[1] - length), batch_lines)
                    if found.lines:
                        later.append((found, each))
                        stack.enter_context(own.pop_all())
        return later

    @contextlib.contextmanager
    def _worded(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as error:
            raise LogUnwritableError(
                f"the monitor log {self._path} cannot be written:"
                f" the folder {self._path.parent} does not exist"
            ) from error
        except OSError as error:
            raise LogUnwritableError(
                f"the monitor log {self._path} cannot be written: {error.strerror}"
            ) from error
