"""From a document to a process request: every value reaches the model."""

from __future__ import annotations

import hashlib
import json
import signal
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from runner.errors import RunnerError
from runner.lifecycle import Misfire
from runner.requests.building.stored import definition_text, request_from_definition
from runner.requests.catalog.file_reader import loaded
from runner.requests.catalog.request_file import Place, RequestFile
from runner.requests.model import (
    Context,
    ProcessRequest,
    Program,
    Reference,
    RunImmediately,
    RunLater,
    Schedule,
    Shell,
)
from runner.timing.rules import Daily

FOLDER = "/srv/jobs.d/finance"


def load(
    text: str, *, stem: str = "nightly", folder: str = FOLDER, zone: str = "Europe/Madrid"
) -> RequestFile:
    place = Place(
        relative=f"finance/{stem}.yaml",
        display=f"jobs.d/finance/{stem}.yaml",
        path=f"{folder}/{stem}.yaml",
        default_zone=zone,
    )
    return loaded(text.encode(), place)


def request(text: str, *, folder: str = FOLDER, stem: str = "nightly") -> ProcessRequest:
    file = load(text, folder=folder, stem=stem)
    assert not file.problems, [str(problem) for problem in file.problems]
    (candidate,) = file.candidates
    return candidate.request


def reported(text: str, *, stem: str = "nightly") -> dict[str, str]:
    return {problem.path: str(problem) for problem in load(text, stem=stem).problems}


def definition(**changed: object) -> str:
    """Return a stored definition with some of its parts changed."""
    parts = {
        "data": {"process": {"shell": "x"}},
        "name": "a",
        "folder": "/",
        "file": "a",
        "line": 1,
        "sha256": "",
    }
    return json.dumps({**parts, **changed})


DATED = {
    "process": {"shell": "x"},
    "timing": {"schedule": {"frequency": "daily", "at": "02:00", "except": "x"}},
}


def timing(fields: str) -> str:
    return f"process: {{shell: x}}\ntiming: {fields}"


FULL = """\
name: nightly-posting
description: Post
owner: finance
labels: {tier: gold}
context: {client: acme, organization: madrid}
scheduled: false
reschedule: 7
process:
  name: posting
  command: [python3, post.py, --all]
  directory: ./erp
  environment: {ERP_URL: "https://erp.example"}
  prevent_concurrent: true
  timeout: 1h30m
  stop_signal: SIGINT
  stop_grace: 500ms
timing:
  schedule:
    frequency: daily
    days: weekdays
    at: 02:00
    timezone: Europe/Madrid
    finish: 2027-06-30
    spread: 5m
    misfire: fire_all
    misfire_grace: 2m
    except: [2026-12-25]
"""


def test_every_key_reaches_the_model() -> None:
    full = request(FULL)
    process = full.process
    assert (full.name, full.description, full.owner, full.labels) == (
        "nightly-posting",
        "Post",
        "finance",
        {"tier": "gold"},
    )
    assert full.context == Context(client="acme", organization="madrid")
    assert (full.scheduled, full.reschedule) == (False, "7")
    assert (process.name, process.action) == (
        "posting",
        Program(arguments=("python3", "post.py", "--all")),
    )
    assert (process.directory, process.environment) == (
        f"{FOLDER}/erp",
        {"ERP_URL": "https://erp.example"},
    )
    assert (process.prevent_concurrent, process.timeout) == (True, timedelta(minutes=90))
    assert (process.stop_signal, process.stop_grace) == (signal.SIGINT, timedelta(milliseconds=500))
    schedule = full.timing
    assert isinstance(schedule, Schedule)
    assert (schedule.spread, schedule.misfire, schedule.misfire_grace) == (
        timedelta(minutes=5),
        Misfire.FIRE_ALL,
        timedelta(minutes=2),
    )
    assert schedule.rule.pattern == Daily(weekdays=frozenset(range(5)))
    assert schedule.rule.excepted.days == {date(2026, 12, 25)}
    assert (full.source.file, full.source.line) == ("finance/nightly.yaml", 1)


def test_defaults() -> None:
    small = request("process: {shell: 'a | b'}")
    process = small.process
    assert (small.name, process.name, process.directory) == ("nightly", "nightly", FOLDER)
    assert process.action == Shell(line="a | b")
    assert (process.environment, process.prevent_concurrent, process.timeout) == ({}, False, None)
    assert (process.stop_signal, process.stop_grace) == (signal.SIGTERM, timedelta(seconds=10))
    assert (small.timing, small.scheduled, small.reschedule, small.context) == (
        None,
        True,
        None,
        Context(),
    )


def test_the_process_of_another_request() -> None:
    assert request("process: {request: other}").process.action == Reference(request="other")


@pytest.mark.parametrize(
    "text", ["run_immediately", "{run_immediately: {}}", "{run_immediately: }"]
)
def test_run_immediately(text: str) -> None:
    assert request(timing(text)).timing == RunImmediately()


def test_run_later() -> None:
    later = RunLater(start=datetime(2026, 12, 24, 17, tzinfo=UTC), zone="Europe/Madrid")
    assert request(timing("{run_later: {start: 2026-12-24 18:00}}")).timing == later
    assert later.misfire is Misfire.FIRE_ONCE
    utc = request(
        timing(
            "{run_later: {start: 2026-12-24 17:00, timezone: UTC, misfire: skip, "
            "misfire_grace: 1h}}"
        )
    ).timing
    assert utc == RunLater(
        start=later.start, zone="UTC", misfire=Misfire.SKIP, misfire_grace=timedelta(hours=1)
    )


@pytest.mark.parametrize(
    ("directory", "absolute"),
    [
        (".", FOLDER),
        ("./erp/", f"{FOLDER}/erp"),
        ("erp//x/./y", f"{FOLDER}/erp/x/y"),
        (
            "../scripts",
            f"{FOLDER}/../scripts",
        ),  # the kernel resolves `..`, since the folder may be a link
        ("/opt", "/opt"),
        ("/", "/"),
        ("~/x", f"{FOLDER}/~/x"),
    ],
)
def test_a_directory_is_relative_to_the_file_and_a_tilde_is_a_name(
    directory: str, absolute: str
) -> None:
    assert request(f"process: {{shell: x, directory: {directory}}}").process.directory == absolute


@pytest.mark.parametrize("name", ["TERM", "SIGTERM", "INT", "SIGKILL", "USR1"])
def test_a_signal_is_named_with_or_without_sig(name: str) -> None:
    number = request(f"process: {{shell: x, stop_signal: {name}}}").process.stop_signal
    assert number == signal.Signals[f"SIG{name.removeprefix('SIG')}"]


@pytest.mark.parametrize(
    ("text", "path", "message"),
    [
        (
            "process: {shell: x, stop_signal: TREM}",
            "process.stop_signal",
            'no signal "TREM" (did you mean `TERM`?)',
        ),
        (
            "process: {shell: x, stop_signal: SIGSIGTERM}",
            "process.stop_signal",
            "there is no signal",
        ),
        ("process: {shell: x, stop_signal: ''}", "process.stop_signal", "there is no signal"),
        (
            "process: {shell: x, timeout: 0s}",
            "process.timeout",
            "`timeout` should be longer than zero",
        ),
        ("process: {shell: x, timeout: 40000d}", "process.timeout", "longer than a hundred years"),
        (timing("{run_later: {start: 2026-12-24}}"), "timing.run_later.start", "2026-12-24"),
        (timing("{run_later: {start: 2026-02-30 10:00}}"), "timing.run_later.start", "2026-02-30"),
        (
            timing("{run_later: {start: 2026-12-24 18:00, timezone: Europe/Madird}}"),
            "timing.run_later.timezone",
            "Europe/Madrid",
        ),
        (timing("{schedule: {frequency: daily}}"), "timing.schedule", "at what time of day?"),
        (
            timing("{schedule: {frequency: cron, expression: 61 * * * *}}"),
            "timing.schedule.expression",
            "61",
        ),
        (
            timing("{schedule: {frequency: hourly, timezone: Mars}}"),
            "timing.schedule.timezone",
            "Mars",
        ),
        (
            timing("{schedule: {frequency: hourly, misfire_grace: 0s}}"),
            "timing.schedule.misfire_grace",
            "longer than",
        ),
        (
            timing("{schedule: {frequency: hourly, except: [2026-02-30]}}"),
            "timing.schedule.except[0]",
            "no 2026-02-30",
        ),
    ],
)
def test_a_wrong_value_is_reported_at_its_position(text: str, path: str, message: str) -> None:
    found = reported(text)
    where = path if path in found else f"{path}.at"
    assert message in found[where], found


def test_values_beyond_the_schema_are_checked_in_the_same_pass() -> None:
    found = reported(
        "ownr: x\nprocess: {shell: x, stop_signal: X}\ntiming: {schedule: {frequency: "
        "hourly, timezone: Mars}}"
    )
    assert set(found) == {"ownr", "process.stop_signal", "timing.schedule.timezone"}


def test_a_single_document_is_named_after_its_file() -> None:
    assert request("process: {shell: x}", stem="report.daily").name == "report.daily"
    assert reported("process: {shell: x}", stem="My Report") == {
        "": 'jobs.d/finance/My Report.yaml:1:1: the file\'s name "My Report" cannot be the '
        "request's"
        " (rename it or add a `name`, for example my-report)"
    }
    assert request("name: report\nprocess: {shell: x}", stem="My Report").name == "report"


def test_several_documents_each_name_themselves() -> None:
    file = load(
        "name: a\nprocess: {shell: x}\n---\nprocess: {shell: y}\n---\nname: c\nprocess: "
        "{shell: z}\n"
    )
    assert [(each.request.name, each.request.source.line) for each in file.candidates] == [
        ("a", 1),
        ("c", 6),
    ]
    assert [(each.line, each.message) for each in file.problems] == [
        (4, "several requests in one file each need a `name`")
    ]
    assert file.rejection
    assert file.rejection.whole  # the name of the document is unknown


def test_empty_documents_do_not_count() -> None:
    assert request("---\n---\nprocess: {shell: x}\n---\n").name == "nightly"


@pytest.mark.parametrize("name", ["a", "0", "a" * 100, "a.b_c-d"])
def test_a_valid_name_is_accepted(name: str) -> None:
    assert request(f'name: "{name}"\nprocess: {{shell: x}}').name == name


@pytest.mark.parametrize("name", ["", "A", "-a", ".a", "_a", "a b", "a" * 101, "é", "a/b", "a\\n"])
def test_an_invalid_name_is_refused(name: str) -> None:
    assert "name" in reported(f'name: "{name}"\nprocess: {{shell: x}}')


def test_the_digest_of_a_single_document_is_its_files_digest() -> None:
    text = "# é\nname: a\nprocess: {shell: x}\n"
    assert request(text).source.sha256 == hashlib.sha256(text.encode()).hexdigest()
    before = load(f"{text}---\nname: b\nprocess: {{shell: y}}\n").candidates
    after = load(f"{text}---\nname: b\nprocess: {{shell: z}}\n").candidates
    assert before[0].request.source.sha256 == after[0].request.source.sha256
    assert before[1].request.source.sha256 != after[1].request.source.sha256


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        "process: {shell: x}",
        timing("run_immediately"),
        timing("{run_later: {start: 2026-12-24 18:00}}"),
        "process: {shell: x, environment: {A: é}}",
        "process: {request: other}",
    ],
)
def test_a_stored_definition_builds_the_same_request_again(text: str) -> None:
    original = request(text)
    again = request_from_definition(definition_text(original), default_zone="Europe/Madrid")
    assert again == original
    assert definition_text(again) == definition_text(original)


def test_a_stored_definition_needs_no_files(tmp_path: Path) -> None:
    (tmp_path / "holidays.txt").write_text("2026-12-25\n2027-01-01 # new year\n")
    text = timing("{schedule: {frequency: daily, at: 02:00, except: holidays.txt}}")
    original = request(text, folder=str(tmp_path))
    (tmp_path / "holidays.txt").unlink()
    again = request_from_definition(definition_text(original), default_zone="Europe/Madrid")
    assert again == original
    assert isinstance(again.timing, Schedule)
    assert again.timing.rule.excepted.days == {date(2026, 12, 25), date(2027, 1, 1)}


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "5", "null", "{}", '{"data": {}}'),
        definition(data=None),
        definition(data={"process": {"shel": "x"}}),
        definition(data={"process": {"shell": "x", "stop_signal": "X"}}),
        definition(data=DATED),
        definition(data=DATED, dates=5),
        definition(data=DATED, dates={"except": ["x"]}),
        definition(data=DATED, dates={"except": {"x": "1 2026-02-30"}}),
        definition(data=DATED, dates={"only": {"x": "1 2026-02-28"}}),
    ],
)
def test_a_definition_that_this_version_cannot_build_raises_with_the_reason(text: str) -> None:
    with pytest.raises(RunnerError):
        request_from_definition(text, default_zone="UTC")


def test_a_minimal_definition_can_be_built() -> None:
    assert request_from_definition(definition(), default_zone="UTC").name == "a"


def test_a_key_beside_a_reference_is_refused() -> None:
    (problem,) = load("process: {request: other, timeout: 5m}").problems
    assert (problem.path, problem.message) == (
        "process.timeout",
        "`timeout` is not allowed beside `request`",
    )
    assert problem.suggestion == "set it where the process is defined, in `other`"


def test_a_misspelt_key_is_reported_once_and_not_as_missing_too() -> None:
    (problem,) = load("process: {shel: x}").problems
    assert (problem.path, problem.suggestion) == ("process.shel", "did you mean `shell`?")
