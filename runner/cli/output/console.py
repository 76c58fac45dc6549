"""The console of `start`: each monitor record and each diagnostic as one readable line
on stderr.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any

from loguru import logger

from runner.cli.output.fitting import cut, terminal_columns
from runner.cli.output.tables import (
    NO_MORE_FIRES,
    json_line,
    short_commit,
    shown_line,
    style,
    unstyle,
    who,
    width_of,
)
from runner.execution.output import open_to_read
from runner.lifecycle import ExecutionStatus
from runner.timing.zones import zone_named
from runner.values import clock_text, neutral, parse_instant

_MARKS = {
    ExecutionStatus.SUCCESS: ("SUCCESS", "✓"),
    ExecutionStatus.ERROR: ("ERROR", "✗"),
    ExecutionStatus.KILLED: ("WARNING", "■"),
    ExecutionStatus.MISFIRED: ("WARNING", "~"),
    ExecutionStatus.SYSTEM_RESTART: ("WARNING", "!"),
    ExecutionStatus.SKIPPED: ("WARNING", "-"),
}
_LONGEST_LINE = 200  # characters of an output's line that are shown
_HEAD_BYTES = 4096  # of an output file, in which its first line is searched
_COLOURS = {"SUCCESS": "green", "ERROR": "red", "WARNING": "yellow"}
Line = tuple[str, str]
"""A level, as loguru names it, and a text."""


class Console:
    """Prints records once they are durable. `log_format` is "text" (coloured on a
    terminal) or "json".

    loguru hands the runner's own diagnostics over in the same form. Records bypass
    loguru, which would cost as much per line as starting a process.
    """

    def __init__(self, log_format: str, zone: str) -> None:
        self.zone: Callable[[], str] = lambda: zone
        """Returns the IANA key of the zone that the console's times are in."""
        self._unshown = 0
        self._is_json = log_format == "json"
        self._is_coloured = sys.stderr.isatty() and "NO_COLOR" not in os.environ
        logger.remove()
        # A diagnostic must not print the values of local variables: they may be secrets.
        logger.add(self._show_diagnostic, format="{message}", diagnose=False, backtrace=False)

    def show(self, record: Mapping[str, Any]) -> None:
        """Print one record."""
        level, text = line_of(record)
        self._print(parse_instant(record["time"]), level, text)
        if record["event"] == "request.rejected" and record["problems"] and not self._is_json:
            self._point_at(record["problems"][0])

    def _point_at(self, problem: Mapping[str, Any]) -> None:
        from runner.cli.output.problems import excerpt
        from runner.requests.files.outside_files import UNSHOWN

        if UNSHOWN not in problem["message"]:
            columns = terminal_columns(sys.stderr)
            for line in excerpt(problem["file"], problem["line"], problem["column"]):
                self._write(
                    line
                    if columns is None or width_of(line) <= columns
                    else cut(neutral(unstyle(line)), columns)
                )

    def _show_diagnostic(self, message: Any) -> None:
        entry = message.record
        for line in str(message).rstrip().split("\n"):
            self._print(entry["time"], entry["level"].name, line)

    def _print(self, at: datetime, level: str, text: str) -> None:
        local = at.astimezone(zone_named(self.zone()))
        if self._is_json:
            self._write(json_line({"time": local.isoformat(), "level": level, "message": text}))
            return
        margin = f"{local:%H:%M:%S}  "
        for line in self._fitting(level, text, len(margin)):
            self._write(margin + self._coloured(level, line))
            margin = " " * len(margin)

    def _fitting(self, level: str, text: str, margin: int) -> Sequence[str]:
        """Return a text as lines that fit the terminal. A success is cut to one line;
        anything else wraps.
        """
        columns = terminal_columns(sys.stderr)
        if columns is None or len(text) + margin <= columns:
            return (text,)
        room = max(columns - margin, 20)
        if level == "SUCCESS":
            return (cut(neutral(text), room),)
        from textwrap import wrap

        return wrap(neutral(text), room, break_on_hyphens=False, drop_whitespace=True) or ("",)

    def _write(self, line: str) -> None:
        # The reader may be gone (`runner start 2>&1 | head`) or pause (`| less`, Ctrl-S). A
        # write that blocks would stop the loop, so such lines are counted and dropped.
        with suppress(OSError):
            if not _has_room():
                self._unshown += 1
                return
            unshown, self._unshown = self._unshown, 0
            if unshown:
                self._show_unshown(unshown)
            print(shown_line(line, is_coloured=self._is_coloured), file=sys.stderr, flush=True)

    def _show_unshown(self, count: int) -> None:
        lines = "1 line was" if count == 1 else f"{count} lines were"
        self._print(
            datetime.now(zone_named(self.zone())),
            "WARNING",
            f"{lines} not shown here: the console was not being read",
        )

    def _coloured(self, level: str, text: str) -> str:
        return style(text, fg=_COLOURS[level]) if level in _COLOURS else text


def _has_room() -> bool:
    """Return whether a line can be written without blocking. Raises OSError.

    poll(2) reports a pipe as writable only when it has room for PIPE_BUF (4096) bytes.
    """
    try:
        descriptor = sys.stderr.fileno()
    except io.UnsupportedOperation:
        return True
    poll = select.poll()
    poll.register(descriptor, select.POLLOUT)
    return bool(poll.poll(0))


def line_of(record: Mapping[str, Any]) -> Line:
    """Return the level and the text for a monitor record."""
    return _WORDS[record["event"]](record)


def _started(record: Mapping[str, Any]) -> Line:
    pid = f", pid {record['pid']}" if record["pid"] is not None else ""
    return "INFO", f"▶ {who(record)}  started{pid}{_late(record)}"


def _finished(record: Mapping[str, Any]) -> Line:
    level, mark = _MARKS[ExecutionStatus(record["status"])]
    took = f" in {clock_text(record['duration_s'])}" if record["started"] else ""
    message = f", {record['message']}" if record["message"] else ""
    return (
        level,
        f"{mark} {who(record)}  {record['status']}{took}{message}{_line_of_output(record)}",
    )


def _request(word: str) -> Callable[[Mapping[str, Any]], Line]:
    def words(record: Mapping[str, Any]) -> Line:
        by = f" by {record['requested_by']}" if record["requested_by"] else ""
        message = f": {record['message']}" if record["message"] else ""
        return "INFO", f"· {record['request']}  {word}{by}{message}"

    return words


def _rejected(record: Mapping[str, Any]) -> Line:
    problems = record["problems"]
    first = problems[0] if problems else None
    where = (
        f"{first['file']}:{first['line']}:{first['column']}: {first['message']}"
        if first
        else record["request_file"]
    )
    hint = f" ({first['suggestion']})" if first and first["suggestion"] else ""
    more = (
        f" and {len(problems) - 1} more problem{'s' * (len(problems) > 2)}"
        if len(problems) > 1
        else ""
    )
    kept = f"; {record['message']}" if record["message"] else ""
    return "ERROR", f"✗ rejected  {where}{hint}{more}{kept}"


def _runner_started(record: Mapping[str, Any]) -> Line:
    commit = f" at {short_commit(record['git_commit'])}" if record["git_commit"] else ""
    message = f"; {record['message']}" if record["message"] else ""
    who = f"runner {record['version']} started, pid {record['pid']}"
    count = record["requests"]
    what = f"{count} request{'s' * (count != 1)} in {record['jobs']}{commit}"
    return "INFO", f"● {who}: {what}, monitor log {record['monitor_log']}{message}"


def _runner_stopped(record: Mapping[str, Any]) -> Line:
    return "INFO", f"● runner stopped after {clock_text(record['uptime_s'])}"


def _reloaded(record: Mapping[str, Any]) -> Line:
    now, before = short_commit(record["git_commit"]), short_commit(record["git_commit_before"])
    commit = (
        f" at {now}" + (f", before at {before}" if before not in (None, now) else "") if now else ""
    )
    return "INFO", f"↻ reloaded{commit}: {record['message']}"


def _clock_stepped(record: Mapping[str, Any]) -> Line:
    step_s, until = record["step_s"], record["reopened_until"]
    reopened = f"; fires until {until[:19]}Z that had a verdict run only on time" if until else ""
    way = "forward" if step_s > 0 else "back"
    return "WARNING", f"! the clock went {way} by {clock_text(abs(step_s))}{reopened}"


_WORDS: Mapping[str, Callable[[Mapping[str, Any]], Line]] = {
    "execution.started": _started,
    "execution.finished": _finished,
    "request.scheduled": _request("scheduled"),
    "request.unscheduled": _request("unscheduled"),
    "request.rescheduled": _request("rescheduled"),
    "request.completed": _request(NO_MORE_FIRES),
    "request.removed": _request("removed"),
    "request.rejected": _rejected,
    "runner.started": _runner_started,
    "runner.stopped": _runner_stopped,
    "runner.reloaded": _reloaded,
    "runner.clock_stepped": _clock_stepped,
}


def _late(record: Mapping[str, Any]) -> str:
    lateness_s = record["lateness_s"] or 0.0
    return f", {clock_text(lateness_s)} late" if lateness_s >= 1 else ""


def _line_of_output(record: Mapping[str, Any]) -> str:
    """Return the first output line of a success, or the last one of a failure, which
    often says why.
    """
    if record["status"] == ExecutionStatus.SUCCESS:
        line = _first_line(record)
    elif record["status"] == ExecutionStatus.ERROR:
        line = next(iter((record["output_tail"] or "").strip().splitlines()[-1:]), "")
    else:
        return ""
    return f" — {line[:_LONGEST_LINE]}" if line and line != record["message"] else ""


def _first_line(record: Mapping[str, Any]) -> str:
    """Return the first non-blank line of an output.

    The record holds only the end of a long output; its begin is read from the output
    file.
    """
    text = record["output_tail"] or ""
    if record["output_truncated"]:
        try:
            with open_to_read(record["output_file"]) as output:
                text = output.read(_HEAD_BYTES).decode(errors="replace")
        except OSError:
            return ""  # pruned, or replaced by its process
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
