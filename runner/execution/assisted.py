"""Starting processes, those by the launcher that posix_spawn alone cannot; it answers
in a report. Touches processes.

The runner never waits for the launcher. So what is found out by it is known when the
execution ends: that its directory does not exist, for instance.
"""

from __future__ import annotations

import marshal
import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING

from runner.execution import native_spawn
from runner.execution.child.program import SpawnError, cause, unfit
from runner.execution.open_files import former_limit
from runner.execution.report import Report, forms_of, memory_file, open_report
from runner.execution.spawn import Launch, open_output, start_program
from runner.execution.users import resolve
from runner.requests.model import Limits

if TYPE_CHECKING:
    from runner.execution.child.orders import Orders
    from runner.execution.trees.cgroups import Cgroups

_CHILD = Path(__file__).parent / "child"
_LAUNCHER, _CALLING = str(_CHILD / "launcher.py"), str(_CHILD / "calling.py")
_OWN_LOADER = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
_MOST = 2**62  # what the system takes for a bound at all, and more than there is


def is_plain(launch: Launch) -> bool:
    """Tell whether posix_spawn can do all that is asked."""
    return (
        native_spawn.knows_directories()
        and launch.stdin is None
        and launch.run_as is None
        and launch.umask is None
        and launch.nice is None
        and launch.limits is None
        and not (launch.secrets or launch.is_callable or launch.is_stderr_told)
    )


def start(launch: Launch, cgroups: Cgroups | None) -> tuple[int, Report | None]:
    """Start a process in a session of its own, by the launcher if it must be; then it
    joins a cgroup, where there are.

    Raises SpawnError for what can be known before; then nothing is left open, and no cgroup.
    """
    return (start_program(launch), None) if is_plain(launch) else _assist(launch, cgroups)


def _assist(launch: Launch, cgroups: Cgroups | None) -> tuple[int, Report]:
    if reason := unfit(launch.arguments, launch.environment):
        raise SpawnError(reason)
    try:
        report = open_report(launch.secrets)
    except OSError as error:
        raise SpawnError(f"the system has no room for another process ({cause(error)})") from None
    try:
        return _start_launcher(launch, cgroups, report), report
    except BaseException:
        report.close()
        if cgroups is not None:
            cgroups.remove(launch.execution)
        raise


def _start_launcher(launch: Launch, cgroups: Cgroups | None, report: Report) -> int:
    orders = _orders(launch, cgroups, report)
    output = open_output(launch.output_file)
    try:
        with _written(marshal.dumps(dict(orders))) as descriptor:
            return native_spawn.spawn(
                sys.executable,
                (sys.executable, "-I", "-S", _LAUNCHER, str(descriptor)),
                # what the program is given would change how Python itself works
                {**_OWN_LOADER, "LC_CTYPE": "C.UTF-8", "RUNNER_EXECUTION_ID": launch.execution},
                output=output,
                passed=(descriptor, report.descriptor),
            )
    except OSError as error:
        raise SpawnError(
            f"its launcher {sys.executable!r} cannot be started: {cause(error)}"
        ) from None
    finally:
        os.close(output)


def _orders(launch: Launch, cgroups: Cgroups | None, report: Report) -> Orders:
    identity = resolve(launch.run_as) if launch.run_as else None
    limits = launch.limits or Limits()
    return {
        "arguments": _called(launch, report) if launch.is_callable else list(launch.arguments),
        "environment": {**(identity.told if identity else {}), **launch.environment},
        "directory": launch.directory,
        "report": report.descriptor,
        "is_reporting": launch.is_callable,
        "stdin": None if launch.stdin is None else _stdin(launch.stdin),
        "limits": list(_early(limits)),
        "late_limits": list(_late(limits, cgroups)),
        "nice": launch.nice,
        "umask": launch.umask,
        "identity": (identity.uid, identity.gid, list(identity.groups))
        if identity and not identity.is_ours
        else None,
        "secrets": _secrets(launch.secrets),
        "is_stderr_told": launch.is_stderr_told,
        "cgroup": _cgroup(launch.execution, limits, cgroups),
    }


def _stdin(text: str) -> bytes:
    with _fit("stdin"):
        return text.encode("utf-8", "surrogateescape")


def _secrets(secrets: frozenset[str]) -> list[bytes]:
    with _fit("a secret"):
        return forms_of(secrets)


@contextmanager
def _fit(what: str) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        raise SpawnError(f"{what} contains a character that no program can be given") from None


def _called(launch: Launch, report: Report) -> list[str]:
    """Call it by our own Python, without our own folder on its path (-P)."""
    return [sys.executable, "-P", _CALLING, str(report.descriptor), launch.arguments[0]]


def _early(limits: Limits) -> Iterator[tuple[int, int, int]]:
    """Return the limits of each process: after its processor time a signal, SIGXCPU,
    and a second later KILL; as many open files as it would have if we had not raised
    our own limit.
    """
    if limits.cpu is not None:
        seconds = max(1, ceil(limits.cpu.total_seconds()))
        yield resource.RLIMIT_CPU, seconds, seconds + 1
    if limits.open_files is not None:
        files = min(limits.open_files, _MOST)
        yield resource.RLIMIT_NOFILE, files, files
    elif (former := former_limit()) is not None:
        yield resource.RLIMIT_NOFILE, *former


def _late(limits: Limits, cgroups: Cgroups | None) -> Iterator[tuple[int, int, int]]:
    """Return what would keep the launcher itself from its work: where no cgroup can,
    addresses bound the memory.
    """
    if limits.memory is not None and not _can(cgroups, "memory"):
        memory = min(limits.memory, _MOST)
        yield resource.RLIMIT_AS, memory, memory


def _cgroup(execution: str, limits: Limits, cgroups: Cgroups | None) -> str | None:
    if limits.processes is not None and not _can(cgroups, "pids"):
        raise SpawnError(
            "limits.processes needs a delegated cgroup v2 with the pids controller, which this runner does not have"
        )
    if cgroups is None:
        return None
    memory = limits.memory if _can(cgroups, "memory") else None
    return str(cgroups.create(execution, memory=memory, processes=limits.processes))


def _can(cgroups: Cgroups | None, controller: str) -> bool:
    return cgroups is not None and controller in cgroups.controllers


@contextmanager
def _written(content: bytes) -> Iterator[int]:
    """Have content in memory behind a descriptor, to be read from its begin. Raises OSError."""
    with open(memory_file("orders"), "r+b") as file:  # noqa: PTH123  (a descriptor)
        file.write(content)
        file.flush()
        file.seek(0)
        yield file.fileno()
