"""The console of `start`: loguru's sink, which writes readable lines to stderr and to a
log file.

Monitor records and the runner's own diagnostics both go through loguru.
"""

from __future__ import annotations

import copy
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from loguru import logger

from runner.access.shown.event_words import line_of
from runner.cli.output.fitting import cut, terminal_columns
from runner.cli.output.line_writer import LineWriter, to_stderr
from runner.cli.output.tables import json_line, shown_line, style, unstyle, width_of
from runner.errors import UsageError
from runner.system.background_calls import BackgroundThread, Pending
from runner.timing.zones import zone_named
from runner.values import neutral, parse_instant

if TYPE_CHECKING:
    from loguru import Message
    from loguru import Record as Entry

ROTATION = "10 MB"
KEPT_FILES = 5
_COLOURS = {"SUCCESS": "green", "ERROR": "red", "WARNING": "yellow"}
_CLOCK_WIDTH = len("12:34:56  ")
_PATIENCE_S = 0.2
"""How long a line waits for the file that it is about, in seconds."""


class Console:
    """Prints records and diagnostics. Enter it to replace loguru's handlers.

    `log_format` is "text" (coloured on a terminal) or "json". Lines below `level` are
    left out. `zone` is the IANA key of the zone of the times. `log_file` receives the
    same lines. Leaving waits at most some seconds for a reader that does not read.
    """

    def __init__(
        self, log_format: str, zone: str, *, level: str = "info", log_file: Path | None = None
    ) -> None:
        """Raises UsageError if the log file cannot be opened."""
        self.zone: Callable[[], str] = lambda: zone
        """Returns the IANA key of the zone that the console's times are in."""
        self._is_json = log_format == "json"
        self._is_terminal = sys.stderr.isatty()
        self._is_coloured = self._is_terminal and "NO_COLOR" not in os.environ
        self._level = level.upper()
        logger.remove()
        self._file = None if log_file is None else self._writer_of(log_file)
        self._stderr = LineWriter(
            "console",
            to_stderr(),
            notice=partial(self._notice, is_file=False),
        )
        self._background = BackgroundThread("excerpts")
        self._reading: Pending[tuple[str, ...]] | None = None
        self._at = datetime.now(UTC)
        self._events = logger.patch(self._set_time)

    def __enter__(self) -> Self:
        # A diagnostic must not print the values of local variables: they may be secrets.
        logger.add(
            self._print, level=self._level, format="{message}", diagnose=False, backtrace=False
        )
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def close(self) -> None:
        """Write what waits; give up after some seconds."""
        logger.remove()
        if self._file is not None:
            self._file.close()
        if not self._stderr.close():
            # Nobody reads it. The program may still print why it ends: that must not hang.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())

    def show(self, record: Mapping[str, Any]) -> None:
        """Print one monitor record, with the time of its event."""
        level, text = line_of(record)
        self._at = parse_instant(record["time"])
        if record["event"] == "request.rejected" and record["problems"]:
            self._events.bind(problem=record["problems"][0]).log(level, text)
        else:
            self._events.log(level, text)

    def _set_time(self, entry: Entry) -> None:
        entry["time"] = self._at

    def _print(self, message: Message) -> None:
        entry = message.record
        for line in self._lines(entry):
            self._stderr.add(shown_line(line, is_coloured=self._is_coloured))
        if self._file is not None:
            for line in self._file_lines(entry):
                self._file.add(shown_line(line, is_coloured=False))

    def _lines(self, entry: Entry) -> Iterator[str]:
        """Yield the lines for the terminal, with style marks."""
        if self._is_json:
            yield self._json(entry["time"], entry["level"].name, _text_of(entry))
            return
        level, at = entry["level"].name, entry["time"].timestamp()
        margin = f"{_clock_text(int(at), self.zone())}  "
        for text in _texts_of(entry):
            for line in _fitting(level, text) if self._is_terminal else (text,):
                yield margin + _coloured(level, line)
                margin = " " * _CLOCK_WIDTH
        if "problem" in entry["extra"]:
            yield from self._excerpt(entry["extra"]["problem"])

    def _excerpt(self, problem: Mapping[str, Any]) -> Sequence[str]:
        """Return the lines of the file around a problem; none while a file does not answer."""
        if self._reading is not None and not self._reading.is_over:
            return ()
        self._reading = self._background.begin(lambda: tuple(_excerpt_fitting(problem)))
        return self._reading.result() if self._reading.wait(_PATIENCE_S) else ()

    def _file_lines(self, entry: Entry) -> Iterator[str]:
        level = entry["level"].name
        if self._is_json:
            yield self._json(entry["time"], level, _text_of(entry))
            return
        for text in _texts_of(entry):
            yield self._dated(entry["time"], level, text)

    def _json(self, at: datetime, level: str, text: str) -> str:
        local = at.astimezone(zone_named(self.zone()))
        return json_line({"time": local.isoformat(), "level": level, "message": text})

    def _dated(self, at: datetime, level: str, text: str) -> str:
        local = at.astimezone(zone_named(self.zone()))
        return f"{local.isoformat(sep=' ', timespec='seconds')}  {level:7}  {text}"

    def _notice(self, count: int, *, is_file: bool) -> str:
        """Return the line that says how many lines are missing, and why."""
        lines = "1 line is" if count == 1 else f"{count} lines are"
        why = "writing failed or took too long" if is_file else "the console was not being read"
        now, text = datetime.now(UTC), f"{lines} missing here: {why}"
        if self._is_json:
            return self._json(now, "WARNING", text)
        if is_file:
            return self._dated(now, "WARNING", text)
        margin = f"{_clock_text(int(now.timestamp()), self.zone())}  "
        return shown_line(margin + _coloured("WARNING", text), is_coloured=self._is_coloured)

    def _writer_of(self, path: Path) -> LineWriter:
        """Return a writer to a log file that loguru rotates."""
        # A logger of its own, so that its handler runs in the writer's thread only: a
        # hung disk must not hold a lock that the loop needs.
        to_file = copy.deepcopy(logger)
        try:
            to_file.add(
                str(path).replace("{", "{{").replace("}", "}}"),
                level=0,
                format="{message}",
                rotation=ROTATION,
                retention=KEPT_FILES,
                opener=_open_file,
                errors="backslashreplace",
                catch=False,
                diagnose=False,
                backtrace=False,
            )
        except OSError as error:
            raise UsageError(f"the log file {path} cannot be written: {error.strerror}") from error

        def report(error: OSError | None) -> None:
            if error is None:
                logger.info("the log file works again")
            else:
                logger.warning("the log file {} cannot be written: {}", path, error.strerror)

        return LineWriter(
            "log file", to_file.info, notice=partial(self._notice, is_file=True), report=report
        )


def _text_of(entry: Entry) -> str:
    return "\n".join(_texts_of(entry))


def _texts_of(entry: Entry) -> list[str]:
    """Return the message, followed by the lines of a traceback if it has one.

    A newline in the message stays there, and is escaped when it is printed.
    """
    texts = [entry["message"]]
    if (raised := entry["exception"]) is not None and raised.type is not None:
        from traceback import format_exception

        lines = format_exception(raised.type, raised.value, raised.traceback)
        texts += "".join(lines).rstrip().split("\n")
    return texts


@lru_cache(maxsize=4)
def _clock_text(second: int, zone: str) -> str:
    """Return the time of day. Many lines of a burst have the same second."""
    return f"{datetime.fromtimestamp(second, zone_named(zone)):%H:%M:%S}"


def _fitting(level: str, text: str) -> Sequence[str]:
    """Return a text as lines that fit the terminal beside the time. A success is cut to
    one line; anything else wraps.
    """
    columns = terminal_columns(sys.stderr)
    if columns is None or len(text) + _CLOCK_WIDTH <= columns:
        return (text,)
    room = max(columns - _CLOCK_WIDTH, 20)
    if level == "SUCCESS":
        return (cut(neutral(text), room),)
    from textwrap import wrap

    return wrap(neutral(text), room, break_on_hyphens=False, drop_whitespace=True) or ("",)


def _excerpt_fitting(problem: Mapping[str, Any]) -> Iterator[str]:
    """Yield the line of the file that a problem is in, with a caret below it."""
    from runner.cli.output.problems import excerpt
    from runner.requests.files.outside_files import UNSHOWN

    if UNSHOWN in problem["message"]:
        return
    columns = terminal_columns(sys.stderr)
    for line in excerpt(problem["file"], problem["line"], problem["column"]):
        is_fitting = columns is None or width_of(line) <= columns
        yield line if is_fitting else cut(neutral(unstyle(line)), columns or 0)


def _coloured(level: str, text: str) -> str:
    return style(text, fg=_COLOURS[level]) if level in _COLOURS else text


def _open_file(path: str, flags: int) -> int:
    """Open a log file. Follow no link, and wait for no reader of a FIFO in its place."""
    flags |= os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    return os.open(path, flags, 0o640)
