from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from runner.values import instant_text
from runner.web.pages.in_progress import Running, running

NOW = datetime(2026, 11, 30, 7, 42, tzinfo=UTC)


def record(request: str, *, seconds: float, **more: object) -> dict[str, Any]:
    started = instant_text(NOW - timedelta(seconds=seconds))
    return {"execution": f"0190-{request}", "request": request, "started": started, **more}


def only(records: list[dict[str, Any]], usual_s: dict[str, float]) -> Running:
    (found,) = running(records, usual_s, NOW)
    return found


def test_an_execution_is_shown_against_its_usual_duration() -> None:
    found = only([record("backup", seconds=30)], {"backup": 120.0})
    assert (found.usually, found.left) == ("usually 2m", "1m30s")
    assert 'width="25%"' in str(found.progress)
    assert "running" in str(found.progress)


def test_an_execution_far_over_its_usual_duration_stands_out_and_promises_no_end() -> None:
    found = only([record("backup", seconds=300)], {"backup": 120.0})
    assert found.left is None
    assert 'class="over"' in str(found.progress)


def test_without_a_past_there_is_no_usual_duration() -> None:
    found = only([record("backup", seconds=30)], {})
    assert (found.usually, found.left, found.progress) == (None, None, None)


def test_the_longest_running_come_first_and_members_are_left_out() -> None:
    records = [
        record("new", seconds=1),
        record("old", seconds=99),
        record("old", seconds=98, group="0190", process="old/extract"),
    ]
    assert [each.name for each in running(records, {}, NOW)] == ["old", "new"]
