"""Timings typed on the command line."""

from __future__ import annotations

import pytest

from runner.cli.arguments.expressions import is_expression, timing_from
from runner.errors import RunnerError
from runner.planning.words.timing_words import timing_words


@pytest.mark.parametrize(
    "name", ["backup", "nightly-posting", "a.b_c-1", "daily", "nightly-*", "*", "[a-c]*"]
)
def test_a_name_or_a_glob_is_not_an_expression(name: str) -> None:
    assert not is_expression(name)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 2 * * 1-5", 'cron "0 2 * * 1-5", at 02:00 on Monday through Friday (Europe/Madrid)'),
        ("  0  2 * * * ", 'cron "0 2 * * *", at 02:00 every day (Europe/Madrid)'),
        (
            "{frequency: monthly, day: last_workday, at: 18:00}",
            "every month on the last workday at 18:00 (Europe/Madrid)",
        ),
        ("frequency: daily\nat: '02:00'\ntimezone: UTC", "every day at 02:00 (UTC)"),
        ("{schedule: {frequency: hourly}}", "every hour (Europe/Madrid)"),
        ("{timing: {schedule: {frequency: hourly}}}", "every hour (Europe/Madrid)"),
        ("{timing: run_immediately}", "once, when it is first seen"),
        ("{run_immediately: {}}", "once, when it is first seen"),
        ("run_later: {start: 2026-12-24 18:00}", "once, at 2026-12-24 18:00 (Europe/Madrid)"),
        (
            "{frequency: daily, at: 10:00, except: [2026-12-25]}",
            "every day at 10:00, except on 1 date (Europe/Madrid)",
        ),
    ],
)
def test_an_expression_is_cron_syntax_or_a_timing_as_in_the_files(text: str, words: str) -> None:
    assert is_expression(text)
    assert timing_words(timing_from(text, zone="Europe/Madrid")) == words


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0 0 31 2 *", "can never fire"),
        ("61 2 * * *", r"'61' is not a valid minute in a cron expression \(allowed are 0-59\)"),
        ("1 2 3", "it has 3 fields"),
        ("@daily", r'write "0 0 \* \* \*"'),
        ("{frequency: dayly, at: '02:00'}", "did you mean `daily`?"),
        ("{frequency: daily, att: '02:00'}", "did you mean `at`?"),
        ("{frequency: daily}", "at what time of day?"),
        (
            "{frequency: monthly, day: 31, interval: 12, start: '2026-02-01 10:00'}",
            "it can never fire",
        ),
        ("{frequency: hourly, timezone: Europe/Madird}", "did you mean Europe/Madrid?"),
        (
            "{frequency: daily, at: '02:00', except: holidays.txt}",
            "is relative to the folder of a request",
        ),
        ("{frequency: hourly, frequency: daily}", "frequency"),
        ("{frequency: daily", "the bracket opened at line 1 is not closed"),
        ("frequency: : daily", "a second `:` on one line"),
        ("[a: b]", "neither a cron expression nor a mapping"),
        ("a: 1\n---\nb: 2", "neither a cron expression nor a mapping"),
        ("{timing: [1]}", "timing"),
        ("{schedule: 5}", "schedule"),
        ("{: " * 100, "YAML"),
    ],
)
def test_a_wrong_expression_gets_a_clear_message(text: str, message: str) -> None:
    with pytest.raises(RunnerError, match=message):
        timing_from(text, zone="UTC")


def test_all_problems_of_an_expression_are_reported_at_once() -> None:
    with pytest.raises(RunnerError) as caught:
        timing_from("{frequency: dayly, at: 25:00, intervall: 3}", zone="UTC")
    assert len(str(caught.value).splitlines()) > 1
