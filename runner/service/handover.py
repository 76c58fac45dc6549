"""Replaces the running program by the installed one, in the same process (execve(2)).

The processes of executions stay children, so no exit code gets lost, and both locks stay
held, so no other runner comes in between. Everything else is in the store, from which
every start goes on. What the new program cannot read there comes in a file in memory,
whose descriptor is in the environment. Touches this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, Self

from runner.execution.handed_over import HandedOver
from runner.lifecycle import Reason
from runner.system import early_signals

_VARIABLE = "_RUNNER_HANDOVER"
_VERSION = 1
"""A program that does not know the version adopts the processes as after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a program hands over to the one that replaces it. Descriptors are inherited."""

    store_lock: int
    jobs_lock: int | None
    """None if the jobs folder could not be locked."""
    processes: tuple[HandedOver, ...]

    @classmethod
    def taken_from(cls, environment: MutableMapping[str, str]) -> Self | None:
        """Take the handover out of `environment`; None unless this program replaced one."""
        number = environment.pop(_VARIABLE, "")
        if not number.isascii() or not number.isdigit():
            return None
        with (
            suppress(OSError, ValueError, KeyError, TypeError),
            os.fdopen(int(number), "rb") as file,
        ):
            content = json.load(file)
            if content["version"] == _VERSION and content["pid"] == os.getpid():
                return cls(
                    store_lock=content["store_lock"],
                    jobs_lock=content["jobs_lock"],
                    processes=tuple(map(_process, content["processes"])),
                )
        return None

    def write(self) -> int:
        """Write the handover to a file in memory; return its descriptor, to be inherited."""
        descriptor = os.memfd_create("handover", 0)
        content = {"version": _VERSION, "pid": os.getpid(), **asdict(self)}
        os.write(descriptor, json.dumps(content).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def _process(content: dict[str, Any]) -> HandedOver:
    reason = content["stopped_for"]
    return HandedOver(
        **{
            **content,
            "secrets": tuple(content["secrets"]),
            "stopped_for": None if reason is None else Reason(reason),
        }
    )


def replace_program(handover: Handover | None, environment: Mapping[bytes, bytes]) -> NoReturn:
    """Start the installed program in this process, with the same arguments.

    Without a handover, the new program begins like any other start. `environment` is that of
    this program's own start: the runner has since taken out what is meant for it alone, such
    as NOTIFY_SOCKET. Signals that arrive meanwhile wait for the new program, which takes them
    at its start. Raises OSError if the program cannot be started; then the executions go on
    like after a crash.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, early_signals.NOTED)
    for number in early_signals.take():
        os.kill(os.getpid(), number)
    handed = {} if handover is None else {_VARIABLE.encode(): str(handover.write()).encode()}
    os.execve(sys.executable, sys.orig_argv, {**environment, **handed})
