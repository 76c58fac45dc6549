"""Pruning outputs by age: not while the clock may be wrong."""

from __future__ import annotations

import os
from pathlib import Path

from support.clock_world import DAY, HOUR, NOON, GivenClock

from runner.execution.output import output_path
from runner.requests.settings import OutputBounds
from runner.service.executions.in_progress import InProgress
from runner.service.housekeeping import OutputPruning
from runner.values import new_id


def kept_output(folder: Path) -> Path:
    """Create an output that was written at noon."""
    path = Path(output_path(folder, new_id()))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    os.utime(path, (NOON.timestamp(), NOON.timestamp()))
    return path


def advance(pruning: OutputPruning, clock: GivenClock) -> None:
    """Let an hour pass, then do all due work."""
    clock.go_on(HOUR)
    for _ in range(10):
        pruning.advance()


def test_ages_count_an_hour_after_the_start_and_after_a_step_of_the_clock(tmp_path: Path) -> None:
    output, clock = kept_output(tmp_path), GivenClock(NOON + 365 * DAY)
    pruning = OutputPruning(tmp_path, 30 * DAY, OutputBounds(), InProgress(), clock)
    pruning.advance()
    assert output.exists(), "at the start the clock may be a year ahead"
    pruning.distrust_clock()
    clock.go_on(HOUR / 2)
    pruning.distrust_clock()
    clock.go_on(HOUR / 2)
    for _ in range(10):
        pruning.advance()
    assert output.exists(), "the clock was set half an hour ago"
    advance(pruning, clock)
    assert not output.exists()


def test_an_output_whose_age_is_within_bounds_is_kept(tmp_path: Path) -> None:
    output, clock = kept_output(tmp_path), GivenClock(NOON)
    pruning = OutputPruning(tmp_path, 30 * DAY, OutputBounds(), InProgress(), clock)
    advance(pruning, clock)
    assert output.exists()
