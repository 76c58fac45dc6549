"""A monitor record as one line for people: a level and a text. Reads the beginning of a
long output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from runner.execution.output import open_to_read
from runner.lifecycle import NO_MORE_FIRES, ExecutionStatus
from runner.monitor.names import who
from runner.values import clock_text, counted, listed, short_commit

_MARKS = {
    ExecutionStatus.SUCCESS: ("SUCCESS", "✓"),
    ExecutionStatus.ERROR: ("ERROR", "✗"),
    ExecutionStatus.KILLED: ("WARNING", "■"),
    ExecutionStatus.MISFIRED: ("WARNING", "~"),
    ExecutionStatus.SYSTEM_RESTART: ("WARNING", "!"),
    ExecutionStatus.SKIPPED: ("WARNING", "-"),
}
_RUNNING = "▶"
_MOST_NAMES = 8
_LONGEST_LINE = 200  # characters of an output's line that are shown
_HEAD_BYTES = 4096  # of an output file, in which its first line is searched
Line = tuple[str, str]
"""A level, as loguru names it, and a text."""


def mark_of(status: ExecutionStatus) -> str:
    """Return the character that stands for a status."""
    return _MARKS[status][1] if status in _MARKS else _RUNNING


def line_of(record: Mapping[str, Any]) -> Line:
    """Return the level and the text for a monitor record."""
    return _WORDS[record["event"]](record)


def _started(record: Mapping[str, Any]) -> Line:
    pid = f", pid {record['pid']}" if record["pid"] is not None else ""
    return "INFO", f"{_RUNNING} {who(record)}  started{pid}{_late(record)}"


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
        message = f": {record['message']}" if record["message"] else ""
        return "INFO", f"· {record['request']}  {word}{_by(record)}{message}"

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
    more = f" and {counted(len(problems) - 1, 'more problem')}" if len(problems) > 1 else ""
    kept = f"; {record['message']}" if record["message"] else ""
    return "ERROR", f"✗ rejected  {where}{hint}{more}{kept}"


def _runner_started(record: Mapping[str, Any]) -> Line:
    commit = f" at {short_commit(record['git_commit'])}" if record["git_commit"] else ""
    message = f"; {record['message']}" if record["message"] else ""
    who = f"runner {record['version']} started, pid {record['pid']}"
    count = record["requests"]
    what = f"{counted(count, 'request')} in {record['jobs']}{commit}"
    return "INFO", f"● {who}: {what}, monitor log {record['monitor_log']}{message}"


def _runner_stopped(record: Mapping[str, Any]) -> Line:
    message = f": {record['message']}" if record["message"] else ""
    return "INFO", f"● runner stopped after {clock_text(record['uptime_s'])}{message}"


def _reloaded(record: Mapping[str, Any]) -> Line:
    now, before = short_commit(record["git_commit"]), short_commit(record["git_commit_before"])
    commit = (
        f" at {now}" + (f" (before: {before})" if before not in (None, now) else "") if now else ""
    )
    return "INFO", f"↻ reloaded{commit}: {record['message']}"


def _clock_stepped(record: Mapping[str, Any]) -> Line:
    step_s, until = record["step_s"], record["reopened_until"]
    reopened = f"; fires until {until[:19]}Z run only on time" if until else ""
    way = "forward" if step_s > 0 else "back"
    return "WARNING", f"! the clock went {way} by {clock_text(abs(step_s))}{reopened}"


def _opened(record: Mapping[str, Any]) -> Line:
    return "WARNING", f"! alert: {_alert(record)}"


def _closed(record: Mapping[str, Any]) -> Line:
    return "INFO", f"· alert closed: {_alert(record)}"


def _alert(record: Mapping[str, Any]) -> str:
    return f"{record['request'] or 'the runner'}: {record['check']}, {record['message']}"


def _notified(record: Mapping[str, Any]) -> Line:
    return "INFO", f"· notified {record['receiver']}: {_alerts(record)}"


def _not_notified(record: Mapping[str, Any]) -> Line:
    at = record["retry_at"]
    then = f"; next attempt at {at[:19]}Z" if at else "; no further attempt"
    head = f"! {record['receiver']} was not notified of {_alerts(record)}"
    return "WARNING", f"{head}: {record['message']}{then}"


def _alerts(record: Mapping[str, Any]) -> str:
    names, count = record["alerts"], record["alerts_count"]
    return names[0] if count == 1 and names else f"{count} alerts"


def _paused(record: Mapping[str, Any]) -> Line:
    end = record["paused_until"]
    until = f" until {end[:19]}Z" if end else ""
    return "WARNING", f"‖ {_held(record)}  paused{_by(record)}{until}: {record['message']}"


def _resumed(record: Mapping[str, Any]) -> Line:
    return "WARNING", f"‖ {_held(record)}  resumed{_by(record)} (paused for: {record['message']})"


def _held(record: Mapping[str, Any]) -> str:
    names = record["paused"]
    return "all requests" if names is None else listed(names, _MOST_NAMES)


def _by(record: Mapping[str, Any]) -> str:
    return f" by {record['requested_by']}" if record["requested_by"] else ""


def _leading(record: Mapping[str, Any]) -> Line:
    former = record["former_node"]
    after = f", after {former}" if former not in (None, record["node"]) else ""
    message = f": {record['message']}" if record["message"] else ""
    return "INFO", f"● {record['node']} leads{after}{message}"


def _standby(record: Mapping[str, Any]) -> Line:
    message = f": {record['message']}" if record["message"] else ""
    return "INFO", f"● {record['node']} stands by{message}"


def _joined(record: Mapping[str, Any]) -> Line:
    return "INFO", f"● the worker {record['node']} joined: {record['message']}"


def _lost(record: Mapping[str, Any]) -> Line:
    return "WARNING", f"● the worker {record['node']} is lost: {record['message']}"


def _changed(record: Mapping[str, Any]) -> Line:
    if record["action"] == "login":
        return "INFO", f"· {record['requested_by']} logged in"
    targets = record["targets"]
    what = "all requests" if targets is None else listed(targets or ["the runner"], _MOST_NAMES)
    message = f": {record['message']}" if record["message"] else ""
    return "INFO", f"· {what}  {record['action']} by {record['requested_by']}{message}"


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
    "alert.opened": _opened,
    "alert.closed": _closed,
    "notification.sent": _notified,
    "notification.failed": _not_notified,
    "runner.paused": _paused,
    "runner.resumed": _resumed,
    "runner.leading": _leading,
    "runner.standby": _standby,
    "worker.joined": _joined,
    "worker.lost": _lost,
    "web.changed": _changed,
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

    The record holds only the end of a long output; its beginning is read from the output
    file.
    """
    text = record["output_tail"] or ""
    if record["output_truncated"] and record.get("output_file") is None:
        return ""  # it is on another machine
    if record["output_truncated"]:
        try:
            with open_to_read(record["output_file"]) as output:
                text = output.read(_HEAD_BYTES).decode(errors="replace")
        except OSError:
            return ""  # pruned, or replaced by its process
    return next((line.strip() for line in text.splitlines() if line.strip()), "")
