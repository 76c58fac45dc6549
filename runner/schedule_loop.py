"""Give the `schedule` package exact fire times and a heap. Only this module imports it.

`schedule` checks every job of a list on every turn, and stores each next run as naive
local time, which is ambiguous when clocks change. The subclasses here differ:

- A job's fire time comes from outside, as epoch seconds (`at_s`). That is the truth;
  `next_run` only displays it as `schedule` does.
- The jobs form a binary heap (`heapq`), ordered by fire time, so the next job is always
  first. Planning, replacing or running a job costs O(log n).

A heap cannot remove an entry from its middle cheaply. `forget` and `plan` therefore leave
the old entry where it is (lazy deletion). `_planned` says which entry of a key is valid;
stale entries are skipped when they come up. When they outnumber the valid ones,
`_bound_garbage` rebuilds the heap.

Reads no clock except the one passed in.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Hashable
from datetime import datetime
from functools import partial

import schedule

# 9999-12-31T00:00Z in epoch seconds: the last midnight that every time zone can display.
_LAST_SHOWN_S = 253_402_214_400.0
# With fewer stale entries than this, a rebuild costs more than it saves.
_STALE_ALLOWED = 64


class FireJob(schedule.Job):
    """One planned fire of a registered request.

    `at_s` is the fire time in epoch seconds, computed by the caller. The job runs `call`
    with its key. The key is also its tag, so the `tag` arguments of `schedule` accept it.
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
        """Sort by fire time, then by key, so that fires of one instant have a fixed order."""
        return (self.at_s, self.key) < (other.at_s, other.key)

    def __repr__(self) -> str:
        # The inherited method slices `unit`, which is None for a job with a fire time.
        return f"FireJob({self.key!r}, at_s={self.at_s!r})"

    @property
    def should_run(self) -> bool:
        """Whether the fire time has come."""
        return self._clock() >= self.at_s

    def run(self) -> None:
        """Make the call once. The called function plans the next fire, if there is one."""
        assert self.job_func is not None  # impossible: __init__ sets it
        self.job_func()

    def _schedule_next_run(self) -> None:
        # Naive local time is what `schedule` displays.
        self.next_run = datetime.fromtimestamp(min(self.at_s, _LAST_SHOWN_S))  # noqa: DTZ006


class FireScheduler(schedule.Scheduler):
    """Runs due jobs in order of their fire time.

    `run_pending` costs O(log n) for each due job, `idle_seconds` O(1) plus O(log n) for
    each stale entry it drops. `jobs` is the heap; it may hold stale entries of replaced
    and forgotten jobs. `get_jobs` returns only the valid ones.
    """

    # The base class declares list[Job]. Only `plan` adds jobs, so all of them are FireJobs.
    jobs: list[FireJob]  # type: ignore[assignment]

    def __init__(self, clock: Callable[[], float]) -> None:
        """Make a scheduler without jobs. `clock` returns epoch seconds."""
        super().__init__()
        self.clock = clock
        # The valid job of each key. Any other entry of `jobs` is stale.
        self._planned: dict[str, FireJob] = {}

    def plan(self, key: str, at_s: float, call: Callable[[str], None]) -> None:
        """Plan one call of `call(key)` at `at_s`, in place of the job planned for `key`.

        `call` may plan and forget any key, its own included. A job that it plans for the
        past runs at the next `run_pending`, never in the same one.
        """
        job = FireJob(key, at_s, call, self)
        self._planned[key] = job
        heapq.heappush(self.jobs, job)
        self._bound_garbage()

    def forget(self, key: str) -> None:
        """Drop the job planned for `key`, if there is one."""
        self._planned.pop(key, None)
        self._bound_garbage()

    def run_pending(self) -> None:
        """Run each due job once, by fire time, then by key. Reads the clock once.

        An exception of a call is a bug and reaches the caller. That job counts as run;
        the remaining due jobs stay planned.
        """
        # Take all due jobs before running any: a call that plans its next fire for the past
        # would otherwise keep this loop busy forever.
        due = self._taken_until(self.clock())
        due.reverse()  # pop from the end is O(1)
        try:
            while due:
                job = due.pop()
                # The entry may be stale, also because an earlier call of this turn forgot or
                # replaced it.
                if self._is_planned(job):
                    del self._planned[job.key]
                    self._run_job(job)
        finally:
            # Empty unless a call raised: put back the jobs that did not run.
            for job in due:
                heapq.heappush(self.jobs, job)

    @property
    def idle_seconds(self) -> float | None:
        """Seconds until the next fire, negative if it is overdue; None without jobs."""
        first = self._first()
        return None if first is None else first.at_s - self.clock()

    def get_jobs(self, tag: Hashable | None = None) -> list[schedule.Job]:
        """Return the planned jobs, or only that of the key `tag`, in no particular order."""
        return [job for job in self._planned.values() if tag is None or tag in job.tags]

    def get_next_run(self, tag: Hashable | None = None) -> datetime | None:
        """Return the next fire in naive local time, for display only."""
        if tag is not None:
            return super().get_next_run(tag)
        first = self._first()
        return None if first is None else first.next_run

    next_run = property(get_next_run)

    def cancel_job(self, job: schedule.Job) -> None:
        """Drop `job` if it is still the planned job of its key."""
        if isinstance(job, FireJob) and self._is_planned(job):
            self.forget(job.key)

    def clear(self, tag: Hashable | None = None) -> None:
        """Drop all jobs, or only that of the key `tag`."""
        for job in self.get_jobs(tag):
            self.cancel_job(job)

    def _is_planned(self, job: FireJob) -> bool:
        """Return whether a heap entry is valid: its key was not replaced or forgotten since."""
        return self._planned.get(job.key) is job

    def _taken_until(self, now_s: float) -> list[FireJob]:
        """Take the due entries off the heap, first fire first. They stay in `_planned`."""
        taken = []
        # heapq keeps the smallest entry at index 0.
        while self.jobs and self.jobs[0].at_s <= now_s:
            taken.append(heapq.heappop(self.jobs))
        return taken

    def _first(self) -> FireJob | None:
        """Return the next valid job, after dropping the stale entries before it."""
        while self.jobs and not self._is_planned(self.jobs[0]):
            heapq.heappop(self.jobs)
        return self.jobs[0] if self.jobs else None

    def _bound_garbage(self) -> None:
        """Rebuild the heap from the valid jobs once stale entries outnumber them.

        A rebuild costs O(n) and happens at most once in n changes, so a change costs O(1)
        on average. Without it, a request that is re-planned often for a far fire would
        grow the heap without bound.
        """
        if len(self.jobs) > 2 * len(self._planned) + _STALE_ALLOWED:
            # In place, so that every reference to `jobs` stays valid.
            self.jobs[:] = self._planned.values()
            heapq.heapify(self.jobs)
