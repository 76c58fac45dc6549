"""CronJob manifests: the keys with a counterpart, and a report of everything else."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from support.importing_world import data_of, messages

from runner.errors import RunnerError
from runner.importing.imported import Import, Imported, ImportSettings, Severity
from runner.importing.importers.kubernetes import from_kubernetes

SAMPLE = (Path(__file__).parents[2] / "samples" / "cronjobs.yaml").read_text()
SETTINGS = ImportSettings(default_zone="UTC", now=datetime(2026, 11, 22, tzinfo=UTC))


def read(text: str) -> Import:
    return from_kubernetes(text, SETTINGS, name="cronjobs.yaml")


def cron_job(
    spec: str = "", *, job: str = "", pod: str = "", container: str = "command: [run]"
) -> Imported:
    schedule = "" if "schedule:" in spec else 'schedule: "0 5 * * *", '
    containers = f"containers: [{{name: a, image: b, {container}}}]"
    template = f"template: {{spec: {{{pod}{', ' * bool(pod)}{containers}}}}}"
    inner = f"jobTemplate: {{spec: {{{job}{', ' * bool(job)}{template}}}}}"
    head = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\n"
    (request,) = read(f"{head}spec: {{{schedule}{spec}{', ' * bool(spec)}{inner}}}\n").requests
    return request


def test_real_manifests_become_unscheduled_requests_with_every_counterpart() -> None:
    imported = read(SAMPLE)
    requests = {request.name: data_of(request) for request in imported.requests}
    assert requests["reconcile"] == {
        "name": "reconcile",
        "labels": {"app": "billing", "namespace": "billing"},
        "scheduled": False,
        "process": {
            "command": [
                "/app/reconcile",
                "--account=0700",
                "--price=$(ACCOUNT)",
                "--other=$(OTHER)",
            ],
            "environment": {"ACCOUNT": "0700"},
            "directory": "/app",
            "timeout": "30m",
            "stop_grace": "30s",
            "prevent_concurrent": True,
        },
        "timing": {
            "schedule": {
                "frequency": "cron",
                "expression": "30 2 * * *",
                "timezone": "Europe/Madrid",
                "misfire_grace": "5m",
            }
        },
    }
    assert requests["warm-cache"] == {
        "name": "warm-cache",
        "scheduled": False,
        "process": {
            "command": ["false"],
            "stop_grace": "5s",
            "prevent_concurrent": True,
            "on_overlap": "replace",
            "retry": {"attempts": 7, "delay": "10s", "backoff": 2, "max_delay": "6m"},
        },
        "timing": {
            "schedule": {
                "frequency": "cron",
                "expression": "0 */6 1-31/2 * 1",
                "misfire": "fire_once",
            },
        },
    }
    assert requests["pulse"]["timing"] == {"schedule": {"frequency": "minutely", "interval": 90}}
    assert any(
        "this is a ConfigMap" in remark.message and remark.line == 66 for remark in imported.remarks
    )


def test_a_remark_points_at_the_line_that_it_concerns() -> None:
    request = next(request for request in read(SAMPLE).requests if request.name == "reconcile")
    lines = {
        remark.message.split(" is not")[0].rpartition(".")[2]: remark.line
        for remark in request.remarks
    }
    assert lines["8"] == 30  # the image
    assert lines["resources`"] == 40
    assert lines["volumes`"] == 42


def test_an_image_is_always_reported_and_unschedules() -> None:
    request = cron_job()
    assert data_of(request)["scheduled"] is False
    assert len(messages(request, Severity.CHANGED)) == 1
    assert "the image b" in messages(request, Severity.CHANGED)[0]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("concurrencyPolicy: Allow", {}),
        ("concurrencyPolicy: Forbid", {"prevent_concurrent": True}),
        ("concurrencyPolicy: Replace", {"prevent_concurrent": True, "on_overlap": "replace"}),
    ],
)
def test_concurrency_policies(spec: str, expected: dict[str, object]) -> None:
    process = data_of(cron_job(spec))["process"]
    assert {
        key: process[key] for key in ("prevent_concurrent", "on_overlap") if key in process
    } == expected


@pytest.mark.parametrize(
    ("spec", "schedule"),
    [
        ("startingDeadlineSeconds: 200", {"misfire_grace": "3m20s"}),
        ("suspend: false", {"misfire": "fire_once"}),
        (
            "timeZone: Asia/Tokyo, startingDeadlineSeconds: 60",
            {"timezone": "Asia/Tokyo", "misfire_grace": "1m"},
        ),
    ],
)
def test_the_deadline_decides_whether_a_missed_run_is_caught_up(
    spec: str, schedule: dict[str, str]
) -> None:
    timing = data_of(cron_job(spec))["timing"]
    assert timing == {"schedule": {"frequency": "cron", "expression": "0 5 * * *", **schedule}}


def test_a_zone_in_the_schedule_becomes_the_timezone() -> None:
    timing = data_of(
        cron_job('schedule: "CRON_TZ=Asia/Tokyo 0 5 * * *", startingDeadlineSeconds: 60')
    )["timing"]
    assert timing["schedule"]["timezone"] == "Asia/Tokyo"
    assert timing["schedule"]["expression"] == "0 5 * * *"


@pytest.mark.parametrize(
    ("every", "schedule"),
    [
        ("@every 1h", {"frequency": "hourly", "interval": 1}),
        ("@every 90s", {"frequency": "secondly", "interval": 90}),
        ("@every 2m", {"frequency": "minutely", "interval": 2}),
    ],
)
def test_the_different_origin_of_an_interval_is_reported(
    every: str, schedule: dict[str, object]
) -> None:
    request = cron_job(f'schedule: "{every}"')
    assert data_of(request)["timing"] == {"schedule": schedule}
    assert "counts from the creation of the CronJob" in messages(request, Severity.DIFFERS)[0]


def test_attempts_and_deadlines() -> None:
    once = cron_job(job="backoffLimit: 0, activeDeadlineSeconds: 90")
    assert "retry" not in data_of(once)["process"]
    assert data_of(once)["process"]["timeout"] == "1m30s"
    again = cron_job(job="backoffLimit: 2, activeDeadlineSeconds: 90")
    assert data_of(again)["process"]["retry"]["attempts"] == 3
    assert any(
        "limits all attempts together" in message for message in messages(again, Severity.CHANGED)
    )


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("initContainers` is not carried over", {"pod": "initContainers: [{name: i, image: c}]"}),
        ("serviceAccountName` is not carried over", {"pod": "serviceAccountName: robot"}),
        (
            "envFrom` is not carried over",
            {"container": "command: [a], envFrom: [{secretRef: {name: s}}]"},
        ),
        (
            "the value of T comes from another object",
            {"container": "command: [a], env: [{name: T, valueFrom: {}}]"},
        ),
        ("completions is 5", {"job": "completions: 5"}),
        ("`command` should be a list", {"container": "command: run it"}),
        ("there is no concurrencyPolicy Never", {"spec": "concurrencyPolicy: Never"}),
        (
            "has no counterpart: Kubernetes has no expressions of 6",
            {"spec": 'schedule: "0 0 5 * * *"'},
        ),
        ("there is no time zone 'Nowhere'", {"spec": "timeZone: Nowhere"}),
        ("somethingNew` is not carried over", {"spec": "somethingNew: 1"}),
        ("may never run it", {"spec": "startingDeadlineSeconds: 5"}),
        ("`suspend` should be true or false", {"spec": "suspend: perhaps"}),
        ("`backoffLimit` should be a number", {"job": "backoffLimit: many"}),
    ],
)
def test_everything_left_out_is_reported(words: str, where: dict[str, str]) -> None:
    request = cron_job(**where)
    assert any(words in message for message in messages(request, Severity.CHANGED)), request.remarks


def test_a_suspended_cronjob_stays_so_and_extra_containers_are_reported() -> None:
    assert messages(cron_job("suspend: true"), Severity.NOTE)[-1] == "it is suspended"
    text = SAMPLE.replace(
        "containers: [{name: a", "containers: [{name: z, image: y, command: [z]}, {name: a"
    )
    pulse = read(text).requests[-1]
    assert any(
        "has 2 containers; only the first is carried over" in message
        for message in messages(pulse, Severity.CHANGED)
    )
    assert data_of(pulse)["process"]["command"] == ["z"]


def test_a_cronjob_without_containers_gets_a_placeholder_and_a_remark() -> None:
    head = "apiVersion: batch/v1\nkind: CronJob\nmetadata: {name: x}\n"
    spec = (
        'spec: {schedule: "0 5 * * *", jobTemplate: {spec: {template: {spec: {containers: []}}}}}\n'
    )
    (request,) = read(head + spec).requests
    assert messages(request, Severity.CHANGED) == [
        "it has no container, so there is nothing to run; `false` takes its place"
    ]
    assert data_of(request)["process"]["command"] == ["false"]


@pytest.mark.parametrize(
    "text", ["a: *x", "{{- if .Values.on }}\nkind: CronJob\n{{- end }}", "a: 1\na: 2", "a: &b 1"]
)
def test_a_text_that_is_not_plain_yaml_is_refused_with_its_line(text: str) -> None:
    with pytest.raises(RunnerError, match=r"cronjobs.yaml:\d+:\d+: "):
        read(text)


@pytest.mark.parametrize(
    "text", ["kind: CronJob", "kind: CronJob\nspec: 5", "kind: CronJob\nspec: {jobTemplate: []}"]
)
def test_an_almost_empty_manifest_becomes_a_draft(text: str) -> None:
    (request,) = read(text).requests
    assert data_of(request)["scheduled"] is False
    assert "timing" not in data_of(request)
    assert [remark.severity for remark in read("just text").all_remarks()] == [Severity.CHANGED]


def test_the_items_of_a_list_may_omit_their_kind() -> None:
    text = (
        "apiVersion: batch/v1\nkind: CronJobList\n"
        "items:\n- metadata: {name: x}\n  spec: {schedule: '0 5 * * *'}\n"
    )
    (request,) = read(text).requests
    assert request.name == "x"


@pytest.mark.parametrize("kind", ["ScheduledJob", "CronWorkflow", "Job", "CronJobList", ""])
def test_leaving_out_a_kind_that_may_have_a_schedule_is_a_change(kind: str) -> None:
    (remark,) = read(f"metadata: {{name: x}}\nkind: {kind or 'null'}\n").remarks
    assert remark.severity is Severity.CHANGED
    assert "is left out" in remark.message


def test_a_kind_without_a_schedule_is_left_out_with_a_note_and_an_empty_document_silently() -> None:
    imported = read("kind: ConfigMap\n---\n---\nkind: Service\n")
    assert [remark.severity for remark in imported.remarks] == [Severity.NOTE, Severity.NOTE]


def test_unknown_keys_at_every_depth_are_reported() -> None:
    text = """\
kind: CronJob
topmost: 1
metadata: {name: x, inMetadata: 1}
spec:
  schedule: "0 5 * * *"
  inSpec: 1
  jobTemplate:
    inTemplate: 1
    metadata: {inJobMetadata: 1}
    spec:
      inJob: 1
      template:
        inPodTemplate: 1
        metadata: {inPodMetadata: 1}
        spec:
          inPod: 1
          containers:
          - image: a
            command: [a]
            inContainer: 1
            env: [{name: A, value: b, inVariable: 1}, {value: c}]
"""
    (request,) = read(text).requests
    reported = " ".join(messages(request, Severity.CHANGED))
    for key in (
        "topmost",
        "inMetadata",
        "inSpec",
        "inTemplate",
        "inJobMetadata",
        "inJob",
        "inPodTemplate",
    ):
        assert f"{key}` is not carried over" in reported
    for key in ("inPodMetadata", "inPod", "inContainer", "inVariable"):
        assert f"{key}` is not carried over" in reported
    assert "a variable without a name" in reported
