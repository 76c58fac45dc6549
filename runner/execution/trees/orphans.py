"""Orphans: processes of an execution's tree whose own parent has ended. Touches
processes and /proc.

As the sub-reaper of all our descendants we get them as children. That makes trees
cheap: who belongs to an execution descends from its main process or from one of its
orphans, and nobody else has to be looked at.
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
from runner.execution.trees.signals import kill_all
from runner.execution.trees.watched import Watched
from runner.system import own_children

_PR_SET_CHILD_SUBREAPER = 36
_LOOKS = 20  # in a row: a look takes 0.1 ms, a fork several times that


@dataclass(frozen=True, slots=True, kw_only=True)
class Orphan:
    """A child of ours that we never started: its own parent, of the tree of some
    execution, has ended.

    `execution` is what its environment names. One that `is_stranger` is of no
    execution: it is in our own session, and every execution has a session of its own,
    which no process can go back from. One that `is_passing` is about to become another
    program or to end, or has ended; its environment may have been unreadable for that
    reason. One that `is_unborn` still shares our memory, and becomes a program next.
    """

    pid: int
    execution: str | None
    session: int
    started: int
    is_dead: bool
    is_passing: bool
    is_stranger: bool
    is_unborn: bool


def become_subreaper() -> bool:
    """Have the orphans of all our descendants become our children; tell whether the
    system can do that.
    """
    if sys.platform != "linux" or not Path(f"/proc/self/task/{os.getpid()}/children").exists():
        return False
    return bool(ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)


def orphans(mains: Collection[int]) -> Iterator[Orphan]:
    """Find the orphans among our children: those that neither `mains` nor `own_children` name.

    A child in our own session may be one, too: the shell that became this program may
    have left it to us.
    """
    here = os.getsid(0)
    for pid in proc.children_of(os.getpid()):
        if pid in mains or own_children.is_own_child(pid):
            continue
        environment, stat = proc.environment_of(pid), proc.stat_of(pid)
        if stat:
            # An environment that is empty and yet there was read before or after its time.
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
    """Return who belongs to an execution that we started; its main process has not been reaped."""
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
    is_fresh: Callable[[Orphan], bool] = lambda _: False,
) -> bool:
    """Reap every orphan that is dead, and KILL those of executions that have ended.

    Those that `is_fresh` names are left for another time. Tells whether there may be
    more: some were killed, and will have to be reaped soon; or some were about to end,
    or had ended, by themselves, maybe after a fork, and their offspring has escaped
    every look.
    """
    for _ in range(_LOOKS):
        is_killing = is_unsure = False
        for orphan in orphans(mains):
            if is_fresh(orphan):
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
    """Tell whether an orphan, of which maybe only its session is known, can be of an
    execution that has ended.
    """
    if passing.execution is not None:
        return any(watched.execution == passing.execution for watched in ended)
    return any(watched.started <= passing.started for watched in ended) and all(
        watched.session != passing.session for watched in running
    )


def _may_live(orphan: Orphan, running: Collection[Watched], ended: Collection[Watched]) -> bool:
    """Tell whether an orphan can be of an execution that runs.

    Where it has left both the session and the environment behind, it may be of any
    execution that began before it.
    """
    if any(
        watched.session == orphan.session or watched.execution == orphan.execution
        for watched in ended
    ):
        return False
    if all(orphan.started < watched.started for watched in ended):
        # A stranger's, that came to us as PID 1: what ended executions left was killed
        # when they ended
        return True
    return any(
        watched.session == orphan.session
        or watched.execution == orphan.execution
        or (not watched.is_adopted and watched.started <= orphan.started)
        for watched in running
    )
