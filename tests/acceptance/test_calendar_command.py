"""`runner calendar`: public holidays as a file of dates."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest
from support.place import ROOT, Place

needs_holidays = pytest.mark.skipif(
    importlib.util.find_spec("holidays") is None, reason="the extra [calendars] is not installed"
)


@needs_holidays
def test_the_holidays_of_madrid_are_a_file_that_a_request_can_use(place: Place) -> None:
    done = place.run("calendar", "es-md", "--years", "2026..2027")
    lines = done.stdout.splitlines()
    assert lines[0].startswith("# Public holidays of ES-MD, 2026..2027, by holidays ")
    assert "2026-05-02  # Madrid Day" in lines
    assert {line[:4] for line in lines[1:]} == {"2026", "2027"}
    assert lines[1:] == sorted(lines[1:])
    place.write("holidays.txt", done.stdout)
    schedule = {"frequency": "daily", "at": "06:00", "timezone": "Europe/Madrid"}
    place.declare("daily", "true", {"schedule": {**schedule, "except": "holidays.txt"}})
    assert place.run("validate").returncode == 0
    fires = place.items("next", "daily", "--from", "2026-12-24", "--until", "2026-12-26")
    assert [fire["local"][:10] for fire in fires] == ["2026-12-24", "2026-12-26"]


@needs_holidays
def test_the_list_shows_countries_with_their_regions(place: Place) -> None:
    listed = place.run("calendar", "list").stdout.splitlines()
    (spain,) = (line.split() for line in listed if line.startswith("ES "))
    assert "MD," in spain


@needs_holidays
@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["E5"], "there is no calendar of 'E5'"),
        (["ES-XX"], "ES has no region 'XX'; its regions are: AN,"),
        (["ES", "--years", "soon"], "--years 'soon' is not a span of years"),
        (["ES", "--years", "2028..2026"], "the earlier first"),
        (["ES", "--years", "1850"], "no data of ES for 1850"),
    ],
)
def test_what_is_not_known_is_refused_in_one_sentence(
    place: Place, arguments: list[str], reason: str
) -> None:
    done = place.run("calendar", *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert reason in done.stderr and done.stderr.count("\n") == 1


def test_without_the_library_one_sentence_names_the_command(place: Place, tmp_path: Path) -> None:
    (tmp_path / "absent").mkdir()
    (tmp_path / "absent/holidays.py").write_text("raise ModuleNotFoundError('holidays')\n")
    place.environment["PYTHONPATH"] = str(tmp_path / "absent")
    done = place.run("calendar", "ES")
    assert done.returncode == 2
    assert "the extra `calendars` is not installed: " in done.stderr
    assert done.stderr.endswith(f"-m pip install -e '{ROOT}[calendars]'\n")
    assert done.stderr.count("\n") == 1
