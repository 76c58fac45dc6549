"""The writer of lines never waits for a slow reader, and says how many lines it dropped."""

from __future__ import annotations

import errno
import fcntl
import os
import select
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

from support.place import wait_until

from runner.cli.output import line_writer
from runner.cli.output.line_writer import MOST_CHARACTERS, LineWriter, write_whole

LONG = "x" * 10_000


class Pipe:
    """A pipe as small as the system allows, written by a `LineWriter`."""

    def __init__(self) -> None:
        self.read_end, self.write_end = os.pipe()
        fcntl.fcntl(self.write_end, fcntl.F_SETPIPE_SZ, 4096)
        self.writer = writer_to(lambda text: write_whole(self.write_end, f"{text}\n".encode()))
        self._text = b""
        self._is_read = True

    def close_reader(self) -> None:
        """Stop reading: no further write waits."""
        if self._is_read:
            self._is_read = False
            os.close(self.read_end)

    def close(self) -> None:
        """Close both ends, the other one once nobody writes: its number may be used again."""
        self.close_reader()
        self.writer.close()
        if self.writer._thread is not None:
            self.writer._thread.join()
        os.close(self.write_end)

    def text_until(self, end: str) -> str:
        """Read until the text ends with a line."""

        def is_read() -> bool:
            if select.select([self.read_end], [], [], 1.0)[0]:
                self._text += os.read(self.read_end, 2**16)
            return self._text.endswith(f"{end}\n".encode())

        wait_until(is_read, what=end)
        return self._text.decode()


def writer_to(
    write: Callable[[str], object], report: Callable[[OSError | None], None] = lambda _: None
) -> LineWriter:
    return LineWriter("test", write, notice=lambda count: f"{count} are missing", report=report)


@contextmanager
def unread_pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    try:
        yield pipe
    finally:
        pipe.close()


def test_lines_are_written_in_order_many_at_once() -> None:
    writes: list[str] = []
    writer = writer_to(writes.append)
    for number in range(1000):
        writer.add(str(number))
    writer.close()
    assert "\n".join(writes).split("\n") == [str(number) for number in range(1000)]
    assert all(text.count("\n") < line_writer.LINES_AT_ONCE for text in writes)


def test_adding_to_an_unread_pipe_never_waits_and_dropped_lines_are_counted() -> None:
    with unread_pipe() as pipe:
        for number in range(1000):
            pipe.writer.add(f"{number} {LONG}")
        assert pipe.writer._characters < MOST_CHARACTERS + len(LONG) + 10
        lines = pipe.text_until("are missing").splitlines()
        assert lines[:-1] == [f"{number} {LONG}" for number in range(len(lines) - 1)]
        assert lines[-1] == f"{1000 - len(lines) + 1} are missing"
        assert len(lines) > MOST_CHARACTERS / (len(LONG) + 10)
        pipe.writer.add("read again")
        assert pipe.text_until("read again").splitlines()[-2:] == [lines[-1], "read again"]
        pipe.writer.close()


def test_closing_does_not_wait_long_for_a_reader() -> None:
    with unread_pipe() as pipe:
        for _ in range(100):
            pipe.writer.add(LONG)
        assert not pipe.writer.close()
        thread = pipe.writer._thread
        assert thread is not None
        assert thread.is_alive(), "it waits for the reader"
        assert thread.daemon, "the program ends without it"
        pipe.text_until(LONG)


def test_the_end_of_the_reader_is_no_error() -> None:
    with unread_pipe() as pipe:
        pipe.close_reader()
        for number in range(100):
            pipe.writer.add(str(number))
        assert pipe.writer.close()


def test_a_pipe_that_another_program_made_non_blocking_loses_no_line() -> None:
    with unread_pipe() as pipe:
        os.set_blocking(pipe.write_end, False)
        for number in range(90):
            pipe.writer.add(f"{number} {LONG}")
        assert pipe.text_until(f"89 {LONG}").splitlines() == [
            f"{number} {LONG}" for number in range(90)
        ]
        pipe.writer.close()


def test_failing_writes_are_reported_once_and_the_lost_lines_before_the_next_one() -> None:
    reports: list[OSError | None] = []
    written: list[str] = []
    is_full = True

    def write(text: str) -> None:
        if is_full:
            raise OSError(errno.ENOSPC, "full")
        written.append(text)

    writer = writer_to(write, reports.append)
    for count in (1, 2, 3):
        writer.add("lost")
        wait_until(partial(lambda count: writer._dropped == count, count), what="a failed write")
    is_full = False
    writer.add("kept")
    writer.close()
    assert written == ["3 are missing\nkept"]
    assert [error and error.errno for error in reports] == [errno.ENOSPC, None]
