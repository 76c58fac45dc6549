"""Orphans: processes of an execution's tree whose parent has ended.

The runner is the sub-reaper of its descendants (prctl(2)), so the kernel makes it the
parent of every orphan. That makes an execution's tree cheap to find: its members descend
from its main process or from one of its orphans. A scan of all processes is unnecessary.

The hard question is which execution an orphan belongs to. Its session and
RUNNER_EXECUTION_ID in its environment answer it, but a process can leave both behind
(setsid, then exec with an empty environment), and /proc shows neither while a process
execs or exits. The functions below name each such case.

Touches processes and /proc.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from runner.execution.trees import proc
from runner.execution.trees.tree_signals import kill_all
from runner.execution.trees.watched import Watched
from runner.system import own_children

_PR_SET_CHILD_SUBREAPER = 36
# Scans in a row before a sweep gives up until later. A scan takes 0.1 ms, and a fork
# several times that, so a process that forks and exits over and over is caught.
_LOOKS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A child that this process did not start: the orphan's own parent has ended."""

    pid: int
    execution: str | None
    """RUNNER_EXECUTION_ID in its environment; None if unset or unreadable."""
    session: int
    started: int
    """Clock ticks since boot."""
    is_dead: bool
    """A zombie: it waits to be reaped."""
    is_passing: bool
    """It is about to exec or to exit, or has exited: its environment may be unreadable."""
    is_stranger: bool
    """It belongs to no execution: it is in the runner's own session.

    Every execution has a session of its own, and no process can return to another one.
    """
    is_unborn: bool
    """It still shares the runner's memory: posix_spawn is about to exec the program."""


def become_subreaper() -> bool:
    """Become the parent of every orphan among the descendants of this process.

    Return whether the system supports it: Linux with CONFIG_PROC_CHILDREN does.
    """
    if sys.platform != "linux" or not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def orphans(mains: Collection[int]) -> Iterator[Orphan]:
    """Yield the orphans among the children of this process.

    `mains` are the main processes of executions; they and the runner's own helpers are
    not orphans. A child in the runner's session may be one: a shell that became this
    program (`sh -c "helper & exec runner start"`) leaves its children to it.
    """
    here = os.getsid(0)
    for pid in proc.children_of(os.getpid()):
        if pid in mains or own_children.is_own_child(pid):
            continue
        environment, stat = proc.environment_of(pid), proc.stat_of(pid)
        if stat:
            # /proc showed an empty environment although the process has one: the two
            # reads fell before and after an exec.
            is_between = environment == b"" and (stat.is_bare or stat.has_environment)
            yield Orphan(
                pid=pid,
                execution=proc.execution_in(environment or b""),
                session=stat.session,
                started=stat.started,
                is_dead=stat.is_dead,
                is_passing=stat.is_ending or is_between,
                is_stranger=stat.session == here,
                is_unborn=bool(environment) and environment == proc.environment_of(os.getpid()),
            )


def own_tree(main: int, execution: str, mains: Collection[int]) -> set[int]:
    """Return the pids of the tree of an execution that this runner started.

    Its main process must not be reaped yet: until then its pid, which is also the
    session's number, cannot be reused.
    """
    lost = (
        orphan.pid
        for orphan in orphans(mains)
        if orphan.session == main or (orphan.execution == execution and not orphan.is_stranger)
    )
    return proc.descendants([main, *lost])


def sweep(
    mains: Collection[int],
    *,
    running: Collection[Watched],
    ended: Collection[Watched],
    may_be_starting: Callable[[Orphan], bool] = lambda _: False,
) -> bool:
    """Reap the dead orphans, and KILL the orphans of executions that have ended.

    `may_be_starting` returns true for a child that another thread may be starting as the
    main process of an execution: it only looks like an orphan, so skip it. Return whether
    the caller must sweep again soon: either killed orphans are still to be reaped, or
    orphans that were exiting by themselves may have forked a child that every scan missed.
    """
    # A fork and an exit between two scans hides the child from both. So scan again while
    # the last scan saw an orphan of an ended execution exit.
    for _ in range(_LOOKS):
        is_killing = is_unsure = False
        for orphan in orphans(mains):
            if may_be_starting(orphan):
                # Perhaps it is an orphan of an ended execution after all. If its environment
                # cannot be read yet, sweep again soon: then it can.
                is_killing |= orphan.is_passing and not orphan.is_dead and orphan.execution is None
                continue
            if orphan.is_dead:
                with suppress(ChildProcessError):
                    os.waitpid(orphan.pid, os.WNOHANG)
            if orphan.is_stranger:
                continue
            if not orphan.is_dead and not _may_live(orphan, running, ended):
                kill_all(partial(proc.descendants, [orphan.pid]))
                is_killing = True
            is_unsure |= orphan.is_passing and _may_be_left(orphan, running, ended)
        if is_killing or not is_unsure:
            return is_killing
    return True


def _may_be_left(passing: Orphan, running: Collection[Watched], ended: Collection[Watched]) -> bool:
    """Return whether an orphan that is exiting can belong to an ended execution.

    Its environment may be unreadable. Then only its session and its start time decide.
    """
    if passing.execution is not None:
        return any(watched.execution == passing.execution for watched in ended)
    return any(watched.started <= passing.started for watched in ended) and all(
        watched.session != passing.session for watched in running
    )


def _may_live(orphan: Orphan, running: Collection[Watched], ended: Collection[Watched]) -> bool:
    """Return whether an orphan can belong to a running execution, and so must live.

    An orphan that left both its session and its environment behind may belong to any
    execution that started before it. It lives while such an execution runs: to kill a
    process of a running execution is worse than to kill a leftover late.
    """
    if any(
        watched.session == orphan.session or watched.execution == orphan.execution
        for watched in ended
    ):
        return False
    if all(orphan.started < watched.started for watched in ended):
        # Older than every ended execution, so it belongs to none of them. As PID 1 the
        # runner gets such orphans from other programs of the container.
        return True
    return any(
        watched.session == orphan.session
        or watched.execution == orphan.execution
        or (not watched.is_adopted and watched.started <= orphan.started)
        for watched in running
    )
