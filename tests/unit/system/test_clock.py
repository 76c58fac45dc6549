"""Detecting a step of the clock from one look to the next."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from runner.system.clock import StepDetector

NOON = datetime(2026, 1, 22, 12, tzinfo=UTC)


class HeldUp:
    """A clock whose reader is paused between readings, for the given times in order."""

    def __init__(self) -> None:
        self.passed_s = 1000.0
        self.set_by_s = 0.0
        self._pauses_s: list[float] = []

    def hold_up(self, pauses_s: Iterable[float]) -> None:
        self._pauses_s = list(pauses_s)

    def now(self) -> datetime:
        self._pause()
        return NOON + timedelta(seconds=self.passed_s + self.set_by_s)

    def elapsed_s(self) -> float:
        self._pause()
        return self.passed_s

    def _pause(self) -> None:
        self.passed_s += self._pauses_s.pop(0) if self._pauses_s else 0.0


@pytest.mark.parametrize(
    "pauses_s", [[2.0], [0.0, 2.0], [0.0, 0.0, 2.0], [3.0] * 5, [3.0] * 100], ids=str
)
def test_a_pause_between_two_readings_does_not_count_as_a_step(pauses_s: list[float]) -> None:
    clock = HeldUp()
    detector = StepDetector(clock)
    clock.hold_up(pauses_s)
    assert detector.look() == 0.0
    clock.hold_up([])
    assert detector.look() == 0.0


def test_a_step_is_reported_once_and_less_than_a_second_is_ignored() -> None:
    clock = HeldUp()
    detector = StepDetector(clock)
    clock.set_by_s = -90.0
    assert [detector.look(), detector.look()] == [-90.0, 0.0]
    clock.set_by_s += 0.9
    assert detector.look() == 0.0


def test_a_step_during_long_pauses_is_reported_later() -> None:
    clock = HeldUp()
    detector = StepDetector(clock)
    clock.set_by_s = 60.0
    clock.hold_up([3.0] * 100)
    assert detector.look() == 0.0
    clock.hold_up([])
    assert detector.look() == 60.0
