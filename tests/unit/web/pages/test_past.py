from __future__ import annotations

from pathlib import Path

from runner.history.reading.index import HistoryIndex
from runner.history.reading.query import Bar, Query, StripBar
from runner.web.pages.past import Past, p95_s, rate_of, usual_s


def bar(status: str, duration_s: float | None, *, is_started: bool = True) -> Bar:
    return Bar(
        execution="0190",
        status=status,
        reason=None,
        time="2026-11-30T07:42:00.000000Z",
        scheduled_for="2026-11-30T07:42:00.000000Z",
        started="2026-11-30T07:42:00.000000Z" if is_started else None,
        duration_s=duration_s,
    )


def test_the_usual_duration_is_the_median_of_what_ran_to_its_end() -> None:
    bars = [
        bar("success", 10.0),
        bar("error", 12.0),
        bar("success", 90.0),
        bar("system_restart", 9000.0),
        bar("skipped", 0.0, is_started=False),
    ]
    assert usual_s(bars) == 12.0
    assert usual_s([]) is None


def test_p95_needs_two_executions_and_lies_among_the_longest() -> None:
    bars = [bar("success", float(seconds)) for seconds in range(1, 101)]
    assert 95 <= (p95_s(bars) or 0) <= 96
    assert p95_s(bars[:1]) is None


def test_the_success_rate_never_rounds_up_to_100() -> None:
    assert rate_of([StripBar("success", 1.0)] * 2999 + [StripBar("error", 1.0)]) == "99.9 %"
    assert rate_of([StripBar("skipped", None)]) is None


def test_without_an_index_the_page_says_that_it_is_being_built(tmp_path: Path) -> None:
    past = Past(HistoryIndex(tmp_path))
    assert past.execution("0190") is None
    assert past.executions(Query(), limit=5).records == ()
    assert (past.bars(["backup"]), past.strips(["backup"])) == ({}, {})
    assert past.notice is not None and "being built" in past.notice
