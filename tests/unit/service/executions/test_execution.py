"""An execution between its claim and its end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.executions_world import NOON, request, world

from runner.service.executions.execution import time_left_s

HOUR = timedelta(hours=1)


@pytest.mark.parametrize("step", [timedelta(), 5 * HOUR, -5 * HOUR])
def test_a_step_of_the_clock_before_a_restart_changes_no_timeout(step: timedelta) -> None:
    (claimed,) = world(request("a", timeout=2 * HOUR)).claim("a")
    adopted = replace(claimed, started=NOON, clock_shift=step)
    assert time_left_s(adopted, NOON + step + HOUR) == 3600
