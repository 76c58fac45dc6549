"""Starts processes in threads, so that a hanging resource cannot block the loop.

A directory, a file or a name service may hang. The loop waits 0.1 s for a start; only a
slow start takes that long. After that the loop goes on and looks again later. While a
start hangs, starts with the same needs (directory, files, program, user) wait behind
it: each set of needs delays the loop once and takes one thread. Touches processes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from runner.execution.begun import Begun
from runner.execution.processes import Launch, Processes, SpawnError, Started
from runner.execution.trees.orphans import Orphan
from runner.service.clock import Clock
from runner.service.executions.launching import Needs
from runner.system.background_calls import Aside, Pending

PATIENCE_S, LITTLE_PATIENCE_S = 0.1, 0.02
"""How long the loop waits for a start, and how long while another start hangs.

One hanging start is seldom alone: a dead mount affects many requests.
"""
GIVE_UP_S = 10.0
"""How long a start may take before it counts as failed."""
MANY_HUNG, MOST_HUNG = 32, 256
"""Limits for hanging starts, because each takes a thread.

From `MANY_HUNG` on, no start begins in a directory in which one hangs. From `MOST_HUNG`
on, no start begins at all.
"""
_LOOK_S = 0.05


@dataclass(slots=True, kw_only=True)
class _Held:
    """A slow start. Without `pending` it waits for hanging starts with the same needs."""

    needs: Needs
    prepare: Callable[[], Launch]
    until_s: float
    pending: Pending[Begun] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Late:
    """The result of a slow start: a process, or the reason why there is none."""

    execution: str
    started: Started | None = None
    failure: str = ""


class Starts:
    """The starts in progress. Times are the clock's elapsed seconds."""

    def __init__(self, processes: Processes, clock: Clock) -> None:
        self._processes = processes
        self._clock = clock
        self._aside = Aside("starts")
        self._held: dict[str, _Held] = {}
        # By execution. A start that was given up stays here until its thread returns.
        self._hung: list[tuple[str, Needs, Pending[Begun]]] = []
        processes.is_fresh = self._is_fresh

    def start(self, execution: str, needs: Needs, prepare: Callable[[], Launch]) -> Started | None:
        """Start what `prepare` returns, and return the process; None if the start is slow.

        `prepare` may read files. `late` returns the result of a slow start. Raises
        SpawnError.
        """
        held = _Held(needs=needs, prepare=prepare, until_s=self._clock.elapsed_s() + GIVE_UP_S)
        if (started := self._tried(execution, held)) is None:
            self._held[execution] = held
        return started

    def late(self) -> Iterator[Late]:
        """Yield the results of slow starts that have finished, failed or timed out."""
        self._hung = [each for each in self._hung if not each[2].is_over]
        for execution, held in list(self._held.items()):
            try:
                started = self._tried(execution, held)
            except SpawnError as error:
                del self._held[execution]
                yield Late(execution=execution, failure=str(error))
                continue
            if started is not None:
                del self._held[execution]
                yield Late(execution=execution, started=started)
            elif self._clock.elapsed_s() >= held.until_s:
                self.give_up(execution)
                yield Late(execution=execution, failure=_words(held))

    def give_up(self, execution: str) -> bool:
        """Cancel a slow start; return whether there was one.

        If its thread spawns the process later, `Begun.undo` ends the process.
        """
        held = self._held.pop(execution, None)
        if held is not None and held.pending is not None:
            held.pending.abandon(Begun.undo)
        return held is not None

    def next_s(self) -> float | None:
        """Return when `late` may have a result; None without a slow start."""
        return self._clock.elapsed_s() + _LOOK_S if self._held else None

    def _tried(self, execution: str, held: _Held) -> Started | None:
        """Advance a start as far as possible now. Raises SpawnError."""
        # The loop waits only when the start begins; later looks just ask whether it is over.
        patience_s = 0.0
        if held.pending is None:
            if not self._may_begin(held.needs):
                return None
            patience_s = LITTLE_PATIENCE_S if self._hung else PATIENCE_S
            held.pending = self._begun(held.prepare)
        if held.pending.wait(patience_s):
            return self._processes.enter(held.pending.result(), now_s=self._clock.elapsed_s())
        if patience_s:
            self._hung.append((execution, held.needs, held.pending))
        return None

    def _may_begin(self, needs: Needs) -> bool:
        hung = [each for _, each, _ in self._hung]
        if len(hung) >= MANY_HUNG and any(each.directory == needs.directory for each in hung):
            return False
        return needs not in hung and len(hung) < MOST_HUNG

    def _begun(self, prepare: Callable[[], Launch]) -> Pending[Begun]:
        try:
            return self._aside.begin(lambda: self._processes.begin(prepare()))
        except RuntimeError as error:
            raise SpawnError(f"the system cannot start another thread ({error})") from None

    def _is_fresh(self, orphan: Orphan) -> bool:
        """Return whether an unwatched child may belong to a start in progress.

        The runner ends unknown children, and must spare these. The environment of a child
        names its execution, but a child that is ending has no environment any more, and
        its start may not have returned yet. Each start leads a session of its own, which
        identifies such a child.
        """
        if not self._hung and all(held.pending is None for held in self._held.values()):
            return False
        if orphan.is_unborn or any(execution == orphan.execution for execution, _, _ in self._hung):
            return True
        is_nameless = orphan.is_dead or (orphan.is_passing and orphan.execution is None)
        return is_nameless and orphan.session == orphan.pid


def _words(held: _Held) -> str:
    behind = "" if held.pending else "; it waited behind earlier starts that need the same"
    return (
        f"directory {held.needs.directory!r}, or a file or name service that is needed for"
        f" the start, has not answered for {GIVE_UP_S:g} s{behind}"
    )
