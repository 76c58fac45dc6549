"""The findings of an examination. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters. A problem breaks a guarantee, or lets another user
    control the runner.
    """

    OK = "ok"
    ADVICE = "advice"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class DoctorFinding:
    """The result of a check: what is the case and, unless all is well, how to fix it."""

    check: str
    level: Level
    message: str
    suggestion: str | None = None


def good(check: str, message: str) -> DoctorFinding:
    """Return a finding that all is well."""
    return DoctorFinding(check=check, level=Level.OK, message=message)


def advice(check: str, message: str, suggestion: str) -> DoctorFinding:
    """Return a finding about a possible improvement."""
    return DoctorFinding(check=check, level=Level.ADVICE, message=message, suggestion=suggestion)


def warning(check: str, message: str, suggestion: str) -> DoctorFinding:
    """Return a finding about something that will cause trouble later."""
    return DoctorFinding(check=check, level=Level.WARNING, message=message, suggestion=suggestion)


def problem(check: str, message: str, suggestion: str) -> DoctorFinding:
    """Return a finding about something broken, or exposed to other users."""
    return DoctorFinding(check=check, level=Level.PROBLEM, message=message, suggestion=suggestion)
