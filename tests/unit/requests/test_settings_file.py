"""`runner.yaml`: from bytes to values, with every problem at its position."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jsonschema
import pytest

from runner.errors import UsageError
from runner.requests.settings import FileSettings, Retention
from runner.requests.settings_file import settings_beside, settings_in
from runner.resources import schema_text

_WHOLE = b"""
timezone: Europe/Madrid
state: state
monitor_log: /var/log/monitor.jsonl
max_running: 8
drain: 1m30s
outputs: {keep_for: 90d, keep_size: 10 GiB, keep_count: 0}
"""


def test_every_setting_reaches_its_field() -> None:
    assert settings_in(_WHOLE, "/srv/runner.yaml") == FileSettings(
        timezone="Europe/Madrid",
        state=Path("/srv/state"),
        monitor_log=Path("/var/log/monitor.jsonl"),
        max_running=8,
        drain=timedelta(seconds=90),
        retention=Retention(age=timedelta(days=90), size=10 * 2**30, count=0),
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
        (b"outputs: {keep_for: 9999999999999d}", "runner.yaml:1:21: "),
        (b"timezone: Europe/Madird", "runner.yaml:1:11: there is no time zone 'Europe/Madird'"),
        (b"a: [", "runner.yaml:1:"),
        (b"{}\n---\n{}", "the settings are one document"),
        (b"[1]", "runner.yaml:1:1: "),
    ],
)
def test_an_error_is_reported_at_its_position(text: bytes, problem: str) -> None:
    found = settings_in(text, "runner.yaml")
    assert isinstance(found, tuple)
    assert problem in "\n".join(map(str, found))


def test_the_settings_file_is_beside_the_jobs_folder(tmp_path: Path) -> None:
    assert settings_beside(tmp_path / "jobs.d") == FileSettings()
    (tmp_path / "runner.yaml").write_text("max_running: none\nx: 1")
    with pytest.raises(UsageError, match=r"(?s)runner.yaml:1:14: .*runner.yaml:2:1: "):
        settings_beside(tmp_path / "jobs.d")
    (tmp_path / "runner.yaml").write_text("max_running: 2")
    assert settings_beside(tmp_path / "jobs.d").max_running == 2


def test_the_schema_is_one_and_describes_every_key() -> None:
    schema = json.loads(schema_text("runner"))
    jsonschema.Draft7Validator.check_schema(schema)
    keys = [*schema["properties"].values(), *schema["properties"]["outputs"]["properties"].values()]
    assert all(key["description"] and key["examples"] for key in keys)
    for key in keys:
        for example in key["examples"]:
            jsonschema.validate(example, key, cls=jsonschema.Draft7Validator)
