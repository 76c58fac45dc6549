"""What a runner knows of its own clock: whether to trust it, and when it went back.

Part of this is durable, in the store's meta table, so a step back between two runs is
noticed as well.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from runner.planning.fires.clock_steps import FORGET_AFTER, Reopened, went_back
from runner.system.clock import Clock, StepDetector
from runner.values import from_microseconds, to_microseconds

KEY = "clock"
SAVE_EVERY_S = 600.0
"""How often an idle runner saves its running time after a step back, in seconds."""

_SECOND = timedelta(seconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockStep:
    """A step of the clock."""

    seconds: float
    """For the record; negative if the clock went back."""
    behind: timedelta
    """By how much the clock reads less than before (zero or less); delayed attempts follow it."""
    reopened: Reopened | None
    """The span of time that comes again; None for a small step, or a step forward."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockMemory:
    """What the store keeps of the clock."""

    seen: datetime
    """The last reading."""
    latest: datetime
    """The latest reading since the clock last went back."""
    reopened: Reopened | None = None
    """The span of the last step back, while its fires are still treated apart."""
    went_back_at: datetime | None = None
    """When the clock went back, as it read after the step."""
    ran_s: float = 0.0
    """For how many seconds the runner has run since."""

    @property
    def left(self) -> timedelta:
        """How long the runner still has to run until future fires are ordinary ones again."""
        return FORGET_AFTER - timedelta(seconds=self.ran_s)

    def text(self) -> str:
        """Return the JSON that `memory_in` reads."""
        fields: dict[str, float] = {
            "seen": to_microseconds(self.seen),
            "latest": to_microseconds(self.latest),
        }
        if self.reopened is not None and self.went_back_at is not None:
            fields |= {
                "from": to_microseconds(self.reopened.begin),
                "until": to_microseconds(self.reopened.end),
                "at": to_microseconds(self.went_back_at),
                "ran_s": round(self.ran_s, 3),
            }
        return json.dumps(fields)


def memory_in(meta: Mapping[str, str]) -> ClockMemory | None:
    """Return the clock's memory in the store's meta; None before the first runner."""
    if KEY not in meta:
        return None
    known = json.loads(meta[KEY])
    span = None
    if "from" in known:
        span = Reopened(
            begin=from_microseconds(known["from"]), end=from_microseconds(known["until"])
        )
    return ClockMemory(
        seen=from_microseconds(known["seen"]),
        latest=from_microseconds(known["latest"]),
        reopened=span,
        went_back_at=from_microseconds(known["at"]) if span else None,
        ran_s=known.get("ran_s", 0.0),
    )


def wrong_clock_words(now: datetime, released: datetime) -> str:
    """Return why nothing fires while the clock reads a time before the program's release."""
    return (
        f"the clock reads {now:%Y-%m-%d %H:%M:%S} UTC, earlier than the release of this version "
        f"({released:%Y-%m-%d}): nothing fires until the clock is set"
    )


class ClockWatch:
    """Looks at the clock in each turn. A step stays pending until `accept` confirms its commit.

    `trouble` says why the clock cannot be trusted; None if it can. `awaited_from` is when
    the runner started, or when the clock last went forward.
    """

    def __init__(self, clock: Clock, meta: Mapping[str, str], *, released: datetime) -> None:
        self.trouble: str | None = None
        self.awaited_from = clock.now()
        self._clock = clock
        self._released = released
        self._steps = StepDetector(clock)
        self._elapsed_s = self._saved_s = clock.elapsed_s()
        self._memory = memory_in(meta)
        self._seen = self._memory.seen if self._memory else self.awaited_from
        self._latest = self._memory.latest if self._memory else self.awaited_from
        self._ran_s = self._memory.ran_s if self._memory else 0.0
        self._pending_s = 0.0
        self._behind = timedelta()
        self._is_back = self._distrust(self.awaited_from)
        if not self._is_back:
            self._note_behind(self.awaited_from)

    def look(self) -> ClockStep | None:
        """Read the clock; return the pending step, or None."""
        elapsed_s, now, step_s = self._clock.elapsed_s(), self._clock.now(), self._steps.look()
        self._ran_s += elapsed_s - self._elapsed_s
        self._elapsed_s = elapsed_s
        self._pending_s += step_s
        if step_s > 0:
            self.awaited_from = now
        if self._distrust(now):
            self._is_back = True
            return self._step(None)
        if self._is_back:
            self._is_back = False
            self._note_behind(now)
        # Small steps add up in `_pending_s` and `_behind` until one is committed.
        elif step_s < 0:
            self._behind += timedelta(seconds=step_s)
        # The comparison with `_latest` also finds a clock that falls back bit by bit, in
        # steps too small to notice.
        reopened = Reopened(begin=now, end=self._latest) if went_back(self._latest, now) else None
        if reopened is not None:
            self._pending_s = self._pending_s or (now - self._latest).total_seconds()
            self.awaited_from = min(self.awaited_from, now)
        self._seen = now
        if now > self._latest:
            self._latest = now
        return self._step(reopened)

    @property
    def doubt(self) -> str | None:
        """Why the clock is wrong, or was until lately; None if it can be relied on."""
        reopened = self._memory.reopened if self._memory is not None else None
        if self.trouble is not None or reopened is None:
            return self.trouble
        until = f"{reopened.end:%Y-%m-%d %H:%M:%S} UTC"
        return f"the clock went back; fires until {until} run only on time"

    @property
    def is_forgetting_due(self) -> bool:
        """Whether the runner has run long enough since the clock went back."""
        return self._is_treating_apart and self._ran_s >= FORGET_AFTER.total_seconds()

    @property
    def is_saving_due(self) -> bool:
        """Whether to save the running time after a step back, although nothing else happens."""
        return self._is_treating_apart and self._elapsed_s - self._saved_s >= SAVE_EVERY_S

    def memory(self) -> dict[str, str]:
        """Return what the store should keep now; nothing while the clock is wrong."""
        if self.trouble is not None:
            return {}
        self._saved_s = self._elapsed_s
        known = self._memory
        return _meta(
            ClockMemory(
                seen=self._seen,
                latest=self._latest,
                reopened=known.reopened if known else None,
                went_back_at=known.went_back_at if known else None,
                ran_s=self._ran_s,
            )
        )

    def memory_after(self, step: ClockStep | None) -> dict[str, str]:
        """Return what the store should keep once `step` is committed.

        None stands for the commit that forgets the verdicts of a former step.
        """
        if self.trouble is not None:
            return {}
        if step is not None and step.reopened is None:
            return self.memory()
        return _meta(self._memory_after(step))

    def accept(self, step: ClockStep | None) -> None:
        """Go on from a committed step; None: the verdicts of a former step are forgotten."""
        # A small step changes no memory: `_latest` stays, so that further ones add up.
        if step is None or step.reopened is not None:
            self._memory = self._memory_after(step)
            self._latest, self._ran_s = self._memory.latest, 0.0
        if step is not None:
            self._pending_s, self._behind = 0.0, timedelta()

    @property
    def _is_treating_apart(self) -> bool:
        return self._memory is not None and self._memory.reopened is not None

    def _memory_after(self, step: ClockStep | None) -> ClockMemory:
        if step is None or step.reopened is None:
            return ClockMemory(seen=self._seen, latest=self._latest)
        at, end = step.reopened.begin, step.reopened.end
        if self._memory is not None and self._memory.reopened is not None:
            # The clock went back again before the first span was over: both count as one.
            end = max(end, self._memory.reopened.end)
        return ClockMemory(
            seen=at, latest=at, reopened=Reopened(begin=at, end=end), went_back_at=at
        )

    def _distrust(self, now: datetime) -> bool:
        if now >= self._released:
            self.trouble = None
        elif self.trouble is None:  # keep the message of the first moment
            self.trouble = wrong_clock_words(now, self._released)
        return self.trouble is not None

    def _note_behind(self, now: datetime) -> None:
        """Compare with the last trusted reading: a former runner's, or this one's own."""
        behind = now - self._seen
        if behind < -_SECOND:
            self._behind += behind
            self._pending_s = self._pending_s or behind.total_seconds()

    def _step(self, reopened: Reopened | None) -> ClockStep | None:
        if not self._pending_s:
            return None
        return ClockStep(seconds=round(self._pending_s, 6), behind=self._behind, reopened=reopened)


def _meta(memory: ClockMemory) -> dict[str, str]:
    return {KEY: memory.text()}
