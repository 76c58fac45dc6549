"""The settings of a process that a member does not inherit, each from its key. Pure."""

from __future__ import annotations

import signal
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from runner.lifecycle import IfInterrupted, OnOverlap
from runner.requests.findings import nearest, shown
from runner.requests.model import Condition, Limits, Retry, RunAs, Success
from runner.values import duration_text

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from runner.requests.building.document_part import Part

_STOP_GRACE = timedelta(seconds=10)
_RETRY_DELAY = timedelta(seconds=1)
_CONDITION_TIMEOUT = timedelta(seconds=30)


def _limits(part: Part) -> Limits:
    """Build the resource limits."""
    return Limits(
        memory=part.size("memory"),
        cpu=part.duration("cpu", None, above_zero=True),
        open_files=part.data.get("open_files"),
        processes=part.data.get("processes"),
    )


def _condition(part: Part) -> Condition:
    return Condition(
        command=tuple(part.data.get("command", ())),
        shell=part.data.get("shell", ""),
        timeout=part.duration("timeout", _CONDITION_TIMEOUT, above_zero=True),
    )


def _success(part: Part) -> Success:
    return Success(
        exit_codes=frozenset(part.data.get("exit_codes", (0,))),
        fail_on_stderr=part.data.get("fail_on_stderr", False),
        fail_on_output=tuple(part.data.get("fail_on_output", ())),
    )


def _retry(part: Part) -> Retry:
    """Build the retry settings; `max_delay` must not be shorter than `delay`."""
    delay, longest = part.duration("delay", _RETRY_DELAY), part.duration("max_delay", None)
    if longest is not None and longest < delay:
        message = f"`max_delay` should not be shorter than `delay`, which is {duration_text(delay)}"
        part.find(("max_delay",), message)
    codes = part.data.get("exit_codes")
    return Retry(
        attempts=part.data["attempts"],
        delay=delay,
        backoff=float(part.data.get("backoff", 1)),
        max_delay=longest,
        exit_codes=None if codes is None else frozenset(codes),
    )


def _signal(part: Part) -> int:
    """Return the number of the stop signal, with or without `SIG`."""
    name = part.data["stop_signal"].removeprefix("SIG")
    try:
        return signal.Signals[f"SIG{name}"]
    except KeyError:
        names = [each.name.removeprefix("SIG") for each in signal.Signals]
        suggestion = nearest(name, names) or "for example INT"
        part.find(
            ("stop_signal",), f"there is no signal {shown(part.data['stop_signal'])}", suggestion
        )
        return signal.SIGTERM


SETTINGS: Mapping[str, Callable[[Part], Any]] = {
    "if": lambda part: _condition(part.below("if")),
    "stdin": lambda part: part.data["stdin"],
    "run_as": lambda part: RunAs(**part.data["run_as"]),
    "umask": lambda part: int(part.data["umask"], 8),
    "nice": lambda part: part.data["nice"],
    "limits": lambda part: _limits(part.below("limits")),
    "timeout": lambda part: part.duration("timeout", None, above_zero=True),
    "stop_signal": _signal,
    "stop_grace": lambda part: part.duration("stop_grace", _STOP_GRACE),
    "prevent_concurrent": lambda part: part.data["prevent_concurrent"],
    "on_overlap": lambda part: OnOverlap(part.data["on_overlap"]),
    "success": lambda part: _success(part.below("success")),
    "retry": lambda part: _retry(part.below("retry")),
    "output_limit": lambda part: part.size("output_limit"),
    "scheduled": lambda part: part.data["scheduled"],
    "if_interrupted": lambda part: IfInterrupted(part.data["if_interrupted"]),
}
"""The readers of keys that are never inherited."""
FIELDS: Mapping[str, str] = {"if": "condition"}
"""The model's names of keys that have another name there: `if` is a word of Python."""
