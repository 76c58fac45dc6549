"""What an examination finds. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much a finding matters: a problem breaks a guarantee, or hands the runner to
    somebody else.
    """

    OK = "ok"
    ADVICE = "advice"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One sentence of what is, and, unless all is well, one of what would be right."""

    check: str
    level: Level
    message: str
    suggestion: str | None = None


def good(check: str, message: str) -> Finding:
    """Return a finding that all is well."""
    return Finding(check=check, level=Level.OK, message=message)


def advice(check: str, message: str, suggestion: str) -> Finding:
    """Return a finding of what could be better."""
    return Finding(check=check, level=Level.ADVICE, message=message, suggestion=suggestion)


def warning(check: str, message: str, suggestion: str) -> Finding:
    """Return a finding of what will hurt some day."""
    return Finding(check=check, level=Level.WARNING, message=message, suggestion=suggestion)


def problem(check: str, message: str, suggestion: str) -> Finding:
    """Return a finding of what is broken, or open to others."""
    return Finding(check=check, level=Level.PROBLEM, message=message, suggestion=suggestion)
