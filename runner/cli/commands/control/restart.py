"""`restart`: the installed program takes over from the running one."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from runner.access.ownership import meta_of
from runner.access.places import Places
from runner.access.reaching import asked, require_runner
from runner.cli.access.local_node import LocalNode, ask, local_node
from runner.cli.options import place_options
from runner.cli.output.tables import echo
from runner.commands import Command, CommandKind
from runner.errors import NoRunnerError, RefusedError
from runner.store.opening import owner_of, read_store
from runner.store.rows import Wish
from runner.values import counted

_PATIENCE_S = 60.0
_CHECK_PATIENCE_S = 30.0
_LOOK_EVERY_S = 0.05
_UNSOUND = "the installed program does not work, so the running one goes on"


@click.command("restart")
@place_options
def restart_command(places: Places) -> None:
    """Replace the running program by the installed one, for example after an upgrade.

    The process, its arguments and its environment stay the same, and executions go on:
    the new program records their exit codes. What falls due meanwhile runs a moment
    later. The page, if `start --web` serves it, restarts.

    If the installed program does not work, the running one goes on.

    In a fleet, this restarts the node of this state folder: the one that leads, a standby,
    or a worker. The worker beside `start` restarts with it. Where no node runs, it restarts
    the leader.

    \b
    Examples:
      runner restart
    """
    if (node := local_node(places)) is not None:
        _restart_node(node, places)
        return
    require_runner(places)
    owner = owner_of(places.store)
    if owner is not None and owner.node is None:
        _require_sound(owner.pid)
    before = meta_of(places.store)
    answer = asked(places, Command(kind=CommandKind.RESTART))
    if not answer.is_done:
        raise RefusedError("; ".join(answer.lines))
    meta = _next_start(places, before)
    echo(f"restarted: runner {meta['version']}, process {meta['pid']}; {_executions(places)}")


def _restart_node(node: LocalNode, places: Places) -> None:
    _require_sound(node.pid)
    done = ask(node, Wish.RESTART, places)
    stands = "works again" if node.is_worker else "stands by again"
    kept = f"; {counted(done.running, 'execution')} went on" if done.running else ""
    echo(f"restarted: {done.name} {stands}; runner {done.version}, process {node.pid}{kept}")


def _require_sound(pid: int) -> None:
    """Raise RefusedError if the program that a runner was started from does not work now.

    It is tried as the runner's user: that user decides what the program is.
    """
    process = Path(f"/proc/{pid}")
    try:
        words = (process / "cmdline").read_bytes().split(b"\0")
        owner = process.stat()
    except OSError:  # it has ended, which the command to it will show
        return
    command = next((each for each in words if each in (b"start", b"work")), None)
    if command is None or os.geteuid() not in (0, owner.st_uid):
        return
    as_owner: dict[str, Any] = (
        {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": ()}
        if os.geteuid() == 0
        else {}
    )
    program = [*words[: words.index(command)], b"--version"]
    try:
        done = subprocess.run(
            program,
            capture_output=True,
            check=False,
            timeout=_CHECK_PATIENCE_S,
            cwd=process / "cwd",
            **as_owner,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise RefusedError(f"{_UNSOUND}: {error}") from None
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise RefusedError(f"{_UNSOUND}: {last}")


def _next_start(places: Places, before: Mapping[str, str]) -> Mapping[str, str]:
    """Wait for the next start on a store; return what the runner noted of itself."""
    until_s = time.monotonic() + _PATIENCE_S
    while time.monotonic() < until_s:
        meta = meta_of(places.store)
        if meta.get("started") != before.get("started"):
            return meta
        # Its process keeps the lock of a state folder all the time. A lease may run out.
        if places.store.url is None and owner_of(places.store) is None:
            raise NoRunnerError(f"the runner on {places.store.words} ended; its console says why")
        time.sleep(_LOOK_EVERY_S)
    raise NoRunnerError(
        f"the runner on {places.store.words} has not come back within {_PATIENCE_S:g} s; its"
        " console says why"
    )


def _executions(places: Places) -> str:
    """Return in words how many processes of executions run."""
    with closing(read_store(places.store)) as reader:
        running = sum(row.pid is not None for row in reader.executions())
    return f"{counted(running, 'execution')} went on" if running else "nothing was running"
