"""Follows changes of runner.yaml: who is notified of alerts, and how.

Only these keys are live. A restart applies the others: they name the places of a runner, or
bound what runs already. A thread looks at the file, because its disk may hang. A refused
file changes nothing: the last good settings stay in force.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from runner.errors import RunnerError
from runner.monitor.events import runner_reloaded
from runner.requests.file_settings import FileSettings
from runner.requests.files.permissions import is_guarded
from runner.requests.receivers import AlertSettings
from runner.requests.settings import NAME
from runner.requests.settings_file import settings_beside
from runner.service.deciding.decision_maker import DecisionMaker
from runner.service.notifying.messenger import Messenger
from runner.service.runner_settings import Settings
from runner.system.background_calls import BackgroundThread, Pending
from runner.system.clock import Clock
from runner.system.regular_files import Signature, signature_of
from runner.system.trust import own_trust

_LOOK_EVERY_S = 0.5
_Found = tuple[Signature | None, FileSettings | str | None]
"""The file's signature and, if it was read, its values or why they are refused."""


class SettingsWatch:
    """Puts changed alert settings in force; the loop calls `advance` in each turn."""

    def __init__(
        self, settings: Settings, clock: Clock, *, messenger: Messenger, decisions: DecisionMaker
    ) -> None:
        self._jobs, self._first = settings.jobs, settings.from_file
        self._clock = clock
        self._messenger = messenger
        self._decisions = decisions
        self._background = BackgroundThread("settings")
        self._pending: Pending[_Found] | None = None
        self._look_at_s = 0.0
        self._seen: Signature | None = None
        """At the last look. A file is read once two looks in a row see the same."""
        self._read: Signature | None = None
        self._is_refused = False

    def advance(self) -> None:
        """Take the result of a look, or begin the next one."""
        if self._pending is None:
            if self._look_at_s <= self._clock.elapsed_s():
                self._look_at_s = self._clock.elapsed_s() + _LOOK_EVERY_S
                look = partial(_look, self._jobs, self._seen, self._read)
                with suppress(RuntimeError):  # the system cannot start a thread now
                    self._pending = self._background.begin(look)
        elif self._pending.is_over:
            pending, self._pending = self._pending, None
            self._take(*pending.result())

    def close(self) -> None:
        """End the thread."""
        self._background.close()

    def _take(self, seen: Signature | None, found: FileSettings | str | None) -> None:
        self._seen = seen
        if found is None or (message := self._news(found)) is None:
            self._read = seen if found is not None else self._read
            return
        decision = self._decisions.begin()
        decision.record(runner_reloaded(self._decisions.about(), message=message))
        if not self._decisions.commit(decision):
            return  # the next look reads the file again
        self._read = seen
        self._is_refused = isinstance(found, str)
        if isinstance(found, FileSettings):
            self._messenger.use(found.alerts)

    def _news(self, found: FileSettings | str) -> str | None:
        """Return what a read file changes, in words; None for nothing."""
        if isinstance(found, str):
            return f"{NAME} is refused, and its last good version stays in force: {found}"
        is_changed = found.alerts != self._messenger.settings
        others = [replace(each, alerts=AlertSettings()) for each in (found, self._first)]
        parts = ["its receivers and alerts are in force"] if is_changed else []
        parts += ["`runner restart` applies its other keys"] if others[0] != others[1] else []
        if not parts and self._is_refused:
            parts = ["it is valid again"]
        return f"{NAME} has changed: {', and '.join(parts)}" if parts else None


def _look(jobs: Path, seen: Signature | None, read: Signature | None) -> _Found:
    """Look at the file; read it if it changed and is quiet."""
    file = jobs.absolute().parent / NAME
    now = _signature(file)
    if now == read or now != seen:
        return now, None
    try:
        found: FileSettings | str = settings_beside(jobs, own_trust() if is_guarded() else None)
    except (RunnerError, OSError) as error:
        found = "; ".join(str(error).splitlines())
    return (now, found) if _signature(file) == now else (now, None)


def _signature(file: Path) -> Signature | None:
    """Return what a file looks like; None if it is missing, or cannot be looked at."""
    try:
        return signature_of(file.stat())
    except OSError:
        return None
