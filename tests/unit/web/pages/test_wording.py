from __future__ import annotations

from datetime import UTC, datetime

import pytest

from runner.lifecycle import ExecutionStatus
from runner.web.pages.wording import Clock, gist, shown_status, time_tag

NOW = datetime(2026, 11, 30, 7, 42, 5, tzinfo=UTC)


def text_of(instant: datetime, form: str) -> str:
    tag = str(time_tag(instant, "Europe/Madrid", NOW, form=form))
    return tag[tag.index(">") + 1 : tag.rindex("<")]


@pytest.mark.parametrize(
    ("instant", "text"),
    [
        (NOW, "08:42:05"),
        (NOW.replace(day=29), "Sun 29 Nov 08:42"),
        (NOW.replace(year=2025, month=7), "2025-07-30 09:42"),
    ],
)
def test_a_moment_is_as_short_as_its_day_allows(instant: datetime, text: str) -> None:
    assert text_of(instant, "moment") == text


def test_a_time_has_utc_in_its_tooltip_and_for_the_script() -> None:
    tag = str(Clock(zone="Europe/Madrid", now=NOW).full(NOW))
    assert 'title="2026-11-30 07:42:05 UTC"' in tag
    assert 'datetime="2026-11-30T07:42:05.000Z"' in tag
    assert ">2026-11-30 08:42:05<" in tag


def test_without_an_instant_there_is_a_dash() -> None:
    assert "–" in Clock(zone="UTC", now=NOW).moment(None)


def test_a_fire_that_is_due_is_called_so() -> None:
    assert Clock(zone="UTC", now=NOW).ahead(NOW) == "due"


@pytest.mark.parametrize("status", ExecutionStatus)
def test_each_status_has_a_mark_and_a_word_besides_its_colour(status: ExecutionStatus) -> None:
    shown = shown_status(status)
    assert shown.mark and shown.word and shown.tone
    assert shown.word in shown.__html__()


def test_the_gist_of_a_record_is_its_message_else_its_last_line() -> None:
    assert gist({"message": "exit code 3", "output_tail": "x"}) == "exit code 3"
    assert gist({"message": None, "output_tail": "a\n\x1b[32mposted\x1b[0m\n\n"}) == "posted"
    assert gist({"message": None, "output_tail": None}) == ""
