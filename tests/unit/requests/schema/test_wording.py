"""Rules and problems of documents, in plain English."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest

from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Place
from runner.timing.calendars import Dates
from runner.timing.parsing import parse_rule
from runner.timing.rule_wording import describe


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"frequency": "minutely"}, "every minute"),
        ({"frequency": "secondly", "interval": 5}, "every 5 seconds"),
        ({"frequency": "minutely", "interval": 90}, "every 90 minutes"),
        ({"frequency": "minutely", "interval": 120}, "every 2 hours"),
        ({"frequency": "daily", "at": "02:00"}, "every day at 02:00"),
        (
            {"frequency": "daily", "at": ["14:00", "02:00", "03:00:30"]},
            "every day at 02:00, 03:00:30 and 14:00",
        ),
        ({"frequency": "daily", "at": "02:00", "days": "weekdays"}, "Monday to Friday at 02:00"),
        ({"frequency": "daily", "at": "02:00", "days": "weekends"}, "Saturday and Sunday at 02:00"),
        ({"frequency": "daily", "at": "02:00", "interval": 4}, "every 4 days at 02:00"),
        (
            {"frequency": "weekly", "at": "02:00", "days": ["friday", "monday"]},
            "every Monday and Friday at 02:00",
        ),
        (
            {
                "frequency": "weekly",
                "at": "02:00",
                "days": ["monday", "friday", "sunday"],
                "interval": 2,
            },
            "every 2 weeks (Monday to Sunday) on Monday, Friday and Sunday at 02:00",
        ),
        ({"frequency": "monthly", "at": "02:00", "day": 31}, "every month on day 31 at 02:00"),
        (
            {"frequency": "monthly", "at": "02:00", "day": "last_workday", "interval": 3},
            "every 3 months on the last workday at 02:00",
        ),
        (
            {"frequency": "monthly", "at": "02:00", "day": "second sunday"},
            "every month on the second Sunday at 02:00",
        ),
        (
            {"frequency": "cron", "expression": "30 2 * * *"},
            'cron "30 2 * * *", at 02:30 every day',
        ),
        (
            {
                "frequency": "daily",
                "start": "2026-01-01 02:00",
                "finish": "2027-06-30",
                "repetitions": 3,
            },
            "every day at 02:00, from 2026-01-01 02:00, until the end of 2027-06-30, 4 times",
        ),
        (
            {
                "frequency": "hourly",
                "start": "2026-01-01",
                "finish": "2027-06-30 12:00:01",
                "repetitions": 0,
            },
            "every hour, from 2026-01-01 00:00, until 2027-06-30 12:00:01, once",
        ),
    ],
)
def test_a_rule_reads_like_plain_english(data: dict[str, Any], words: str) -> None:
    assert describe(parse_rule(data, default_zone="Europe/Madrid")) == f"{words} (Europe/Madrid)"


def test_excepted_dates_are_counted() -> None:
    rule = parse_rule(
        {"frequency": "hourly"},
        default_zone="UTC",
        excepted=Dates(days=frozenset({date(2026, 1, 1)})),
    )
    assert describe(rule) == "every hour, except on 1 date (UTC)"


def reported(text: str | bytes) -> list[str]:
    """Return the problems of a file `x.yaml`: position, message and, in brackets, the
    suggestion.
    """
    raw = text.encode() if isinstance(text, str) else text
    place = Place(
        relative="x.yaml", display="x", path="/nowhere/x.yaml", default_zone="Europe/Madrid"
    )
    return [str(problem).removeprefix("x:") for problem in loaded(raw, place).problems]


def process(line: str) -> str:
    return f"process:\n  shell: x\n  {line}\n"


def timing(line: str) -> str:
    return f"process: {{shell: x}}\ntiming: {line}\n"


def schedule(line: str, frequency: str = "daily, at: 02:00") -> str:
    return timing(f"{{schedule: {{frequency: {frequency}, {line}}}}}")


MISSPELT = [
    (
        schedule("timzone: UTC"),
        "2:50: `timzone` is not a key of `schedule` (did you mean `timezone`?)",
    ),
    (schedule("tz: UTC"), "2:50: `tz` is not a key of `schedule` (write timezone: UTC)"),
    (timing("{schedule: {frequency: dayly, at: 02:00}}"), 'not "dayly" (did you mean `daily`?)'),
    (
        timing("{run_imediately: }"),
        "`run_imediately` is not a key of `timing` (did you mean `run_immediately`?)",
    ),
    (process("env: {A: b}"), "3:3: `env` is not a key of `process` (write environment: {A: b})"),
    (
        "env: {A: b}\nprocess: {shell: x}",
        "1:1: `env` is not a key of a request (in `process`, write environment: {A: b})",
    ),
    ("on: push\nprocess: {shell: x}", "1:1: `on` is not a key of a request"),
    (
        "function: f\nprocess: {shell: x}",
        "1:1: `function` is not a key of a request (Runner calls it `process.python`)",
    ),
    (
        "timeout: 5m\nprocess: {shell: x}",
        "1:1: `timeout` is not a key of a request (in `process`, write timeout: 5m)",
    ),
    ("context: {org: b}\nprocess: {shell: x}", "(the keys here are `client` and `organization`)"),
    (
        "backup:\n  process: {shell: x}",
        "not a key of a request (write name: backup, and move the keys below it one level up)",
    ),
    (
        "apiVersion: batch/v1\nprocess: {shell: x}",
        "(this looks like a manifest of Kubernetes: `runner import kubernetes`",
    ),
    (
        "process:\n\u00a0\u00a0shell: x",
        "(indent with ordinary spaces; these characters only look like them)",
    ),
    (
        schedule("days: [1]", "monthly, at: 02:00"),
        "this is monthly (leave it out, or make the frequency daily or weekly)",
    ),
    (
        schedule("days: 15", "monthly, at: 02:00"),
        "belongs to daily and weekly; this is monthly (did you mean `day`?)",
    ),
    (
        timing("{schedule: {frequency: hourly, at: 02:00}}"),
        "(leave it out, or make the frequency daily, weekly or monthly)",
    ),
]
WRONG_KIND = [
    (
        process("prevent_concurrent: yes"),
        '3:23: `prevent_concurrent` should be true or false, not "yes" (write true)',
    ),
    ("scheduled: 'no'\nprocess: {shell: x}", 'should be true or false, not "no" (write false)'),
    ("scheduled: 'true'\nprocess: {shell: x}", "(write true, without quotes)"),
    (
        process("environment: {PORT: 8080}"),
        '3:23: `PORT` should be text, not 8080 (quote it: "8080")',
    ),
    (process("environment: {DEBUG: true}"), '`DEBUG` should be text, not true (quote it: "true")'),
    (
        process("environment: {EMPTY: }"),
        '`EMPTY` is empty; it should be text (an empty text is written "")',
    ),
    (
        process("environment: [PORT=8080]"),
        "should be a mapping of names to text, not a list (write {PORT: '8080'})",
    ),
    ("process: {command: python3 post.py}", 'not "python3 post.py" (write [python3, post.py])'),
    ("process: {command: 'a | b'}", "(write shell: a | b)"),
    ("process: {command: [sleep, 5]}", '1:28: `command[1]` should be text, not 5 (quote it: "5")'),
    (
        "process:\n  command:\n    - foo: bar",
        '`command[0]` should be text, not a mapping (quote it: "foo: bar")',
    ),
    (
        "process: {shell: [a, b]}",
        "`shell` should be text, not a list (a list belongs in `command`)",
    ),
    ("process: echo hi", '`process` should be a mapping, not "echo hi" (write {shell: echo hi})'),
    ("process:\n  shell x", "(write {shell: x})"),
    ("process:\n  - shell: x", "should be a mapping, not a list (leave out the `-`)"),
    ("- process: {shell: x}", "a request should be a mapping, not a list (leave out the `-`)"),
    (process("stop_signal: 9"), "should be a signal's name, not 9 (write KILL)"),
    (timing("daily"), "(write {schedule: {frequency: daily, at: '00:00'}})"),
    (timing("'*/5 * * * *'"), "(write {schedule: {frequency: cron, expression: '*/5 * * * *'}})"),
    (timing("{schedule: '@hourly'}"), "(write {frequency: cron, expression: 0 * * * *})"),
    (timing("{run_later: 2026-12-24 18:00}"), "(write {start: '2026-12-24 18:00'})"),
    (schedule("interval: '2'"), "(write 2, without quotes)"),
    (
        schedule("interval: 5m", "minutely"),
        '`interval` should be a whole number, 1 or more, not "5m" (write 5)',
    ),
    (
        schedule("interval: -5", "minutely"),
        "`interval` should be a whole number, 1 or more, not -5",
    ),
    (
        schedule("day: 32", "monthly, at: 02:00"),
        "`day` should be a day of the month, 1 to 31, not 32",
    ),
    (schedule("days: [monday]"), "(write frequency: weekly, days: [monday])"),
    (
        schedule("days: weekdays", "weekly, at: 02:00"),
        "(write [monday, tuesday, wednesday, thursday, friday])",
    ),
    (
        schedule("repetitions: 3"),
        "`repetitions` requires `start` (for example start: 2026-12-24 18:00)",
    ),
]
TIMES = [
    (process("timeout: 30"), "3:12: 30 what? A duration needs a unit: 30s, 30m, 30h"),
    (process("timeout: 30 minutes"), "'30 minutes' is not a duration (write 30m)"),
    (process("timeout: 1.5h"), "'1.5h' is not a duration (write 1h30m)"),
    (
        process("timeout: 00:30"),
        "'00:30' is not a duration (write it like 500ms, 30s, 15m, 2h, 1d or a combination",
    ),
    (timing("{schedule: {frequency: daily, at: 25:00}}"), "'25:00' is not a time of day"),
    (timing("{schedule: {frequency: daily, at: 2}}"), "'2' is not a time of day (write \"02:00\")"),
    (
        timing("{schedule: {frequency: daily, at: 2am}}"),
        "'2am' is not a time of day (write \"02:00\")",
    ),
    (
        schedule("timezone: Europe/Madird"),
        "there is no time zone 'Europe/Madird' (did you mean Europe/Madrid",
    ),
    (
        schedule("expression: 0 0 31 2 *", "cron"),
        "'0 0 31 2 *' can never fire: no date matches its days and months",
    ),
    (
        schedule("expression: 0,30 * * * *", "cron"),
        "`expression` should be a cron expression, not 0 (quote the whole expression)",
    ),
    (schedule("except: [25-12-2026]"), '"25-12-2026" is not a date (write it like 2026-12-25,'),
    (schedule("start: 2026-02-30"), "there is no 2026-02-30"),
]
NOT_YAML = [
    (
        timing("{schedule: {frequency: cron, expression: */5 * * * *}}"),
        'an alias in YAML (quote it: "*/5 * * * *")',
    ),
    ("process:\n\tshell: x", "2:1: a tab cannot indent (indent with spaces)"),
    ("process:\n  shell: x\n\tumask: y", "3:1: a tab cannot indent (indent with spaces)"),
    ("process\n  shell: x", "1:8: a `:` is missing after `process` (write `process:`)"),
    ("process: {shell: x}\nowner\n", "2:6: a `:` is missing after `owner` (write `owner:`)"),
    ("name:foo\nprocess:\n  shell: x", "1:6: a space is missing after the `:` (write name: foo)"),
    (
        "description: Note: this",
        '1:18: a second `:` on one line cannot begin a mapping (quote it: "Note: this")',
    ),
    (
        "process:\n  shell: x\n   umask: y",
        "3:4: this line is indented deeper than line 2, but belongs beside it",
    ),
    (
        "process:\n  shell: x\n umask: y",
        "3:2: this line is indented differently from its neighbours (line 2 is",
    ),
    (
        "process:\n  shell: |\n  echo hi\n",
        "3:3: the text of `|` should be indented deeper than its key",
    ),
    (
        "process:\n  shell:\n    echo a\n    echo b: c",
        "(begin it with `|` after its key, as in `shell: |`)",
    ),
    (
        "process: {shell: x\nowner: y",
        "the bracket opened at line 1 is not closed, or a comma is missing (",
    ),
    (
        'process:\n  shell: "x\n',
        '2:10: the quote opened at line 2 is not closed (close it with `"`)',
    ),
    (
        "process:\n  shell: 'it's'",
        "2:14: there is more text after the closing quote",
    ),
    ('process:\n  shell: "\\d+"', "2:11: `\\d` is not an escape in double quotes (write `\\\\d`"),
    (
        "process: {shell: x}\nprocess: {shell: y}",
        "2:1: `process` appears twice; the first is at line 1 (keep one)",
    ),
    ("process: {shell: x}\r\nowner: 5\r\n", "2:8: `owner` should be text, not 5"),
    (b"\xef\xbb\xbfprocess: {shell: x}\nowner: 5\n", "2:8: `owner` should be text, not 5"),
    (b"owner: M\xfcller\n", "1:9: the byte 0xfc is not UTF-8 (save the file as UTF-8)"),
    ("process: {}".encode("utf-16"), "is not UTF-8: this looks like UTF-16"),
]


@pytest.mark.parametrize(("text", "message"), [*MISSPELT, *WRONG_KIND, *TIMES, *NOT_YAML])
def test_a_common_mistake_is_reported_once_with_its_fix(text: str | bytes, message: str) -> None:
    problems = reported(text)
    assert sum(message in problem for problem in problems) == 1, problems


@pytest.mark.parametrize(
    "text",
    [
        "process: {shell: x, command: [y], request: z}",
        timing(
            "{run_immediately: , run_later: {start: 2026-12-01 10:00}, schedule: "
            "{frequency: minutely}}"
        ),
    ],
)
def test_several_processes_or_timings_are_one_problem(text: str) -> None:
    (problem,) = reported(text)
    assert "takes exactly one of" in problem
    assert "this one has `" in problem


def test_one_error_hides_no_other() -> None:
    text = """\
process:
  shell: x
  tymeout: 5s
  stop_signal: FOO
  retry: {attempts: 2, delay: 5s, max_delay: 1s}
timing:
  schedule:
    frequency: hourly
    interval: x
    start: 2026-02-30
    finish: 2026-06-31
    timezone: Europe/Madrit
"""
    places = [problem.split(": ", 1)[0] for problem in reported(text)]
    assert places == ["3:3", "4:16", "5:46", "9:15", "10:12", "11:13", "12:15"]


def test_an_unusable_part_hides_only_its_own_errors() -> None:
    problems = reported("process: {stop_signal: FOO}\ntiming: {run_later: {start: 2026-02-30}}\n")
    assert [problem.split(": ", 1)[0] for problem in problems] == ["1:10", "2:29"]


def test_the_number_of_reported_errors_is_limited() -> None:
    labels = ", ".join(f"k{number}: [{number}]" for number in range(150))
    assert len(reported(f"labels: {{{labels}}}\nprocess: {{shell: 5}}\ntiming: never\n")) >= 100


@pytest.mark.parametrize(
    "timing",
    [*("manual", "none", "never", "on_demand", "On demand"), "{schedule: {frequency: manual}}"],
)
def test_a_timing_that_means_by_hand_is_told_to_leave_it_out(timing: str) -> None:
    (problem,) = reported(f"process: {{shell: 'true'}}\ntiming: {timing}\n")
    assert problem.endswith(
        "(leave `timing` out: the request then runs only by `runner exec`, or as a group's member)"
    )
