"""The pictures: what they say in shapes and in words."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from xml.etree import ElementTree

from runner.history.reading.query import StripBar
from runner.web.pages.drawing.duration_chart import Point, duration_chart
from runner.web.pages.drawing.progress import bar
from runner.web.pages.drawing.strip import strip
from runner.web.pages.drawing.timeline import Span, key, lane, settled, window_at

NOW = datetime(2026, 11, 30, 7, 42, tzinfo=UTC)
HOSTILE = '"><script>alert(1)</script>'


def span(kind: str, hours_ago: float, minutes: float = 5, execution: str | None = None) -> Span:
    begin = NOW - timedelta(hours=hours_ago)
    end = begin + timedelta(minutes=minutes)
    return Span(kind=kind, begin=begin, end=end, execution=execution, words=HOSTILE)


def classes_of(svg: str) -> list[str]:
    return [str(each.get("class")) for each in ElementTree.fromstring(svg).iter() if each.get("d")]


def test_the_window_is_24_whole_hours_around_now() -> None:
    window = window_at(NOW)
    assert (window.end - window.begin, window.begin.minute) == (timedelta(hours=24), 0)
    assert window.begin < NOW < window.end
    assert [place for place, _ in window.ticks] == [hour / 8 for hour in range(8)]


def test_a_failure_before_a_success_needs_nobody() -> None:
    kinds = [each.kind for each in settled([span("bad", 3), span("ok", 2), span("bad", 1)])]
    assert kinds == ["past", "ok", "bad"]


def test_a_lane_draws_successes_as_one_shape_and_links_each_failure() -> None:
    spans = [span("ok", hour) for hour in range(2, 10)]
    svg = str(lane("backup", [*spans, span("bad", 1, execution="0190")], window_at(NOW)))
    assert classes_of(svg) == ["ok", "bad", "now"]
    assert 'href="/executions/0190"' in svg
    assert 'aria-label="backup: 8 succeeded, 1 failing"' in svg


def test_successes_that_touch_become_one_bar_so_a_busy_lane_stays_small() -> None:
    each_minute = [span("ok", minute / 60, 1) for minute in range(1200)]
    assert len(str(lane("ping", each_minute, window_at(NOW)))) < 1000


def test_a_lane_of_failures_alone_is_bounded() -> None:
    failures = [span("bad", minute / 60, 1, "0190") for minute in range(1200)]
    assert str(lane("ping", failures, window_at(NOW))).count("<a ") == 40


def test_what_is_older_than_the_window_is_left_out() -> None:
    assert "nothing ran" in str(lane("backup", [span("ok", 48)], window_at(NOW)))


def test_the_key_explains_the_kinds_that_the_lanes_have() -> None:
    lanes = [
        lane("backup", [span("bad", 3), span("ok", 2)], window_at(NOW)),
        lane("ping", [span("ok", 1), span("planned", -1)], window_at(NOW)),
    ]
    assert [words for _, words in key(lanes)] == ["success", "failed, recovered", "to come"]
    assert [classes_of(sample) for sample, _ in key(lanes)] == [["ok"], ["past"], ["planned"]]
    assert key([]) == []


def bars_in(svg: str) -> list[tuple[str, float, float]]:
    """Return the class, x and height of each bar of a strip, from left to right."""
    found = [
        (str(path.get("class")), float(x), float(height))
        for path in ElementTree.fromstring(svg).findall("path")
        for x, height in re.findall(r"M([\d.]+) [\d.]+h[\d.]+v([\d.]+)", str(path.get("d")))
    ]
    return sorted(found, key=lambda bar: bar[1])


def test_the_newest_bar_of_a_strip_is_at_the_right_and_the_longest_the_highest() -> None:
    bars = [StripBar(status="success", duration_s=each) for each in (1.0, 4.0, 2.0)]
    drawn = bars_in(str(strip(bars)))
    assert drawn[1][2] == max(height for _, _, height in drawn) == 20
    assert drawn[-1][1] == 145


def test_a_strip_draws_a_failure_as_over_once_the_request_succeeded() -> None:
    bars = [StripBar(status=each, duration_s=1.0) for each in ("error", "success", "error")]
    svg = str(strip(bars))
    assert [kind for kind, _, _ in bars_in(svg)] == ["past", "ok", "bad"]
    assert "last 3 executions: 2 failed" in svg
    assert "never executed" in str(strip([]))


def test_a_chart_marks_durations_without_flattening_the_dots() -> None:
    points = [
        Point(execution="0190", status="success", duration_s=each, words="Mon")
        for each in (10.0, 12.0, 11.0)
    ]
    svg = str(duration_chart(points, {"p50": 11.0, "p95": 12.0, "expect": 3600.0}))
    heights = [float(each) for each in re.findall(r'cy="([\d.]+)"', svg)]
    assert max(heights) - min(heights) > 15
    assert "expect 1h" in svg
    labels = sorted(float(each) for each in re.findall(r'<text x="0" y="(-?[\d.]+)"', svg))
    assert all(later - earlier >= 12 for earlier, later in pairwise(labels))


def test_every_picture_escapes_the_words_of_strangers() -> None:
    pictures = (
        lane(HOSTILE, [span("bad", 1, execution="0190"), span("killed", 2)], window_at(NOW)),
        duration_chart([Point(execution=HOSTILE, status="error", duration_s=1, words=HOSTILE)], {}),
        bar("ok", 0.1, 0.2, HOSTILE),
    )
    for picture in pictures:
        ElementTree.fromstring(str(picture))
        assert "<script" not in picture


def test_a_bar_stays_inside_its_track() -> None:
    assert 'x="99.6%"' in str(bar("ok", 3.0, 4.0, "late"))
    assert 'width="0.4%"' in str(bar("ok", 0.5, 0.5, "short"))
