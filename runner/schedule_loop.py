"""Exact fire times for the `schedule` package: its Job and Scheduler over a heap. The
only importer of `schedule`.

Epoch seconds are the truth; `next_run`, naive local time, is only what `schedule`
itself would display. Reads no clock but the one it is given.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from datetime import datetime
from functools import partial

import schedule

_LAST_SHOWN_S = (
    253_402_214_400.0  # 9999-12-31T00:00Z: the last midnight that every time zone can display
)
_STALE_ALLOWED = 64  # below that many, a rebuild costs more than the garbage


class FireJob(schedule.Job):
    """A registered request: carries an opaque payload and is told its next fire from outside.

    `at_s` is the fire time in epoch seconds. The key is also a tag, so that the tag
    arguments of `schedule` take it.
    """

    def __init__(
        self, key: str, at_s: float, call: Callable[[str], None], scheduler: FireScheduler
    ) -> None:
        super().__init__(interval=1, scheduler=scheduler)
        self.key = key
        self.at_s = at_s
        self.tags = {key}
        self.job_func = partial(call, key)
        self._clock = scheduler.clock
        self._schedule_next_run()

    def __lt__(self, other: FireJob) -> bool:
        """Sort by fire time, then by key, so that fires of one instant have one order."""
        return (self.at_s, self.key) < (other.at_s, other.key)

    def __repr__(self) -> str:
        # The inherited one slices the unit, which a fire time does not have.
        return f"FireJob({self.key!r}, at_s={self.at_s!r})"

    @property
    def should_run(self) -> bool:
        """Tell whether the fire time has come."""
        return self._clock() >= self.at_s

    def run(self) -> None:
        """Call, once; what comes next is planned by whoever knows, never here."""
        assert self.job_func is not None
        self.job_func()

    def _schedule_next_run(self) -> None:
        self.next_run = datetime.fromtimestamp(min(self.at_s, _LAST_SHOWN_S))  # noqa: DTZ006 - `schedule` shows local time


class FireScheduler(schedule.Scheduler):
    """Runs due jobs in order of their time; `run_pending` and `idle_seconds` cost O(log
    n), whatever is registered.

    `jobs` is the heap. What was replaced or forgotten stays in it until it comes up, or
    until such entries outnumber the others; `get_jobs` is without them.
    """

    jobs: list[FireJob]  # type: ignore[assignment]  # a list of Jobs, of which only this class makes any

    def __init__(self, clock: Callable[[], float]) -> None:
        """`clock` returns epoch seconds."""
        super().__init__()
        self.clock = clock
        self._planned: dict[str, FireJob] = {}

    def plan(self, key: str, at_s: float, call: Callable[[str], None]) -> None:
        """Have `call(key)` called once at `at_s`; replaces what was planned for `key`.

        `call` may plan and forget, itself too. What it plans for the past runs at the
        next `run_pending`.
        """
        job = FireJob(key, at_s, call, self)
        self._planned[key] = job
        heapq.heappush(self.jobs, job)
        self._bound_garbage()

    def forget(self, key: str) -> None:
        """Drop what is planned for `key`, if anything."""
        self._planned.pop(key, None)
        self._bound_garbage()

    def run_pending(self) -> None:
        """Run once each what is due now, by time, then by key; the clock is read once.

        What a call raises is a bug, and reaches the caller: that job counts as run, the
        others stay planned.
        """
        due = self._taken_until(self.clock())
        due.reverse()
        try:
            while due:
                job = due.pop()
                if self._is_planned(job):  # an earlier call may have forgotten or replaced it
                    del self._planned[job.key]
                    self._run_job(job)
        finally:
            for job in due:
                heapq.heappush(self.jobs, job)

    @property
    def idle_seconds(self) -> float | None:
        """Seconds until the next fire, negative if it is overdue; None if nothing is planned."""
        first = self._first()
        return None if first is None else first.at_s - self.clock()

    def get_jobs(self, tag: Hashable | None = None) -> list[schedule.Job]:
        """Return what is planned, or only the job of the key `tag`, in no particular order."""
        return [job for job in self._planned.values() if tag is None or tag in job.tags]

    def get_next_run(self, tag: Hashable | None = None) -> datetime | None:
        """Return the next fire in naive local time, as `schedule` does: for display only."""
        if tag is not None:
            return super().get_next_run(tag)
        first = self._first()
        return None if first is None else first.next_run

    next_run = property(get_next_run)

    def cancel_job(self, job: schedule.Job) -> None:
        """Drop `job` if it is still the one that is planned for its key."""
        if isinstance(job, FireJob) and self._is_planned(job):
            self.forget(job.key)

    def clear(self, tag: Hashable | None = None) -> None:
        """Drop everything, or only the job of the key `tag`."""
        for job in self.get_jobs(tag):
            self.cancel_job(job)

    def _is_planned(self, job: FireJob) -> bool:
        return self._planned.get(job.key) is job

    def _taken_until(self, now_s: float) -> list[FireJob]:
        """Take what is due off the heap, first fire first; it stays planned."""
        taken = []
        while self.jobs and self.jobs[0].at_s <= now_s:
            taken.append(heapq.heappop(self.jobs))
        return taken

    def _first(self) -> FireJob | None:
        while self.jobs and not self._is_planned(self.jobs[0]):
            heapq.heappop(self.jobs)
        return self.jobs[0] if self.jobs else None

    def _bound_garbage(self) -> None:
        if len(self.jobs) > 2 * len(self._planned) + _STALE_ALLOWED:
            self.jobs[:] = self._planned.values()
            heapq.heapify(self.jobs)
