"""Decides when a changing folder is still enough to be read. Pure.

A change makes the folder restless until a reading begins. The reading begins after a
moment of quiet, after two glances without a difference, or at the latest after
`PATIENCE_S`; git's index.lock holds it back as long. A glance reads changed files ahead,
so that the reading itself is short.
"""

from __future__ import annotations

from enum import StrEnum

from runner.lifecycle import IllegalTransitionError

QUIET_S = 0.15
"""How long the folder must be quiet before it is read, in seconds.

After a long series of changes, half of the series' length counts instead,
"""
LONGEST_QUIET_S = 0.6
"""but at most this."""
GLANCE_S = 0.03
"""After this much quiet, files are read ahead; the later scan then only compares stats."""
GLANCE_EVERY_S = 0.5
"""How often a folder without quiet is read ahead.

If two such looks find no difference, the folder counts as quiet.
"""
LATE_S = 0.05
"""If a check ran this late, the process was stalled, and perhaps the watcher too.

Events may be missing then, so the check waits for quiet once more.
"""
PATIENCE_S = 10.0
"""How long at most a restless folder, or git's index.lock, delays a reading."""
RETRY_S = 0.05
"""How long to wait before looking again whether git still works on the folder."""


class FolderState(StrEnum):
    """What is known of the folder."""

    QUIET = "quiet"
    """Nothing has changed since the last reading began."""
    RESTLESS = "restless"
    GLANCED = "glanced"
    """Restless, and read ahead at least once."""
    STILL = "still"
    """Ready to be read without a wait: a command said so, or two equal glances did."""
    HELD = "held by git"
    """Ready to be read, but git is changing the folder."""


class FolderEvent(StrEnum):
    """What happens to the folder, or is found out about it."""

    CHANGE = "a change"
    COMMAND = "a command to read at once"
    SAME = "a glance without a difference"
    DIFFERENT = "a glance with a difference"
    LOCK = "git's index.lock"
    READING = "the start of a reading"


_TRANSITIONS = {
    (FolderState.QUIET, FolderEvent.CHANGE): FolderState.RESTLESS,
    (FolderState.QUIET, FolderEvent.COMMAND): FolderState.STILL,
    (FolderState.RESTLESS, FolderEvent.CHANGE): FolderState.RESTLESS,
    (FolderState.RESTLESS, FolderEvent.COMMAND): FolderState.STILL,
    (FolderState.RESTLESS, FolderEvent.SAME): FolderState.GLANCED,
    (FolderState.RESTLESS, FolderEvent.DIFFERENT): FolderState.GLANCED,
    (FolderState.RESTLESS, FolderEvent.LOCK): FolderState.HELD,
    (FolderState.RESTLESS, FolderEvent.READING): FolderState.QUIET,
    (FolderState.GLANCED, FolderEvent.CHANGE): FolderState.GLANCED,
    (FolderState.GLANCED, FolderEvent.COMMAND): FolderState.STILL,
    (FolderState.GLANCED, FolderEvent.SAME): FolderState.STILL,
    (FolderState.GLANCED, FolderEvent.DIFFERENT): FolderState.GLANCED,
    (FolderState.GLANCED, FolderEvent.LOCK): FolderState.HELD,
    (FolderState.GLANCED, FolderEvent.READING): FolderState.QUIET,
    # Neither a change nor git's lock takes back a command or two equal glances.
    (FolderState.STILL, FolderEvent.CHANGE): FolderState.STILL,
    (FolderState.STILL, FolderEvent.COMMAND): FolderState.STILL,
    (FolderState.STILL, FolderEvent.SAME): FolderState.STILL,
    (FolderState.STILL, FolderEvent.DIFFERENT): FolderState.STILL,
    (FolderState.STILL, FolderEvent.LOCK): FolderState.STILL,
    (FolderState.STILL, FolderEvent.READING): FolderState.QUIET,
    # Git writes while it holds the folder, so the quiet before the lock proves nothing.
    (FolderState.HELD, FolderEvent.CHANGE): FolderState.RESTLESS,
    (FolderState.HELD, FolderEvent.COMMAND): FolderState.STILL,
    (FolderState.HELD, FolderEvent.SAME): FolderState.HELD,
    (FolderState.HELD, FolderEvent.DIFFERENT): FolderState.HELD,
    (FolderState.HELD, FolderEvent.LOCK): FolderState.HELD,
    (FolderState.HELD, FolderEvent.READING): FolderState.QUIET,
}


class Stillness:
    """The series of changes since the last reading began. Times are elapsed seconds.

    `is_watched` says whether changes are notified, so that silence proves something. A
    series whose begin was found without a notification counts as unwatched.
    """

    def __init__(self) -> None:
        self.state = FolderState.QUIET
        self._since_s = self._changed_at_s = 0.0  # the first and the last change
        self._held_until_s = 0.0
        self._glance_at_s: float | None = None
        self._is_unnotified = False
        self._is_doubted = False

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has changed since the last reading began."""
        return self.state is FolderState.QUIET

    @property
    def glance_at_s(self) -> float | None:
        """When to glance at the folder; None if no glance is planned."""
        return self._glance_at_s

    def note_change(self, now_s: float, *, is_notified: bool = True) -> None:
        """Note a change of the folder; it may have been found without a notification."""
        if self.is_quiet:
            self._since_s, self._glance_at_s = now_s, now_s + GLANCE_S
        self._is_unnotified |= not is_notified
        self._changed_at_s, self._is_doubted = now_s, False
        self._pass(FolderEvent.CHANGE)

    def note_command(self, now_s: float) -> None:
        """Note a command to read the folder without waiting for quiet."""
        self.note_change(now_s)
        self._glance_at_s = None
        self._pass(FolderEvent.COMMAND)

    def note_lock(self, now_s: float) -> bool:
        """Hold the reading, and a glance, back for git; return False after `PATIENCE_S`."""
        if now_s - self._since_s >= PATIENCE_S:
            return False
        self._held_until_s = now_s + RETRY_S
        self._pass(FolderEvent.LOCK)
        return True

    def begin_glance(self) -> None:
        """Note the start of a glance; `end_glance` plans the next one."""
        self._glance_at_s = None

    def delay_glance(self, now_s: float) -> None:
        """Glance a little later, because git is changing the folder."""
        self._glance_at_s = now_s + RETRY_S

    def end_glance(self, now_s: float, *, is_different: bool, is_watched: bool) -> None:
        """Note the result of a glance: two looks that agree make the folder still."""
        self._pass(FolderEvent.DIFFERENT if is_different else FolderEvent.SAME)
        if self.state is not FolderState.STILL:
            every_s = GLANCE_EVERY_S if self._is_silence_proof(is_watched) else QUIET_S
            self._glance_at_s = now_s + every_s

    def begin_reading(self) -> None:
        """Note the start of a reading: the next change begins a new series."""
        self._pass(FolderEvent.READING)
        self._glance_at_s, self._is_unnotified = None, False

    def ready_at_s(self, *, is_watched: bool) -> float | None:
        """Return when the folder may be read, if nothing else happens; None if it is quiet."""
        if self.is_quiet:
            return None
        return max(self._quiet_at_s(is_watched), self._held_until_s)

    def is_ready(self, now_s: float, *, is_watched: bool) -> bool:
        """Return whether the folder may be read now."""
        ready_at_s = self.ready_at_s(is_watched=is_watched)
        return ready_at_s is not None and now_s >= ready_at_s

    def confirm(self, now_s: float, *, looked_at_s: float, is_watched: bool) -> bool:
        """Return whether a folder that is ready was looked at in time, and may be read.

        `looked_at_s` is the time of the last look before this one. If this look came much
        later than it was due, the process was stalled, so the wait for quiet begins again;
        but only once in a series of changes.
        """
        ready_at_s = self.ready_at_s(is_watched=is_watched)
        assert ready_at_s is not None, "only a folder that is ready is confirmed"
        is_late = now_s - max(ready_at_s, looked_at_s) > LATE_S
        if is_late and self._is_silence_proof(is_watched) and self.state is not FolderState.STILL:
            self._doubt(now_s)
        return self.is_ready(now_s, is_watched=is_watched)

    def _doubt(self, now_s: float) -> None:
        if not self._is_doubted:
            self._changed_at_s, self._is_doubted = now_s, True
            self._pass(FolderEvent.CHANGE)

    def _quiet_at_s(self, is_watched: bool) -> float:
        if self.state in (FolderState.STILL, FolderState.HELD):
            return self._since_s
        latest_s = self._since_s + PATIENCE_S
        if not self._is_silence_proof(is_watched):
            return latest_s
        # A writer that has been writing for long may pause until the disk accepts more.
        lasted_s = self._changed_at_s - self._since_s
        quiet_s = min(max(QUIET_S, lasted_s / 2), LONGEST_QUIET_S)
        return min(self._changed_at_s + quiet_s, latest_s)

    def _is_silence_proof(self, is_watched: bool) -> bool:
        return is_watched and not self._is_unnotified

    def _pass(self, event: FolderEvent) -> None:
        if (self.state, event) not in _TRANSITIONS:
            raise IllegalTransitionError(
                f"{event} is not possible in a folder that is {self.state}"
            )
        self.state = _TRANSITIONS[self.state, event]
