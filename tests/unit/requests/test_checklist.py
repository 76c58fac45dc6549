"""The rows of Openbravo's checklist about requests; our decision counts where it differs."""

from __future__ import annotations

from pathlib import Path

import pytest

from runner.lifecycle import Misfire
from runner.requests.catalog.catalog_reader import CatalogReader
from runner.requests.model import ProcessRequest, RunImmediately, RunLater, Schedule
from runner.timing.rules import Cron, Daily


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def reported(folder: Path, text: str) -> dict[str, str]:
    (folder / "a.yaml").write_text(text)
    return {
        problem.path: str(problem)
        for problem in CatalogReader(folder, default_zone="UTC").read().problems
    }


def request(folder: Path, text: str) -> ProcessRequest:
    assert reported(folder, text) == {}
    return CatalogReader(folder, default_zone="UTC").read().requests["a"]


def timing(fields: str) -> str:
    return f"process: {{shell: x}}\ntiming: {fields}\n"


def schedule(fields: str) -> str:
    return timing(f"{{schedule: {{{fields}}}}}")


def test_row_01_without_a_timing_a_request_is_a_definition_and_not_run_immediately(
    folder: Path,
) -> None:
    assert request(folder, "process: {shell: x}").timing is None
    assert request(folder, timing("run_immediately")).timing == RunImmediately()


def test_row_02_the_frequency_has_no_default_and_every_1_day_is_the_default_of_daily(
    folder: Path,
) -> None:
    assert "`frequency` is missing" in reported(folder, schedule("at: 10:00"))["timing.schedule"]
    daily = request(folder, schedule("frequency: daily, at: 10:00")).timing
    assert isinstance(daily, Schedule)
    assert daily.rule.pattern == Daily(interval=1)


def test_row_03_a_process_is_exactly_one_thing(folder: Path) -> None:
    assert "needs one of" in reported(folder, "process: {directory: x}")["process"]
    both = reported(folder, "process: {shell: x, group: {members: [{request: a}]}}")
    assert "exactly one of" in both["process.shell"]


def test_row_07_run_later_refuses_a_finish_instead_of_ignoring_it(folder: Path) -> None:
    found = reported(folder, timing("{run_later: {start: 2026-12-24 18:00, finish: 2026-12-25}}"))
    assert "`finish` is not a key of `run_later`" in found["timing.run_later.finish"]


def test_row_08_and_09_without_a_start_nothing_depends_on_today_or_now(folder: Path) -> None:
    hourly = request(folder, schedule("frequency: hourly")).timing
    assert isinstance(hourly, Schedule)
    assert hourly.rule.start is None
    assert "`start` is missing" in reported(folder, timing("{run_later: {}}"))["timing.run_later"]


def test_row_10_weekly_without_a_start_needs_a_time_of_day(folder: Path) -> None:
    found = reported(folder, schedule("frequency: weekly, days: [monday]"))
    assert any("`at` is missing" in message for message in found.values())
    assert reported(folder, schedule("frequency: weekly, days: [monday], at: 10:00")) == {}


@pytest.mark.parametrize("interval", ["0", "-1", "1.5", "x", ""])
@pytest.mark.parametrize("frequency", ["secondly", "minutely", "hourly", "daily"])
def test_row_15_an_interval_below_1_is_refused(folder: Path, frequency: str, interval: str) -> None:
    found = reported(
        folder,
        schedule(f"frequency: {frequency}, at: 10:00, interval: {interval}").replace(
            "at: 10:00, " if frequency != "daily" else "\0", ""
        ),
    )
    assert set(found) == {"timing.schedule.interval"}


@pytest.mark.parametrize("days", ["days: [], ", ""])
def test_row_23_weekly_without_a_day_is_refused(folder: Path, days: str) -> None:
    assert "days" in " ".join(
        reported(folder, schedule(f"frequency: weekly, {days}at: 10:00")).values()
    )


@pytest.mark.parametrize(
    "expression", ["'61 * * * *'", "'* * * *'", "nonsense", "''", "'0 0 31 2 *'"]
)
def test_row_28_a_malformed_cron_expression_is_refused(folder: Path, expression: str) -> None:
    found = reported(folder, schedule(f"frequency: cron, expression: {expression}"))
    assert set(found) == {"timing.schedule.expression"}


def test_row_31_a_finish_before_the_start_is_refused(folder: Path) -> None:
    found = reported(
        folder, schedule("frequency: hourly, start: 2026-02-01 10:00, finish: 2026-01-01 10:00")
    )
    assert list(found) == ["timing.schedule.finish"]


def test_row_32_a_finish_is_a_date_with_or_without_a_time_and_nothing_less(folder: Path) -> None:
    for finish in ("10:00", "", "2026-02-30", "2026-02-01 25:00", "later"):
        found = reported(folder, schedule(f"frequency: hourly, finish: {finish}"))
        assert list(found) == ["timing.schedule.finish"], finish
    for finish in ("2026-02-01", "2026-02-01 10:00"):
        assert reported(folder, schedule(f"frequency: hourly, finish: {finish}")) == {}


def test_row_33_missed_fires_of_cron_are_not_run_unless_the_request_says_so(folder: Path) -> None:
    cron = request(folder, schedule("frequency: cron, expression: '0 3 * * *'")).timing
    assert isinstance(cron, Schedule)
    assert (cron.rule.pattern, cron.misfire) == (Cron(expression="0 3 * * *"), Misfire.SKIP)
    once = request(
        folder, schedule("frequency: cron, expression: '0 3 * * *', misfire: fire_once")
    ).timing
    assert isinstance(once, Schedule)
    assert once.misfire is Misfire.FIRE_ONCE
    later = request(folder, timing("{run_later: {start: 2026-12-24 18:00}}")).timing
    assert isinstance(later, RunLater)
    assert later.misfire is Misfire.FIRE_ONCE


def test_row_34_the_grace_is_60_seconds_unless_the_request_says_otherwise(folder: Path) -> None:
    for fields, seconds in (("", 60), (", misfire_grace: 5m", 300)):
        made = request(folder, schedule(f"frequency: hourly{fields}")).timing
        assert isinstance(made, Schedule)
        assert made.misfire_grace.total_seconds() == seconds
