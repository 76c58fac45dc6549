"""Openbravo's process requests: each frequency fires as the original, by the dates in its
manual and by brute force.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from pathlib import Path

import pytest
from support.importing_world import data_of, messages

from runner.errors import RunnerError
from runner.importing.imported import Import, Imported, ImportSettings, Severity
from runner.importing.importers.openbravo import from_openbravo
from runner.timing.parsing import parse_rule
from runner.timing.upcoming import fires
from runner.values import EPOCH

SAMPLES = Path(__file__).parents[2] / "samples"
CSV = (SAMPLES / "process_request.csv").read_text()
XML = (SAMPLES / "process_request.xml").read_text()
SETTINGS = ImportSettings(default_zone="UTC", now=datetime(2026, 11, 22, tzinfo=UTC))
SEPTEMBER = datetime(2019, 9, 27, tzinfo=UTC)
MADRID = ImportSettings(default_zone="UTC", zone="Europe/Madrid", now=SETTINGS.now)


def read(
    text: str, *, settings: ImportSettings = SETTINGS, command: str | None = "erp-run {process}"
) -> Import:
    return from_openbravo(text, settings, name="requests", command=command)


def row(settings: ImportSettings = SETTINGS, /, **columns: str) -> Imported:
    """Read a scheduled request that starts on 27 September 2019 at 13:10, unless the
    given columns say otherwise.
    """
    given = {
        "Timing_Option": "S",
        "Status": "SCH",
        "Process_Value": "P",
        "Start_Date": "2019-09-27 00:00:00",
        "Start_Time": "1970-01-01 13:10:00",
    } | columns
    (request,) = read(
        f"{';'.join(given)}\n{';'.join(given.values())}\n", settings=settings
    ).requests
    return request


def fired(request: Imported, after: datetime = EPOCH) -> Iterator[datetime]:
    return fires(parse_rule(data_of(request)["timing"]["schedule"], default_zone="UTC"), after)


def days(request: Imported, count: int, after: datetime = EPOCH) -> list[str]:
    return [at.strftime("%d %b %y %H:%M") for at in islice(fired(request, after), count)]


def test_every_n_days_counts_calendar_days_from_the_start() -> None:
    request = row(Frequency="4", Daily_Option="N", Daily_Interval="4")
    assert days(request, 3) == ["27 Sep 19 13:10", "01 Oct 19 13:10", "05 Oct 19 13:10"]


@pytest.mark.parametrize(
    ("option", "weekdays"), [("", {0, 1, 2, 3, 4, 5, 6}), ("D", {0, 1, 2, 3, 4}), ("E", {5, 6})]
)
def test_every_day_weekdays_and_weekends(option: str, weekdays: set[int]) -> None:
    found = [at.date() for at in islice(fired(row(Frequency="4", Daily_Option=option)), 30)]
    begin = date(2019, 9, 27)
    walked = (begin + timedelta(days=number) for number in range(200))
    assert found == [day for day in walked if day.weekday() in weekdays][:30]


def test_weekly_monday_friday_saturday() -> None:
    request = row(Frequency="5", Day_Mon="Y", Day_Tue="N", Day_Fri="Y", Day_Sat="Y", Day_Sun="N")
    assert days(request, 4) == [
        "27 Sep 19 13:10",
        "28 Sep 19 13:10",
        "30 Sep 19 13:10",
        "04 Oct 19 13:10",
    ]


@pytest.mark.parametrize(
    ("columns", "after", "expected"),
    [
        (
            {"Monthly_Option": "2", "Monthly_Day_Of_Week": "7"},
            SEPTEMBER,
            ["13 Oct 19", "10 Nov 19"],
        ),
        (
            {"Monthly_Option": "1", "Monthly_Day_Of_Week": "1"},
            SEPTEMBER,
            ["07 Oct 19", "04 Nov 19"],
        ),
        ({"Monthly_Option": "L"}, datetime(2024, 2, 1, tzinfo=UTC), ["29 Feb 24", "31 Mar 24"]),
        (
            {"Monthly_Option": "S", "Monthly_Specific_Day": "31"},
            datetime(2026, 1, 1, tzinfo=UTC),
            ["31 Jan 26", "31 Mar 26", "31 May 26", "31 Jul 26", "31 Aug 26"],
        ),
    ],
)  # fmt: skip
def test_monthly(columns: dict[str, str], after: datetime, expected: list[str]) -> None:
    found = days(row(Frequency="6", **columns), len(expected), after)
    assert found == [f"{day} 13:10" for day in expected]


@pytest.mark.parametrize(
    ("expression", "weekday", "last"),
    [("0 0 9 ? * 7L", 5, True), ("0 0 9 ? * 1", 6, False), ("0 0 9 ? * SAT", 5, False)],
)
def test_quartz_weekdays_count_from_sunday(expression: str, weekday: int, last: bool) -> None:
    request = row(Frequency="7", Cron=expression)
    for at in islice(fired(request), 40):
        assert at.weekday() == weekday
        assert not last or (at + timedelta(days=7)).month != at.month


def test_intervals_are_absolute_from_the_start_and_end_before_the_finish() -> None:
    finish = {"Finishes": "Y", "Finishes_Date": "27-09-2019", "Finishes_Time": "13:25:00"}
    request = row(Frequency="2", Minutely_Interval="5", **finish)
    assert days(request, 9) == ["27 Sep 19 13:10", "27 Sep 19 13:15", "27 Sep 19 13:20"]
    calendar = row(
        Frequency="4", Finishes="Y", Finishes_Date="2019-09-28", Finishes_Time="13:10:00"
    )
    assert days(calendar, 9) == ["27 Sep 19 13:10", "28 Sep 19 13:10"]


def test_repetitions_follow_openbravo_s_code_and_report_the_manual_s_number() -> None:
    request = row(Frequency="1", Secondly_Interval="30", Secondly_Repetitions="3")
    assert len(list(fired(request))) == 3
    assert (
        "runs 3 times, as in Openbravo's code; its manual says 4"
        in messages(request, Severity.DIFFERS)[0]
    )


def test_the_start_of_a_cron_only_bounds_it_and_so_do_years() -> None:
    request = row(Frequency="7", Cron="0 30 6 ? * MON-FRI")
    assert days(request, 1) == ["30 Sep 19 06:30"]
    years = row(Frequency="7", Cron="0 30 6 1 1 ? 2018-2021")
    assert days(years, 9) == ["01 Jan 20 06:30", "01 Jan 21 06:30"]


def test_an_export_as_csv_becomes_requests_with_the_command_of_the_template() -> None:
    requests = {request.name: request for request in read(CSV, settings=MADRID).requests}
    assert data_of(requests["costing-background-process"]) == {
        "name": "costing-background-process",
        "description": "Costs,\nevery five minutes",
        "context": {"client": "F&B International Group", "organization": "F&B España"},
        "process": {"command": ["erp-run", "CostingBackground"], "prevent_concurrent": True},
        "timing": {
            "schedule": {
                "frequency": "minutely",
                "interval": 5,
                "start": "2019-09-27 10:00",
                "timezone": "Europe/Madrid",
            }
        },
    }
    assert [request.line for request in requests.values()] == [2, 4, 5, 6, 7, 8, 9, 10, 11, 12]
    unscheduled = {
        name for name, request in requests.items() if not data_of(request).get("scheduled", True)
    }
    assert unscheduled == {"send-reminders", "nearest-workday", "translate"}
    assert data_of(requests["close-weeks"])["process"]["params"] == {"year": 2026}
    assert data_of(requests["year-end"])["timing"] == {
        "run_later": {"start": "2027-12-24 18:00", "timezone": "Europe/Madrid"}
    }


def test_an_export_of_the_data_access_layer_is_read_by_its_property_names() -> None:
    daily, sweep = read(XML, settings=MADRID).requests
    assert data_of(daily)["context"] == {"client": "F&B International Group", "organization": "*"}
    assert data_of(daily)["timing"] == {
        "schedule": {
            "frequency": "daily",
            "days": "weekdays",
            "at": "02:30",
            "start": "2026-01-01 02:30",
            "timezone": "Europe/Madrid",
        }
    }
    assert "clocks of Europe/Madrid change" in messages(daily, Severity.DIFFERS)[0]
    assert data_of(sweep)["process"]["command"] == ["erp-run", "Sweep"]
    assert (daily.line, sweep.line) == (3, 18)


def test_a_dump_of_the_database_is_read_by_its_column_names() -> None:
    cells = "".join(f"<{name}><![CDATA[{value}]]></{name}>" for name, value in (
        ("AD_PROCESS_REQUEST_ID", "1"), ("AD_PROCESS_ID", "ABC"),
        ("TIMING_OPTION", "S"), ("FREQUENCY", "3"), ("HOURLY_INTERVAL", "2"),
        ("START_DATE", "2026-01-01 00:00:00.0"), ("START_TIME", "1970-01-01 00:30:00.0"),
    ))  # fmt: skip
    (request,) = read(f"<data><AD_PROCESS_REQUEST>{cells}</AD_PROCESS_REQUEST></data>").requests
    assert days(request, 2) == ["01 Jan 26 00:30", "01 Jan 26 02:30"]
    assert data_of(request)["process"] == {"command": ["erp-run", "ABC"]}


def test_without_a_template_the_request_has_a_failing_command_and_is_unscheduled() -> None:
    for request in read(CSV, command=None).requests:
        assert data_of(request)["process"]["command"] == ["false"]
        assert data_of(request)["scheduled"] is False
        assert any("inside Openbravo" in message for message in messages(request, Severity.CHANGED))


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"Timing_Option": "I"}, "here it would run once more"),
        ({"Timing_Option": "L", "Start_Date": ""}, "does not say when"),
        ({"Timing_Option": "L", "Start_Date": "2026-02-30"}, "does not say when"),
        ({"Timing_Option": "Q"}, "no timing option Q"),
        ({"Frequency": "9"}, "no frequency 9"),
        ({"Frequency": "2", "Minutely_Interval": "0"}, "a number of 1 or more, not 0"),
        ({"Frequency": "1"}, "a number of 1 or more, not nothing"),
        ({"Frequency": "4", "Start_Time": ""}, "no start time"),
        (
            {"Frequency": "4", "Daily_Option": "N", "Daily_Interval": "3", "Start_Date": ""},
            "start that is not known",
        ),
        ({"Frequency": "5"}, "weekly and has no day of the week"),
        (
            {"Frequency": "6", "Monthly_Option": "3", "Monthly_Day_Of_Week": "9"},
            "no day of the month",
        ),
        ({"Frequency": "7", "Cron": "0 0 12 15W * ?"}, "no equivalent of 15W"),
        ({"Frequency": "7"}, "no expressions of 0 fields"),
        ({"Frequency": "4", "Finishes": "Y"}, "does not say when"),
        (
            {
                "Frequency": "4",
                "Finishes": "Y",
                "Finishes_Date": "2019-01-01",
                "Finishes_Time": "1:00",
            },
            "before start",
        ),
        ({"Frequency": "4", "IsGroup": "Y"}, "process group"),
        ({"Frequency": "4", "Params": "<xml/>"}, "not a JSON object"),
        (
            {"Frequency": "3", "Hourly_Interval": "1", "Hourly_Repetitions": "0"},
            "a start that is not known",
        ),
    ],
)
def test_a_value_without_a_counterpart_is_reported_and_the_request_unscheduled(
    columns: dict[str, str], words: str
) -> None:
    request = row(**columns)
    assert data_of(request)["scheduled"] is False
    assert any(words in message for message in messages(request, Severity.CHANGED)), request.remarks


@pytest.mark.parametrize(
    ("columns", "scheduled"),
    [
        ({}, True),
        ({"Status": "MIS"}, True),
        ({"Status": "UNS"}, False),
        ({"Status": "COM"}, False),
        ({"IsActive": "N"}, False),
    ],
)
def test_only_a_request_scheduled_in_openbravo_is_scheduled(
    columns: dict[str, str], scheduled: bool
) -> None:
    request = row(Frequency="4", **columns)
    assert data_of(request).get("scheduled", True) is scheduled
    assert messages(request, Severity.CHANGED) == []


def test_rare_differences_are_reported() -> None:
    def reported(settings: ImportSettings = SETTINGS, **columns: str) -> bool:
        return bool(messages(row(settings, **columns), Severity.DIFFERS))

    assert reported(Timing_Option="L")  # its time has passed
    assert not reported(Timing_Option="L", Start_Date="2030-01-01")
    assert reported(Frequency="3", Hourly_Interval="1", Start_Date="")  # counts from elsewhere
    assert reported(MADRID, Frequency="4", Start_Time="02:30:00")
    assert not reported(MADRID, Frequency="4", Start_Time="03:30:00")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no rows"),
        ("a,b\n1,2\n", "no row has a TIMING_OPTION"),
        ("<a><b></a>", "requests:1: this is not XML"),
        ("<!DOCTYPE a [<!ENTITY x 'y'>]><a/>", "document type"),
        ("<a/>", "has no rows"),
    ],
)
def test_a_text_that_is_not_an_export_is_refused(text: str, words: str) -> None:
    with pytest.raises(RunnerError, match=words):
        read(text)


def test_every_unused_column_with_a_value_is_reported() -> None:
    text = (
        "Timing_Option,Process_Name,Parameters,Nodes,CreatedBy,Empty\n"
        'S,Alert,"{""a"": 1}",node-1,100,\n'
        "S,Other,,,100,,more\n"
    )
    imported = read(text)
    first, second = imported.requests
    assert data_of(first)["process"]["params"] == {"a": 1}
    assert "the column Nodes is unknown and is not carried over" in messages(
        first, Severity.CHANGED
    )
    assert "the column column 7 is unknown and is not carried over" in messages(
        second, Severity.CHANGED
    )
    assert not any("Empty" in remark.message for remark in imported.all_remarks())
    (administrative,) = (remark for remark in imported.remarks if "CreatedBy" in remark.message)
    assert administrative.severity is Severity.NOTE
