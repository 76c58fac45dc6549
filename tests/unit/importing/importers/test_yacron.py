"""yacron's and cronstable's YAML: defaults, schedules, failure, and what only they have."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.importing_world import data_of, messages

from runner.importing.imported import Import, Imported, ImportSettings, Severity
from runner.importing.importers.yacron import from_yacron

SAMPLE = (Path(__file__).parents[2] / "samples" / "yacrontab.yaml").read_text()
SETTINGS = ImportSettings(default_zone="UTC", now=datetime(2026, 11, 22, tzinfo=UTC))
BARE = {"shell": "x", "stop_grace": "30s", "success": {"fail_on_stderr": True}}


def read(text: str) -> Import:
    return from_yacron(text, SETTINGS, name="yacrontab.yaml")


def job(keys: str = "", top: str = "") -> Imported:
    schedule = "" if "schedule:" in keys else 'schedule: "0 5 * * *", '
    command = "" if "command:" in keys else "command: x, "
    (request,) = read(f"{top}jobs:\n  - {{name: x, {command}{schedule}{keys}}}\n").requests
    return request


def test_a_real_file_becomes_requests_with_its_defaults_merged() -> None:
    requests = {request.name: data_of(request) for request in read(SAMPLE).requests}
    assert requests["nightly-report"] == {
        "name": "nightly-report",
        "process": {
            "command": ["/bin/bash", "-c", "set -o pipefail\n./report | gzip > report.gz\n"],
            "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "DEBUG": "yes"},
            "timeout": "30m",
            "stop_grace": "500ms",
            "prevent_concurrent": True,
            "success": {"fail_on_stderr": True},
            "retry": {"attempts": 4, "delay": "1s", "backoff": 2, "max_delay": "30s"},
        },
        "timing": {
            "schedule": {
                "frequency": "cron",
                "expression": "30 2 * * *",
                "timezone": "Europe/Madrid",
            }
        },
    }
    assert requests["first-monday"]["process"] == {
        "shell": "close-month",
        "environment": {"PATH": "/usr/local/bin:/usr/bin:/bin", "DEBUG": "False"},
        "stop_grace": "30s",
        "run_as": {"user": "www-data"},
    }
    assert requests["first-monday"]["timing"]["schedule"]["expression"] == "0 9 * * 1#1"
    unscheduled = {name for name, data in requests.items() if not data.get("scheduled", True)}
    assert unscheduled == {"friday-the-13th", "only-2027", "keep-alive"}
    assert "timing" not in requests["friday-the-13th"]


def test_yacron_s_implicit_defaults_are_written_out() -> None:
    request = job()
    assert data_of(request) == {
        "name": "x",
        "process": BARE,
        "timing": {"schedule": {"frequency": "cron", "expression": "0 5 * * *", "timezone": "UTC"}},
    }
    assert request.remarks == ()


@pytest.mark.parametrize(
    ("keys", "process"),
    [
        ("command: [a, 5, 0700]", {"command": ["a", "5", "0700"]}),
        ("shell: /bin/bash", {"command": ["/bin/bash", "-c", "x"]}),
        ("captureStderr: false", {"shell": "x"}),
        ("failsWhen: {producesStdout: false, producesStderr: no}", {"shell": "x"}),
        ("executionTimeout: 0.5, killTimeout: 2", {"timeout": "500ms", "stop_grace": "2s"}),
        ("concurrencyPolicy: Forbid", {"prevent_concurrent": True}),
        ("concurrencyPolicy: Replace", {"prevent_concurrent": True, "on_overlap": "replace"}),
        ("env_file: /etc/x.env", {"environment_file": "/etc/x.env"}),
        ("user: a, group: b", {"run_as": {"user": "a", "group": "b"}}),
        (
            "environment: [{key: A, value: ~}, {key: B, value: 0700}]",
            {"environment": {"A": "~", "B": "0700"}},
        ),
        (
            "failsWhen: {nonzeroReturn: false}",
            {"success": {"exit_codes": list(range(256)), "fail_on_stderr": True}},
        ),
    ],
)  # fmt: skip
def test_each_key_becomes_its_counterpart(keys: str, process: dict[str, object]) -> None:
    found = data_of(job(keys))["process"]
    assert {key: found[key] for key in process} == process
    assert "success" in found or "captureStderr" in keys or "no}" in keys


@pytest.mark.parametrize(
    ("keys", "schedule"),
    [
        ("utc: false", {"expression": "0 5 * * *"}),
        ("utc: false, timezone: Asia/Tokyo", {"expression": "0 5 * * *", "timezone": "Asia/Tokyo"}),
        ("schedule: {hour: 5}", {"expression": "* 5 * * *", "timezone": "UTC"}),
        (
            'schedule: {minute: "*/5", second: 30}',
            {"expression": "30 */5 * * * *", "timezone": "UTC"},
        ),
        (
            "schedule: {minute: 0, hour: 1, dayOfMonth: 19, month: 7, year: 2030}",
            {
                "expression": "0 1 19 7 *",
                "timezone": "UTC",
                "start": "2030-01-01",
                "finish": "2030-12-31",
            },
        ),
        ('schedule: "@daily"', {"expression": "0 0 * * *", "timezone": "UTC"}),
        (
            "onMissed: run-once",
            {"expression": "0 5 * * *", "timezone": "UTC", "misfire": "fire_once"},
        ),
        (
            "onMissed: run-all",
            {"expression": "0 5 * * *", "timezone": "UTC", "misfire": "fire_all"},
        ),
        (
            "onMissed: run-once, startingDeadlineSeconds: 600",
            {"expression": "0 5 * * *", "timezone": "UTC", "misfire_grace": "10m"},
        ),
        ("startingDeadlineSeconds: 600", {"expression": "0 5 * * *", "timezone": "UTC"}),
    ],
)
def test_schedules(keys: str, schedule: dict[str, str]) -> None:
    request = job(keys)
    assert data_of(request)["timing"] == {"schedule": {"frequency": "cron", **schedule}}
    assert messages(request, Severity.CHANGED) == []


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ('schedule: "0 0 13 * 5"', "both a day of the month and a weekday"),
        ('schedule: "H 5 * * *"', "'H' is not a valid minute"),
        ('schedule: "@reboot"', "@reboot runs at each start"),
        ("onFailure: {retry: {maximumRetries: -1}}", "retries it without end"),
        ("failsWhen: {producesStdout: true}", "failsWhen.producesStdout"),
        ("failsWhen: {producesStdout: false, always: true}", "failsWhen.always"),
        ("group: staff", "the group staff and no user"),
        ("user: 1000", "takes names, not numbers"),
        ("env_file: .env", "relative to yacron's own folder"),
        ("onlyIfLastSucceeded: true", "`onlyIfLastSucceeded`"),
        ("concurrencyScope: cluster", "all nodes of a cluster"),
        ("onMissed: run-all, startingDeadlineSeconds: 60", "Runner runs only one"),
        ("timezone: Mars/Olympus", "there is no time zone"),
        ("novelty: 1", "`novelty` is not carried over"),
        ("command: [], x: 1", "it has no command"),
        ("schedule: [], x: 1", "it has no schedule"),
    ],
)
def test_a_key_without_a_counterpart_unschedules_the_request(keys: str, words: str) -> None:
    request = job(keys)
    assert data_of(request)["scheduled"] is False
    assert any(words in message for message in messages(request, Severity.CHANGED)), request.remarks


@pytest.mark.parametrize(
    "key",
    ["statsd: {prefix: a}", "onSuccess: {report: {mail: {to: a}}}", "sla: {lateAfterSeconds: 5}"],
)
def test_a_lost_extra_is_reported_and_the_request_stays_scheduled(key: str) -> None:
    request = job(key)
    assert data_of(request).get("scheduled", True)
    assert len(messages(request, Severity.DIFFERS)) == 1


def test_a_disabled_job_is_unscheduled_without_a_change() -> None:
    request = job("enabled: no")
    assert data_of(request)["scheduled"] is False
    assert [remark.severity for remark in request.remarks] == [Severity.NOTE]


def test_includes_and_dags_are_reported_and_jobs_with_unread_defaults_are_unscheduled() -> None:
    imported = read(
        "include: [base.yaml]\ndags: [{name: etl}]\nfoo: 1\n"
        "jobs:\n- {name: x, command: x, schedule: '* * * * *'}\n"
    )
    reported = [
        (remark.line, remark.message.split(",")[0])
        for remark in imported.remarks
        if remark.severity is Severity.CHANGED
    ]
    assert reported == [
        (1, "base.yaml is included"),
        (2, "the DAG etl is not carried over"),
        (3, "`foo` is unknown"),
    ]
    assert data_of(imported.requests[0])["scheduled"] is False


def test_defaults_are_merged_mapping_by_mapping_and_the_job_wins() -> None:
    retry = "{maximumRetries: 2, initialDelay: 5, maximumDelay: 60, backoffMultiplier: 1.5}"
    top = (
        "defaults: {utc: false, failsWhen: {producesStderr: false},"
        f" onFailure: {{retry: {retry}}}}}\n"
    )
    request = job("onFailure: {retry: {maximumRetries: 5}}", top)
    assert data_of(request)["process"] == {
        "shell": "x",
        "stop_grace": "30s",
        "retry": {"attempts": 6, "delay": "5s", "backoff": 1.5, "max_delay": "1m"},
    }
    assert "timezone" not in data_of(request)["timing"]["schedule"]


@pytest.mark.parametrize(
    ("more", "key"),
    [
        ("failsWhen: {unknown: 1}", "failsWhen.unknown"),
        ("onFailure: {unknown: 1}", "onFailure.unknown"),
        ("onFailure: {retry: {unknown: 1}}", "onFailure.retry.unknown"),
        ("onSuccess: {unknown: 1}", "onSuccess.unknown"),
        ("unknown: 1", "unknown"),
    ],
)
def test_unknown_keys_at_every_depth_are_reported(more: str, key: str) -> None:
    (request,) = read(f"jobs: [{{name: a, command: b, schedule: '* * * * *', {more}}}]\n").requests
    assert f"`{key}` is not carried over" in messages(request, Severity.CHANGED)


def test_an_unknown_key_of_a_variable_is_reported() -> None:
    variable = "environment: [{key: A, value: b, unknown: c}]"
    (request,) = read(
        f"jobs: [{{name: a, command: b, schedule: '* * * * *', {variable}}}]\n"
    ).requests
    assert "`environment` has an unknown key unknown" in messages(request, Severity.CHANGED)


def test_a_file_that_is_not_a_configuration_is_a_change() -> None:
    (remark,) = read("- {name: a, command: b, schedule: '* * * * *'}\n").remarks
    assert (remark.severity, remark.message[:18]) == (Severity.CHANGED, "this is not a yacr")
