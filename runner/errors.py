"""The errors a user can cause, worded for that user. Pure.

A bad document is no exception: it becomes `Problem` values where it is read. An
exception that is not a `RunnerError` is a bug or the environment's.
"""

from __future__ import annotations

from dataclasses import dataclass


class RunnerError(Exception):
    """The root: its text is shown to the user as it stands, and `exit_code` is what the
    command returns.
    """

    exit_code = 1


class UsageError(RunnerError):
    """The command line or a setting is wrong."""

    exit_code = 2


class NoRunnerError(RunnerError):
    """No runner answers on this store."""

    exit_code = 4


class RefusedError(RunnerError):
    """What was asked for cannot be done in the present state; nothing was changed."""


class StoreError(RunnerError):
    """The store cannot be used; nothing in it was changed."""


class StoreInUseError(StoreError):
    """Another runner owns the store."""


class StoreMissingError(StoreError):
    """There is no store, or it is only being made."""


class StoreUnwritableError(StoreError):
    """The store did not take a commit (full disk, read-only, lost folder); the same
    commit may be tried again.
    """


class LogUnwritableError(RunnerError):
    """The monitor log did not take (all of) a batch; what is missing may be tried again."""


class RuleError(RunnerError):
    """A value of a timing that is well-formed and cannot be meant so.

    `field` is where, as a path below the timing ("schedule", "at"); `suggestion` is
    what would be right.
    """

    def __init__(
        self, message: str, *, field: tuple[str | int, ...] = (), suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong with one place of one file.

    `line` and `column` count from 1; `path` is the place inside the document
    ("timing.schedule.at[0]", "" for the document itself).
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    suggestion: str | None = None

    def __str__(self) -> str:
        text = f"{self.file}:{self.line}:{self.column}: {self.message}"
        return f"{text} ({self.suggestion})" if self.suggestion else text


class StoppedEarlyError(RunnerError):
    """A signal asked the runner to stop while its start still waited for something."""

    exit_code = 0
