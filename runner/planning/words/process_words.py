"""Describe a process in words. Pure.

No secret appears here: a definition has only the names of secrets.
"""

from __future__ import annotations

import shlex
import signal
from collections.abc import Iterable, Iterator
from datetime import timedelta
from typing import Any, assert_never

from runner.lifecycle import IfInterrupted, OnOverlap
from runner.requests.model import (
    DEFAULT_QUEUE,
    Action,
    Condition,
    Group,
    Limits,
    Process,
    Program,
    Python,
    Reference,
    Retry,
    RunAs,
    Shell,
    Success,
)
from runner.values import counted, duration_text, size_text

_STOP_GRACE = timedelta(seconds=10)


def action_words(action: Action) -> str:
    """Describe in one line what runs.

    >>> action_words(Program(arguments=("echo", "a b")))
    "command: echo 'a b'"
    """
    match action:
        case Program(arguments=arguments):
            return f"command: {shlex.join(arguments)}"
        case Shell(line=line):
            return f"shell: {line.strip()}"
        case Python(target=target):
            return f"python: {target}"
        case Group(members=members, stop_on_failure=stops):
            end = "until one fails" if stops else "even if one fails"
            return f"a group of {counted(len(members), 'member')}, one after another, {end}"
        case Reference(request=name):
            return f"the process of {name}"
        case _:
            assert_never(action)


def member_words(group: Process) -> list[str]:
    """Describe each member, and how it differs from its group.

    The members of a group inside the group follow it, indented.
    """
    members = group.action.members if isinstance(group.action, Group) else ()
    return [line for member in members for line in _member(member, group)]


def process_words(process: Process) -> dict[str, Any]:
    """Describe the settings of a process that differ from the defaults, by their YAML keys."""
    words: dict[str, Any] = {
        "environment": process.environment,
        "environment_file": list(process.environment_files),
        "secrets": list(process.secrets),
        "params": process.params,
        "queue": process.queue or "",
        **_settings(process),
    }
    return {key: value for key, value in words.items() if value or key in process.emptied}


def _settings(process: Process) -> dict[str, str | bool]:
    """Return the settings that members do not inherit, in words; empty for a default."""
    has_grace = process.stop_grace != _STOP_GRACE
    return {
        "if": _condition(process.condition) if process.condition else "",
        "stdin": ""
        if process.stdin is None
        else f"{counted(len(process.stdin.encode(errors='replace')), 'byte')}",
        "run_as": _run_as(process.run_as) if process.run_as else "",
        "umask": "" if process.umask is None else f"{process.umask:03o}",
        "nice": "" if process.nice is None else str(process.nice),
        "limits": ", ".join(_limits(process.limits)) if process.limits else "",
        "timeout": duration_text(process.timeout) if process.timeout else "",
        "stop_signal": ""
        if process.stop_signal == signal.SIGTERM
        else _signal_name(process.stop_signal),
        "stop_grace": duration_text(process.stop_grace) if has_grace else "",
        "prevent_concurrent": process.prevent_concurrent,
        "on_overlap": "" if process.on_overlap is OnOverlap.REFUSE else str(process.on_overlap),
        "success": ", ".join(_success(process.success)),
        "retry": ", ".join(_retry(process.retry)) if process.retry else "",
        "output_limit": size_text(process.output_limit) if process.output_limit else "",
        "scheduled": "" if process.scheduled else "false",
        "if_interrupted": ""
        if process.if_interrupted is IfInterrupted.RECORD
        else str(process.if_interrupted),
    }


def _member(member: Process, group: Process) -> Iterator[str]:
    if isinstance(member.action, Reference):
        yield "; ".join(
            [action_words(member.action), *([] if member.scheduled else ["scheduled false"])]
        )
        return
    settings = (
        key if value is True else f"{key} {value}"
        for key, value in _settings(member).items()
        if value
    )
    yield "; ".join(
        (f"{member.name}: {action_words(member.action)}", *_unlike(member, group), *settings)
    )
    yield from (f"  {line}" for line in member_words(member))


def _unlike(member: Process, group: Process) -> Iterator[str]:
    """Yield the inheritable settings in which a member differs from its group."""
    if member.directory != group.directory:
        yield f"directory {member.directory}"
    if member.environment != group.environment:
        yield f"environment {', '.join(member.environment)}"
    if member.environment_files != group.environment_files:
        yield f"environment_file {', '.join(member.environment_files)}"
    if member.secrets != group.secrets:
        yield f"secrets {', '.join(name for name in member.secrets if name not in group.secrets)}"
    if member.params != group.params:
        yield f"params {', '.join(member.params)}"
    if member.queue != group.queue:
        yield f"queue {member.queue or DEFAULT_QUEUE}"


def _condition(condition: Condition) -> str:
    return f"{action_words(condition.action)}, at most {duration_text(condition.timeout)}"


def _run_as(who: RunAs) -> str:
    return f"user {who.user}" + (f", group {who.group}" if who.group is not None else "")


def _signal_name(number: int) -> str:
    return (
        signal.Signals(number).name.removeprefix("SIG")
        if number in set(signal.Signals)
        else str(number)
    )


def _limits(limits: Limits) -> Iterator[str]:
    if limits.memory is not None:
        yield f"{size_text(limits.memory)} of memory"
    if limits.cpu is not None:
        yield f"{duration_text(limits.cpu)} of processor time"
    if limits.open_files is not None:
        yield counted(limits.open_files, "open file")
    if limits.processes is not None:
        yield counted(limits.processes, "process", "processes")


def _success(success: Success) -> Iterator[str]:
    if success.exit_codes != {0}:
        yield _codes(success.exit_codes)
    if success.fail_on_stderr:
        yield "nothing on standard error"
    if success.fail_on_output:
        yield f"none of these in the output: {', '.join(map(shlex.quote, success.fail_on_output))}"


def _retry(retry: Retry) -> Iterator[str]:
    """Yield the number of attempts, the delay, and the condition, in this order."""
    yield counted(retry.attempts, "attempt")
    if retry.attempts > 1:
        yield f"{duration_text(retry.delay)} between them"
    if retry.attempts > 2 and retry.backoff != 1:
        yield f"each time {retry.backoff:g} times as long"
    if retry.attempts > 2 and retry.max_delay is not None:
        yield f"at most {duration_text(retry.max_delay)}"
    if retry.exit_codes is not None:
        yield f"only after {_codes(retry.exit_codes)}"


def _codes(codes: Iterable[int]) -> str:
    each = sorted(codes)
    return f"exit code{'s' * (len(each) > 1)} {', '.join(map(str, each))}"
