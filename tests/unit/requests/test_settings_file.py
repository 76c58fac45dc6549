"""`runner.yaml`: from bytes to values, with every problem at its position."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import time, timedelta
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from runner.errors import UsageError
from runner.lifecycle import Check
from runner.requests.file_settings import FileSettings, OutputBounds, WebSettings
from runner.requests.policies import Retention, Route
from runner.requests.receivers import (
    AlertSettings,
    Apprise,
    Email,
    QuietWindow,
    ReceivingProgram,
    RunnerPing,
    Webhook,
)
from runner.requests.settings_file import settings_beside, settings_in
from runner.resources import schema_text

_WHOLE = b"""
timezone: Europe/Madrid
state: state
monitor_log: /var/log/monitor.jsonl
max_running: 8
drain: 1m30s
fleet: {lost_after: 10m}
retention: {keep_for: 90d, failures_keep_for: 1d12h, keep_size: 10MB, keep_count: 7}
outputs: {keep_size: 10 GiB, keep_count: 0}
receivers:
  ops: {email: {to: [ops@example.org], from: Runner <r@example.org>, host: smtp, port: 587,
                starttls: true, user_variable: U, password_variable: P}}
  chat: {webhook: {url_variable: CHAT, method: PUT}}
  pager: {apprise: {url_variable: PAGER}}
  script: {command: [./page.sh, -v]}
notify: [{to: ops, on: [late], after: 3, repeat: 6h, recovery: false}, {to: chat}]
quiet: [{days: [sunday, monday], from: "22:00", to: "06:00", timezone: UTC, receivers: [chat]}]
ping: {url_variable: HC, every: 5m}
environment_file: runner.env
web: {listen: "[::1]:80", url: "https://a.example", socket: web.sock, behind_proxy: true,
      tls_cert: /etc/a.pem, tls_key: a.key}
"""
_ALERTS = AlertSettings(
    receivers={
        "ops": Email(
            to=("ops@example.org",),
            sender="Runner <r@example.org>",
            host="smtp",
            port=587,
            starttls=True,
            user_variable="U",
            password_variable="P",
        ),
        "chat": Webhook(url_variable="CHAT", method="PUT"),
        "pager": Apprise(url_variable="PAGER"),
        "script": ReceivingProgram(command=("./page.sh", "-v"), directory=Path("/srv")),
    },
    notify=(
        Route(
            to="ops",
            on=frozenset({Check.LATE}),
            after=3,
            repeat=timedelta(hours=6),
            recovery=False,
        ),
        Route(to="chat"),
    ),
    quiet=(
        QuietWindow(
            begins=time(22),
            ends=time(6),
            days=frozenset({0, 6}),
            zone="UTC",
            receivers=frozenset({"chat"}),
        ),
    ),
    ping=RunnerPing(url_variable="HC", every=timedelta(minutes=5)),
    environment_file=Path("/srv/runner.env"),
)


def test_every_setting_reaches_its_field() -> None:
    assert settings_in(_WHOLE, "/srv/runner.yaml") == FileSettings(
        timezone="Europe/Madrid",
        state=Path("/srv/state"),
        monitor_log=Path("/var/log/monitor.jsonl"),
        max_running=8,
        drain=timedelta(seconds=90),
        lost_after=timedelta(minutes=10),
        retention=Retention(
            keep_for=timedelta(days=90),
            failures_keep_for=timedelta(days=1, hours=12),
            keep_size=10**7,
            keep_count=7,
        ),
        outputs=OutputBounds(size=10 * 2**30, count=0),
        alerts=_ALERTS,
        web=WebSettings(
            listen="[::1]:80",
            url="https://a.example",
            socket=Path("/srv/web.sock"),
            behind_proxy=True,
            tls_cert=Path("/etc/a.pem"),
            tls_key=Path("/srv/a.key"),
        ),
    )


@pytest.mark.parametrize("nothing", [b"", b"# nothing yet\n", b"{}"])
def test_a_file_may_be_empty(nothing: bytes) -> None:
    assert settings_in(nothing, "runner.yaml") == FileSettings()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            b"max_runing: 3",
            "runner.yaml:1:1: `max_runing` is not a key of the settings (did you mean "
            "`max_running`?)",
        ),
        (b"max_running: 0", "runner.yaml:1:14: "),
        (b"timezone: UTC\ndrain: 30", "runner.yaml:2:8: "),
        (b"retention: {keep_for: 9999999999999d}", "runner.yaml:1:23: "),
        (
            b"fleet: {lost_after: 119s}",
            "runner.yaml:1:21: `lost_after` should be at least 2m",
        ),
        (b"retention: {keep_size: 1}", "runner.yaml:1:24: "),
        (
            b"outputs: {keep_for: 90d}",
            "runner.yaml:1:11: `keep_for` is not a key of `outputs` (it belongs in `retention`)",
        ),
        (b"timezone: Europe/Madird", "runner.yaml:1:11: there is no time zone 'Europe/Madird'"),
        (b"a: [", "runner.yaml:1:"),
        (b"web: {listen: '8080'}", "runner.yaml:1:15: "),
        (b"web: {url: 'https://a.example/page'}", "runner.yaml:1:12: "),
        (b"web: {tls_key: a.key}", "runner.yaml:1:"),
        (b"web: {sokcet: a}", "(did you mean `socket`?)"),
        (
            b"receivers: {op: {command: [x]}}\nnotify: [{to: ops}]",
            "runner.yaml:2:15: there is no receiver `ops` (did you mean `op`?)",
        ),
        (
            b"quiet: [{from: '22:00', to: '06:00', receivers: [ops]}]",
            "runner.yaml:1:50: there is no receiver `ops` "
            "(define it under `receivers` in runner.yaml)",
        ),
        (
            b"receivers: {ops: {emial: {}}}",
            "runner.yaml:1:19: `emial` is not a key of `ops` (did you mean `email`?)",
        ),
        (
            b"receivers: {a: {webhook: {url_variable: X}, command: [x]}}",
            "`a` takes exactly one of `email`, `webhook`, `apprise` and `command`; this one has "
            "`webhook` and `command` (make them receivers of their own)",
        ),
        (
            b"ping: {url: x}",
            "`url` is not a key of `ping` (write url_variable: NAME, with the name of the "
            "variable that holds it)",
        ),
        (b"ping: {url_variable: X, every: 0s}", "`every` should be longer than zero"),
        (b"{}\n---\n{}", "the settings are one document"),
        (b"[1]", "runner.yaml:1:1: "),
    ],
)
def test_an_error_is_reported_at_its_position(text: bytes, problem: str) -> None:
    found = settings_in(text, "runner.yaml")
    assert isinstance(found, tuple)
    assert problem in "\n".join(map(str, found))


@pytest.mark.parametrize("key", ["url", "url_variable"])
def test_an_error_does_not_show_a_secret(key: str) -> None:
    found = settings_in(f"ping: {{{key}: 'https://hc/SECRET'}}".encode(), "runner.yaml")
    assert isinstance(found, tuple)
    assert "SECRET" not in "\n".join(map(str, found))


def test_the_default_alerts_go_to_the_only_receiver() -> None:
    one = settings_in(b"receivers: {a: {command: [x]}}", "runner.yaml")
    assert isinstance(one, FileSettings)
    assert one.alerts.notify == (Route(to="a"),)


def test_several_receivers_need_a_word_on_who_hears_of_alerts() -> None:
    several = "receivers: {a: {command: [x]}, b: {command: [x]}}"
    (problem,) = settings_in(several.encode(), "runner.yaml")  # type: ignore[misc]
    assert str(problem) == (
        "runner.yaml:1:1: `notify` is missing: it says which of the receivers hears of alerts "
        "(for example notify: [{to: a}])"
    )
    nobody = settings_in(f"{several}\nnotify: []".encode(), "runner.yaml")
    assert isinstance(nobody, FileSettings)
    assert nobody.alerts.notify == ()


def test_the_settings_file_is_beside_the_jobs_folder(tmp_path: Path) -> None:
    assert settings_beside(tmp_path / "jobs.d") == FileSettings()
    (tmp_path / "runner.yaml").write_text("max_running: none\nx: 1")
    with pytest.raises(UsageError, match=r"(?s)runner.yaml:1:14: .*runner.yaml:2:1: "):
        settings_beside(tmp_path / "jobs.d")
    (tmp_path / "runner.yaml").write_text("max_running: 2")
    assert settings_beside(tmp_path / "jobs.d").max_running == 2


def keys_in(schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the subschema of every key, at every depth."""
    parts = [schema.get("items"), schema.get("additionalProperties")]
    for key in schema.get("properties", {}).values():
        yield key
        parts.append(key)
    for part in parts:
        if isinstance(part, dict):
            yield from keys_in(part)


def test_the_schema_is_one_and_describes_every_key() -> None:
    schema = json.loads(schema_text("runner"))
    jsonschema.Draft7Validator.check_schema(schema)
    keys = list(keys_in(schema))
    assert len(keys) > 30
    assert all(key["description"] and key["examples"] for key in keys)
    for key in keys:
        for example in key["examples"]:
            jsonschema.validate(example, key, cls=jsonschema.Draft7Validator)
