"""Starts processes, with a launcher where posix_spawn is not enough. Touches processes.

The launcher is a small program in `child/`. It sets users, limits and stdin in the new
process and then becomes the program. The runner never waits for it: the launcher writes
a failure, such as a missing directory, to a report, which the runner reads when the
execution ends.
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

from runner.execution.child.program import (
    SpawnError,
    cause,
    find,
    refusal,
    require_enterable,
    unfit,
)
from runner.execution.launch import Launch
from runner.execution.report import Report, forms_of, memory_file, open_report
from runner.execution.spawning import posix_spawn
from runner.execution.spawning.open_files import below_former_limit, former_limit
from runner.execution.spawning.users import resolve
from runner.requests.model import Limits

if TYPE_CHECKING:
    from runner.execution.child.orders import Orders
    from runner.execution.trees.cgroups import Cgroups

_CHILD = Path(__file__).parents[1] / "child"
_LAUNCHER, _CALLING = str(_CHILD / "launcher.py"), str(_CHILD / "calling.py")
# The runner's own interpreter may need it to find its libraries.
_OWN_LOADER = {name: value for name, value in os.environ.items() if name == "LD_LIBRARY_PATH"}
_MOST = 2**62  # more than any machine has, and still accepted by setrlimit


def is_plain(launch: Launch) -> bool:
    """Return whether posix_spawn alone can start a process."""
    return (
        posix_spawn.knows_directories()
        and launch.condition is None
        and launch.stdin is None
        and launch.run_as is None
        and launch.umask is None
        and launch.nice is None
        and launch.limits is None
        and not (launch.is_supervised or launch.is_callable)
    )


def spawn(launch: Launch, output: int, cgroups: Cgroups | None) -> tuple[int, Report | None]:
    """Start a process in a session of its own; return its pid and its report.

    The descriptor `output` becomes its stdout and stderr.

    The launcher is used only where it is needed. Its process joins a cgroup if the runner
    has a delegated one. Raises SpawnError for a failure known before the start, and then
    leaves no descriptor open and no cgroup behind.
    """
    if is_plain(launch):
        return _spawn_program(launch, output), None
    return _assist(launch, output, cgroups)


def _spawn_program(launch: Launch, output: int) -> int:
    """Start a program in a session of its own; return its pid.

    It inherits no ignored signal, no signal mask and no descriptor of the runner, except
    `output` as its stdout and stderr. Raises SpawnError and StartNotPermittedError.
    """
    arguments, environment, directory = launch.arguments, launch.environment, launch.directory
    try:
        require_enterable(directory)
        program = find(arguments[0], environment, directory)
        return posix_spawn.spawn(
            program,
            arguments,
            environment,
            output=output,
            directory=directory,
            during=below_former_limit(launch.execution),
        )
    except ValueError:
        text = (
            unfit(arguments, environment)
            or "the arguments or the environment cannot be passed to a program"
        )
        raise SpawnError(text) from None
    except OSError as error:
        raise SpawnError(refusal(error, program, directory, arguments, environment)) from None


def _assist(launch: Launch, output: int, cgroups: Cgroups | None) -> tuple[int, Report]:
    if reason := unfit(launch.arguments, launch.environment):
        raise SpawnError(reason)
    if launch.condition is not None and (reason := unfit(launch.condition.arguments, {})):
        raise SpawnError(f"its condition: {reason}")
    try:
        report = open_report(launch.secrets)
    except OSError as error:
        raise SpawnError(f"the system has no room for another process ({cause(error)})") from None
    try:
        return _start_launcher(launch, output, cgroups, report), report
    except BaseException:
        report.close()
        if cgroups is not None:
            cgroups.remove(launch.execution)
        raise


def _start_launcher(launch: Launch, output: int, cgroups: Cgroups | None, report: Report) -> int:
    orders = _orders(launch, cgroups, report)
    try:
        with _written(marshal.dumps(dict(orders))) as descriptor:
            return posix_spawn.spawn(
                sys.executable,
                (sys.executable, "-I", "-S", _LAUNCHER, str(descriptor)),
                # Not the program's environment: PYTHON* in it would change the launcher.
                {**_OWN_LOADER, "LC_CTYPE": "C.UTF-8", "RUNNER_EXECUTION_ID": launch.execution},
                output=output,
                passed=(descriptor, report.descriptor),
            )
    except OSError as error:
        raise SpawnError(
            f"its launcher {sys.executable!r} cannot be started: {cause(error)}"
        ) from None


def _orders(launch: Launch, cgroups: Cgroups | None, report: Report) -> Orders:
    identity = resolve(launch.run_as) if launch.run_as else None
    limits = launch.limits or Limits()
    return {
        "arguments": _called(launch, report) if launch.is_callable else list(launch.arguments),
        "environment": {**(identity.login_variables if identity else {}), **launch.environment},
        "directory": launch.directory,
        "report": report.descriptor,
        "condition": (list(launch.condition.arguments), launch.condition.timeout_s)
        if launch.condition
        else None,
        "is_reporting": launch.is_callable,
        "stdin": None if launch.stdin is None else _encoded(launch.stdin, "stdin"),
        "limits": list(_early(limits)),
        "late_limits": list(_late(limits, cgroups)),
        "nice": launch.nice,
        "umask": launch.umask,
        "identity": (identity.uid, identity.gid, list(identity.groups))
        if identity and not identity.is_ours
        else None,
        "secrets": _secrets(launch.secrets),
        "is_supervised": launch.is_supervised,
        "is_stderr_reported": launch.is_stderr_reported,
        "failing_texts": [
            _encoded(text, "a text in fail_on_output") for text in launch.failing_texts
        ],
        "cgroup": _cgroup(launch.execution, limits, cgroups),
    }


def _encoded(text: str, what: str) -> bytes:
    with _fit(what):
        return text.encode("utf-8", "surrogateescape")


def _secrets(secrets: frozenset[str]) -> list[bytes]:
    with _fit("a secret"):
        return forms_of(secrets)


@contextmanager
def _fit(what: str) -> Iterator[None]:
    try:
        yield
    except UnicodeEncodeError:
        raise SpawnError(
            f"{what} contains a character that cannot be passed to a program"
        ) from None


def _called(launch: Launch, report: Report) -> list[str]:
    """Return the arguments that call a Python callable with the runner's interpreter.

    -P keeps the folder of `calling.py` off its sys.path, where our modules would shadow
    others.
    """
    return [sys.executable, "-P", _CALLING, str(report.descriptor), launch.arguments[0]]


def _early(limits: Limits) -> Iterator[tuple[int, int, int]]:
    """Yield the limits to set first, as (resource, soft, hard).

    At the CPU limit the kernel sends SIGXCPU, and one second later KILL. Without a limit
    of open files, set the one that the runner had before it raised its own.
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
    """Yield the limits to set just before the exec, as (resource, soft, hard).

    Without a memory cgroup, RLIMIT_AS bounds the address space. It could keep the
    launcher itself from working, so it comes last.
    """
    if limits.memory is not None and not _can(cgroups, "memory"):
        memory = min(limits.memory, _MOST)
        yield resource.RLIMIT_AS, memory, memory


def _cgroup(execution: str, limits: Limits, cgroups: Cgroups | None) -> str | None:
    if limits.processes is not None and not _can(cgroups, "pids"):
        raise SpawnError(
            "limits.processes needs a delegated cgroup v2 with the pids controller,"
            " which this runner does not have"
        )
    if cgroups is None:
        return None
    memory = limits.memory if _can(cgroups, "memory") else None
    return str(cgroups.create(execution, memory=memory, processes=limits.processes))


def _can(cgroups: Cgroups | None, controller: str) -> bool:
    return cgroups is not None and controller in cgroups.controllers


@contextmanager
def _written(content: bytes) -> Iterator[int]:
    """Yield a descriptor of a file in memory with this content. Raises OSError."""
    with open(memory_file("orders"), "r+b") as file:  # noqa: PTH123  (a descriptor)
        file.write(content)
        file.flush()
        file.seek(0)
        yield file.fileno()
