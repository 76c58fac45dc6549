"""What surprises about a valid request: `validate`, `plan`, `explain`, `doctor` and imports."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from support.place import Place

EVERY_45 = "*/45 restarts with each hour"
CRON = {"schedule": {"frequency": "cron", "expression": "*/45 * * * *", "timezone": "UTC"}}


@pytest.mark.parametrize(
    ("schedule", "words"),
    [
        ({"frequency": "cron", "expression": "*/45 * * * *"}, EVERY_45),
        ({"frequency": "cron", "expression": "*/60 * * * *"}, "the step of */60 is longer"),
        ({"frequency": "cron", "expression": "0 0 1 * 1"}, "both day fields are restricted"),
        ({"frequency": "monthly", "day": 31, "at": "12:00"}, "there is no day 31 in February"),
        ({"frequency": "hourly", "spread": "2h"}, "its spread of 2h is longer"),
        ({"frequency": "daily", "at": "02:30", "timezone": "Europe/Madrid"}, "clocks go forward"),
    ],
)
def test_validate_and_plan_say_what_explain_warns_of(
    place: Place, schedule: dict[str, object], words: str
) -> None:
    place.declare("surprising", "true", {"schedule": schedule})
    explained = place.run("explain", "surprising")
    validated, planned = place.run("validate"), place.run("plan")
    for done in (explained, validated, planned):
        assert words in done.stdout, done.args
    assert (validated.returncode, planned.returncode) == (0, 3)
    assert "surprising.yaml:1:1: caution: " in validated.stdout
    assert "1 request, all valid, " in validated.stderr


@pytest.mark.sqlite_only("a queue has an effect there")
def test_validate_says_that_a_queue_needs_a_fleet(place: Place) -> None:
    member = {"name": "train", "shell": "true", "queue": "gpu"}
    place.write("models.yaml", f"process: {json.dumps({'group': {'members': [member]}})}")
    place.declare("waiting", "true", "run_immediately", prevent_concurrent=True, on_overlap="queue")
    place.declare("usual", "true", "run_immediately", queue="default")
    validated = place.run("validate")
    (caution,) = validated.stdout.splitlines()
    assert "models.yaml:1:1: caution: " in caution
    assert "`queue: gpu` has no effect: this runner itself runs every queue" in caution


def test_strict_makes_cautions_errors(place: Place) -> None:
    place.declare("surprising", "true", CRON)
    place.declare("plain", "true", {"schedule": {"frequency": "hourly"}})
    assert place.run("validate", str(place.jobs / "plain.yaml"), "--strict").returncode == 0
    strict = place.run("validate", "--strict", "--output", "json")
    assert strict.returncode == 1
    (problem,) = place.items("validate")
    assert (problem["severity"], problem["path"]) == ("caution", "timing")
    assert '"severity":"error"' in strict.stdout.replace(" ", "") and EVERY_45 in strict.stdout


def test_an_import_shows_cautions_as_notes_and_stays_exact(place: Place) -> None:
    crontab = place.folder / "crontab"
    crontab.write_text("*/45 * * * * /bin/true\n")
    done = place.run("import", "crontab", str(crontab))
    assert f"note: true: caution: {EVERY_45}" in done.stderr
    (written,) = place.jobs.glob("*.yaml")
    assert EVERY_45 not in written.read_text()


def test_a_dates_file_that_ends_soon_is_a_caution_and_a_warning_of_doctor(place: Place) -> None:
    def ends_in(days: int) -> str:
        last = datetime.now(UTC).date() + timedelta(days=days)
        place.write("holidays.txt", f"2026-01-06\n{last}\n")
        return str(last)

    schedule = {"frequency": "daily", "at": "12:00", "timezone": "UTC", "except": "holidays.txt"}
    place.declare("daily", "true", {"schedule": schedule})
    ends_in(62)
    assert "holidays.txt end" not in place.run("validate").stdout
    last = ends_in(50)
    words = f"the dates of holidays.txt end on {last}"
    assert words in place.run("validate").stdout
    assert words in place.run("explain", "daily").stdout
    assert f"end on {last} (used by daily)" in place.run("doctor").stdout
    place.write("holidays.txt", "*-12-25\n2026-01-06\n")
    assert "holidays.txt end" not in place.run("validate").stdout, "each year has a 25 December"


def test_a_fire_that_finds_no_free_date_is_a_caution(place: Place) -> None:
    today = datetime.now(UTC).date()
    schedule = {
        "frequency": "daily", "at": "12:00", "timezone": "UTC", "shift": "next",
        "except": [f"{today + timedelta(days=3)}..{today + timedelta(days=500)}"],
    }  # fmt: skip
    place.declare("closed", "true", {"schedule": schedule})
    expected = f"the fire of {today + timedelta(days=3)} is dropped: no date within 366 days"
    assert expected in place.run("validate").stdout
