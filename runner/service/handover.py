"""Replaces the running program by the installed one, in the same process (execve(2)).

A runner and a worker of a fleet do so. The processes of executions stay children, so no
exit code gets lost, and the locks stay held, so no other program comes in between.
Everything else is in the store or in the worker's notes, from which every start goes on.
What the new program cannot read there comes in a file in memory, whose descriptor is in the
environment. Touches this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any, NoReturn, Self

from runner.execution.handed_over import HandedOver
from runner.execution.trees import proc
from runner.lifecycle import Reason
from runner.service.beside.child_pipe import HandedChild
from runner.system import early_signals

_VARIABLE = "_RUNNER_HANDOVER"
_VERSION = 1
"""A program that does not know the version adopts the processes as after a crash."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """What a program hands over to the one that replaces it. Descriptors are inherited."""

    folder_lock: int
    """The lock of the state folder, or of the worker's folder."""
    jobs_lock: int | None = None
    """None if the program does not lock the jobs folder, or could not."""
    processes: tuple[HandedOver, ...] = ()
    worker: HandedChild | None = None
    """The worker beside a runner; None if none runs."""

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
                # A program from before workers restarted in place writes `store_lock` alone.
                worker = content.get("worker")
                return cls(
                    folder_lock=content.get("folder_lock") or content["store_lock"],
                    jobs_lock=content["jobs_lock"],
                    processes=tuple(map(_process, content["processes"])),
                    worker=None if worker is None else HandedChild(**worker),
                )
        _close_inherited()
        return None

    def write(self) -> int:
        """Write the handover to a file in memory; return its descriptor, to be inherited."""
        descriptor = os.memfd_create("handover", 0)
        content = {"version": _VERSION, "pid": os.getpid(), **asdict(self)}
        os.write(descriptor, json.dumps(content).encode())
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def _close_inherited() -> None:
    """Give up what a former program left open: this one must take the locks itself."""
    for descriptor in map(int, proc.names("/proc/self/fd")):
        with suppress(OSError):  # the descriptor of this listing is closed by now
            if descriptor > 2 and os.get_inheritable(descriptor):
                os.close(descriptor)


def _process(content: dict[str, Any]) -> HandedOver:
    reason = content["stopped_for"]
    return HandedOver(
        **{
            **content,
            "secrets": tuple(content["secrets"]),
            "stopped_for": None if reason is None else Reason(reason),
        }
    )


def replace_program(
    handover: Handover,
    environment: Mapping[bytes, bytes],
    command: Sequence[str] | None = None,
) -> NoReturn:
    """Start the installed program in this process, by default with the same arguments.

    `environment` is that of this program's own start: the runner has since taken out what is
    meant for it alone, such as NOTIFY_SOCKET. Signals that arrive meanwhile wait for the new
    program, which takes them at its start. Raises OSError if the program cannot be started;
    then the executions go on like after a crash.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, early_signals.NOTED)
    for number in early_signals.take():
        os.kill(os.getpid(), number)
    handed = {_VARIABLE.encode(): str(handover.write()).encode()}
    program = command[0] if command else sys.executable
    arguments = list(command or sys.orig_argv)
    os.execve(program, arguments, {**environment, **handed})
