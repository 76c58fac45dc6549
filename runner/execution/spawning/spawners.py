"""Threads that start processes, so that a start never holds up the owner.

The owner hands over orders and later takes results:

    start → [queue] → a thread: prepare, spawn → take

Two reasons make threads worth it. posix_spawn waits until the new program runs, without
the interpreter's lock (see `native_spawn`); meanwhile the owner and another start go on.
And a start touches directories, files and name services, any of which may hang for ever.

A start that takes longer than the patience hangs. Its thread is replaced, and starts with
the same needs are held back: one hanging mount costs one thread for each set of needs.
After `give_up_s` the start counts as failed; should its thread return later, that thread
kills the process.

The owner keeps every decision (this module); `spawner_threads` carries them out.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import Event
from typing import TYPE_CHECKING

from runner.execution.child.program import SpawnError
from runner.execution.executor import Needs, Order
from runner.execution.launch import Launch
from runner.execution.spawning import open_files
from runner.execution.spawning.spawned_process import SpawnedProcess
from runner.execution.spawning.spawner_threads import PendingStart, SpawnerThreads, StartState

if TYPE_CHECKING:
    from runner.execution.trees.orphans import Orphan

THREADS = 2
"""Threads that do not hang. A third brought nothing on two processors, measured."""
LONGEST_START_S = 1.0
"""How long the owner waits for one start while the limit of open files is lowered."""
_LATE_S = 1.0
"""After such a pause between two looks, the owner or the whole process stood still."""
MANY_HUNG, MOST_HUNG = 32, 256
"""Limits for hanging starts, because each takes a thread.

From `MANY_HUNG` on, no start begins in a directory in which one hangs. From `MOST_HUNG`
on, no start begins at all.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long a start may take, in seconds."""

    first_s: float = 0.1
    """Until a start counts as hanging."""
    further_s: float = 0.02
    """The same while another start hangs: one dead mount affects many requests."""
    give_up_s: float = 10.0
    """Until a start counts as failed."""


PATIENCE = Patience()


class Spawners:
    """The starts in progress and the threads that carry them out.

    Only the owner calls the public methods. `spawn` starts a process and may hang;
    `elapsed_s` is the clock.
    """

    def __init__(
        self,
        spawn: Callable[[Launch], SpawnedProcess],
        elapsed_s: Callable[[], float],
        *,
        patience: Patience | None = None,
    ) -> None:
        """Raises OSError."""
        self._threads = SpawnerThreads(spawn, elapsed_s)
        self._elapsed_s = elapsed_s
        self._patience = patience or PATIENCE
        self._starts: dict[str, PendingStart] = {}
        self._held: list[PendingStart] = []
        self._hung: list[PendingStart] = []  # until their threads return, abandoned or not
        self._is_paused = False
        self._looked_s = 0.0
        # When a sweep first saw a dead child that may belong to a start, by pid and start tick.
        self._dead_since_s: dict[tuple[int, int], float] = {}

    @property
    def descriptor(self) -> int:
        """Readable when `take` has something to return."""
        return self._threads.descriptor

    @property
    def is_idle(self) -> bool:
        """Whether no start is in progress, not even one that hangs."""
        return not self._starts and not self._hung

    @property
    def busy(self) -> int:
        """How many starts are in progress, apart from those that hang or are held back."""
        if not self._starts:  # an idle turn asks four times
            return 0
        stuck = len(self._held) + sum(not start.is_abandoned for start in self._hung)
        return len(self._starts) - stuck

    def is_starting(self, execution: str) -> bool:
        """Return whether `take` will still return the start of an execution."""
        return execution in self._starts

    def start(self, order: Order) -> None:
        """Start what an order asks for; `take` returns the result."""
        start = PendingStart(order=order, ordered_s=self._elapsed_s())
        if not self._starts:
            self._looked_s = start.ordered_s
        self._starts[order.execution] = start
        self._hand_over(start)

    def take(self) -> list[PendingStart]:
        """Return the starts that are done or given up since the last call, in order."""
        self._threads.clear()
        taken = []
        for start in self._ready():
            if not self._is_repeated(start):
                del self._starts[start.order.execution]
                taken.append(start)
        self._forgive_pause()
        self._look_for_hanging()
        self._release()
        return taken + self._give_up()

    def cancel(self, execution: str) -> bool:
        """Cancel a start that has no process yet, or that hangs; return whether it could be.

        Otherwise it is about to be done, or there is none.
        """
        start = self._starts.get(execution)
        return start is not None and self._abandon(start)

    def next_s(self) -> float | None:
        """Return when to call `take` at the latest; None without a start in progress."""
        return self._elapsed_s() + self._patience_s if self._starts else None

    def pause(self) -> None:
        """Begin no start until `resume`; soon no start is in progress but those that hang."""
        if not self._is_paused:
            self._is_paused = True
            self._hand_over_again(self._threads.drained())

    def resume(self) -> None:
        """Let starts begin again."""
        if self._is_paused:
            self._is_paused = False
            self._hand_over_held()

    def may_be_starting(self, orphan: Orphan) -> bool:
        """Return whether an unwatched child may belong to a start in progress.

        The runner ends unknown children, and must spare these. The environment of a child
        names its execution, but a child that is ending has no environment any more, and
        its start may not have returned yet. Each start leads a session of its own, which
        identifies such a child. Once it is dead, its start returns soon, even one that
        hung: a child that stays dead for longer belongs to no start.
        """
        if not self._starts and not self._hung:
            self._dead_since_s.clear()
            return False
        hung = [start.order.execution for start in self._hung]
        if orphan.is_unborn or orphan.execution in self._starts or orphan.execution in hung:
            return True
        if orphan.session != orphan.pid:
            return False
        if orphan.is_dead:
            return self._has_just_died(orphan)
        return orphan.is_passing and orphan.execution is None

    def _has_just_died(self, orphan: Orphan) -> bool:
        now_s, key = self._elapsed_s(), (orphan.pid, orphan.started)
        has_just_died = now_s - self._dead_since_s.setdefault(key, now_s) < self._patience.give_up_s
        if not has_just_died:
            del self._dead_since_s[key]
        return has_just_died

    def close(self) -> None:
        """Drop the starts that have no process yet, and end the threads.

        A process whose start has returned goes on. Threads that hang are left behind.
        """
        for start in list(self._starts.values()):
            self._abandon(start)
        self._threads.close()

    @property
    def _patience_s(self) -> float:
        return self._patience.further_s if self._hung else self._patience.first_s

    def _ready(self) -> list[PendingStart]:
        """Return the starts that are done, in the order in which they were ordered.

        One that is still in progress holds up later ones, unless it hangs.
        """
        ready = []
        for start in self._starts.values():
            if start.state is StartState.DONE:
                ready.append(start)
            elif start.state is not StartState.HELD and not start.is_hung:
                break
        return ready

    def _hand_over(self, start: PendingStart) -> None:
        """Give a start to the threads, or hold it back behind a hanging one."""
        if not self._may_begin(start.order.needs):
            if start.state is not StartState.HELD:
                start.state, start.since_s = StartState.HELD, self._elapsed_s()
            self._held.append(start)
            return
        start.state = StartState.QUEUED
        try:
            self._threads.keep(min(THREADS, len(self._starts)))
        except RuntimeError as error:
            start.error = SpawnError(f"the system cannot start another thread ({error})")
            self._threads.finish(start)
            return
        if open_files.is_raised():
            self._start_and_wait(start)
        else:
            self._threads.put(start)

    def _start_and_wait(self, start: PendingStart) -> None:
        """Hand over a start and wait for it, within the patience.

        The limit of open files is lowered while the process starts. It is the whole
        process's limit, so the owner must not open anything in that time. A start that
        took longer than the patience gets more time with each repetition; otherwise a
        start on a slow disk would never succeed.
        """
        start.done = Event()
        with open_files.permitted(start.order.execution):
            self._threads.put(start)
            start.done.wait(min(self._patience_s * 2**start.repeats, LONGEST_START_S))

    def _is_repeated(self, start: PendingStart) -> bool:
        """Hand over a start again that did not begin because the owner did not wait for it.

        Return False for any other start, and for one that has been repeated for too long.
        """
        if not isinstance(start.error, open_files.StartNotPermittedError):
            return False
        if self._elapsed_s() - start.ordered_s >= self._patience.give_up_s:
            start.error = SpawnError(start.hanging_words(self._patience.give_up_s))
            return False
        start.error, start.is_hung = None, False
        start.repeats += 1
        if start in self._hung:
            self._hung.remove(start)
            self._hand_over_held()
        self._hand_over(start)
        return True

    def _may_begin(self, needs: Needs) -> bool:
        hung = [start.order.needs for start in self._hung]
        if len(hung) >= MANY_HUNG and any(each.directory == needs.directory for each in hung):
            return False
        return needs not in hung and len(hung) < MOST_HUNG and not self._is_paused

    def _look_for_hanging(self) -> None:
        """Hold back what needs the same as starts that turn out to hang."""
        if hanging := self._threads.retire_hanging(self._patience_s):
            self._hung += hanging
            self._hand_over_again(self._threads.drained())

    def _forgive_pause(self) -> None:
        """Do not count the time in which the owner, and perhaps the whole process, stood still.

        A start that was on its way then may have its process by now, which runs: to give it
        up would record a false failure.
        """
        now_s = self._elapsed_s()
        pause_s, self._looked_s = now_s - self._looked_s, now_s
        if pause_s > _LATE_S:
            for start in self._starts.values():
                start.since_s = min(start.since_s + pause_s, now_s)

    def _release(self) -> None:
        """Hand over what was held back, if a hanging start is done."""
        still = [start for start in self._hung if start.state is not StartState.DONE]
        if len(still) < len(self._hung):
            self._hung = still
            self._hand_over_held()

    def _hand_over_held(self) -> None:
        held, self._held = self._held, []
        self._hand_over_again(held)

    def _hand_over_again(self, starts: list[PendingStart]) -> None:
        for start in starts:
            if not start.is_abandoned:
                self._hand_over(start)

    def _give_up(self) -> list[PendingStart]:
        """Abandon the starts that hang or are held back for too long; return them failed."""
        until_s = self._elapsed_s() - self._patience.give_up_s
        late = [
            start
            for start in (*self._hung, *self._held)
            if start.since_s <= until_s and self._abandon(start)
        ]
        for start in late:
            start.error = SpawnError(start.hanging_words(self._patience.give_up_s))
        return late

    def _abandon(self, start: PendingStart) -> bool:
        """Let a start not begin, or its process end; return False if it is too late."""
        if not self._threads.abandon(start):
            return False
        del self._starts[start.order.execution]
        if start.state is StartState.HELD:
            self._held.remove(start)
        return True
