"""What messages say. Whole messages stand in the documentation, which other tests compare."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from support.notices import EXECUTION, NOON, RECORD, SETTING, change, known, news, recovery

from runner.lifecycle import Check
from runner.notifying.notice import Notice
from runner.notifying.wording import headline, subject_of, text_of


@pytest.mark.parametrize(
    ("notice", "line"),
    [
        (news(change()), "nightly-posting fails: exit code 3"),
        (known(change()), "nightly-posting still fails: exit code 3"),
        (recovery(change()), "nightly-posting has recovered: ended with status success"),
        (
            news(change(check=Check.LATE_START, message="not started within 5m")),
            "nightly-posting starts late: not started within 5m",
        ),
        (
            news(change(request=None, check=Check.DISK, message="3 % free")),
            "the runner on erp-1 is short of disk space: 3 % free",
        ),
    ],
)
def test_an_alert_is_one_line(notice: Notice, line: str) -> None:
    assert headline(notice, SETTING) == subject_of([notice], SETTING) == line


def test_each_check_has_words() -> None:
    lines = {headline(news(change(check=check, message="x")), SETTING) for check in Check}
    assert len(lines) == len(Check)


@pytest.mark.parametrize(
    ("notices", "subject"),
    [
        ([news(change()), news(change(request="b"))], "2 requests fail, first: "),
        ([news(change()), news(change(check=Check.LATE))], "2 alerts, first: "),
        ([news(change()), recovery(change(request="b"))], "1 alert and 1 recovery, first: "),
        ([recovery(change()), recovery(change(request="b"))], "2 recoveries, first: "),
    ],
)
def test_several_alerts_are_counted(notices: list[Notice], subject: str) -> None:
    assert subject_of(notices, SETTING).startswith(subject)


def test_a_message_has_the_last_20_lines_of_output_and_no_control_characters() -> None:
    tail = "".join(f"\x1b[31mline\t{number}\n" for number in range(50))
    text = text_of([news(change(record={**RECORD, "output_tail": tail}))], SETTING)
    shown = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(shown) == 20
    assert shown[-1] == "    \\x1b[31mline       49"
    assert text.replace("\n", "").isprintable()


def test_a_subject_is_one_short_line() -> None:
    long = news(change(message="a\r\nBcc: x" + "y" * 500))
    assert len(subject_of([long], SETTING)) <= 150
    assert subject_of([long], SETTING).isprintable()


def test_a_text_says_since_when_and_what_comes() -> None:
    text = text_of([news(change(count=3))], SETTING)
    assert "Since      2026-11-30 13:00:00 CET, 3 times in a row\n" in text
    assert "Next fire  2026-12-01 02:00:00 CET\n" in text
    ended = text_of([recovery(change(), timedelta(hours=2, minutes=5, microseconds=1))], SETTING)
    assert "From       2026-11-30 13:00:00 CET to 2026-11-30 15:05:00 CET, 2h5m\n" in ended
    assert NOON.isoformat() not in ended


@pytest.mark.parametrize(
    ("notice", "path"),
    [
        (news(change()), f"/executions/{EXECUTION}"),
        (recovery(change()), f"/executions/{EXECUTION}"),
        (news(change(check=Check.ABSENT)), "/requests/nightly-posting"),
        (news(change(request=None, check=Check.DISK)), "/"),
    ],
)
def test_a_text_links_to_the_page_if_others_can_reach_it(notice: Notice, path: str) -> None:
    assert "https://" not in text_of([notice], SETTING)
    with_page = replace(SETTING, page="https://runner.example.org/")
    assert f"Page       https://runner.example.org{path}\n" in text_of([notice], with_page)
