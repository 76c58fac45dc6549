"""Everything needed to start the process of an execution. Types only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from runner.requests.model import Limits, RunAs


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchCondition:
    """A program that runs before the process and decides whether it runs."""

    arguments: tuple[str, ...]
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """Everything needed to start a process."""

    execution: str
    arguments: tuple[str, ...]
    """As for exec. A program without a slash is found by PATH of `environment`; one with
    a slash is relative to `directory`. With `is_callable`: package.module:function alone.
    """
    directory: str
    environment: Mapping[str, str]
    """The complete environment. RUNNER_EXECUTION_ID in it identifies the process tree.
    Under `run_as`, the variables of a login are added where it has none.
    """
    output_file: str
    """Receives stdout and stderr; created with its folder."""
    stop_signal: int
    stop_grace_s: float
    timeout_s: float | None
    condition: LaunchCondition | None = None
    stdin: str | None = None
    run_as: RunAs | None = None
    umask: int | None = None
    nice: int | None = None
    limits: Limits | None = None
    output_limit: int | None = None
    """Bytes of output after which the process is stopped."""
    secrets: frozenset[str] = frozenset()
    """Values to mask in the output and in all messages."""
    is_callable: bool = False
    is_stderr_reported: bool = False
    """Whether the exit must say if the process wrote to stderr."""
    failing_texts: tuple[str, ...] = ()
    """The exit must say if the masked output contains one of these texts."""

    @property
    def is_supervised(self) -> bool:
        """Whether a supervisor relays the output of the process."""
        return bool(self.secrets or self.is_stderr_reported or self.failing_texts)
