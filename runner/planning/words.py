"""Timings in plain English. Pure."""

from __future__ import annotations

from runner.requests.model import RunImmediately, RunLater, Schedule, Timing
from runner.values import instant_text


def timing_words(timing: Timing | None) -> str:
    """Say what a timing means."""
    match timing:
        case None:
            return "no timing: a definition, it runs when it is asked for"
        case RunImmediately():
            return "run immediately: once, when it is first seen"
        case RunLater(start=start):
            return f"run later: once, at {instant_text(start)}"
        case Schedule(rule=rule):
            return rule.key
