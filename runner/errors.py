"""Define the errors that a user can cause. Their messages are for that user. Pure.

The reader turns a bad document into `Problem` values, without an exception. Any exception
other than `RunnerError` comes from a bug or from the environment.
"""

from __future__ import annotations

from dataclasses import dataclass


class RunnerError(Exception):
    """The root of these errors.

    Commands print its text unchanged and return `exit_code`.
    """

    exit_code = 1


class UsageError(RunnerError):
    """The command line or a setting is wrong."""

    exit_code = 2


class NoRunnerError(RunnerError):
    """No runner answers on this store."""

    exit_code = 4


class RefusedError(RunnerError):
    """The present state does not allow the action. Nothing changed."""


class StoreError(RunnerError):
    """The store cannot be used. Nothing in it changed."""


class StoreInUseError(StoreError):
    """Another runner owns the store."""


class StoreMissingError(StoreError):
    """The store does not exist, or a runner is still creating it."""


class StoreUnwritableError(StoreError):
    """The store rejected a commit: full disk, read-only, lost folder.

    The caller may retry the same commit.
    """


class LeaseLostError(RunnerError):
    """This node of a fleet does not lead any more. The commit changed nothing.

    It must load the store again before it may lead once more.
    """


class LogUnwritableError(RunnerError):
    """The monitor log took a batch only in part or not at all.

    The caller may retry the missing part.
    """


class RuleError(RunnerError):
    """A timing has a well-formed value that makes no sense.

    `field` is the path of the value below the timing ("schedule", "at"). `suggestion` says
    how to fix it.
    """

    def __init__(
        self, message: str, *, field: tuple[str | int, ...] = (), suggestion: str | None = None
    ) -> None:
        super().__init__(message)
        self.field = field
        self.suggestion = suggestion


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One error at one place of one file.

    `line` and `column` count from 1. `path` is the place inside the document:
    "timing.schedule.at[0]", or "" for the document itself.
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
    """A signal stopped the runner while it was still starting."""

    exit_code = 0
