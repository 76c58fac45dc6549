"""`show` leaves out nothing that a request says: each key of the schema, with and without it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from runner.cli.group import cli
from runner.resources import schema_text

Keys = dict[str, Any]
SCHEMA: Keys = json.loads(schema_text("process-request"))
TIMING: Keys = SCHEMA["properties"]["timing"]["else"]
LATER = {"run_later": {"start": "2030-12-24 18:00"}}
DAILY = {"schedule": {"frequency": "daily", "at": "01:00"}}
WEEKLY = {"schedule": {"frequency": "weekly", "days": ["monday"], "at": "01:00"}}
MONTHLY = {"schedule": {"frequency": "monthly", "day": 1, "at": "01:00"}}
CRON = {"schedule": {"frequency": "cron", "expression": "0 1 * * *"}}
HOURLY = {"schedule": {"frequency": "hourly"}}
GROUP = {"group": {"members": [{"name": "a", "shell": "true"}, {"name": "b", "shell": "true"}]}}

WITHIN: dict[str, Keys] = {
    "process.command": {"process": {"command": ["true"]}},
    "process.shell": {"process": {"shell": "true"}},
    "process.python": {"process": {"python": "a.b:c"}},
    "process.group": {"process": GROUP},
    "process.scheduled": {"process": GROUP},
    "process.request": {"process": {"request": "other"}},
    "process.on_overlap": {"process": {"shell": "true", "prevent_concurrent": True}},
    "process.retry": {
        "process": {"shell": "true", "retry": {"attempts": 3, "delay": "7s", "backoff": 3}}
    },
    "process.if": {"process": {"shell": "true", "if": {"shell": "test -e a"}}},
    "process.if.command": {"process": {"shell": "true", "if": {"command": ["true"]}}},
    "process.run_as": {"process": {"shell": "true", "run_as": {"user": "root"}}},
    "ping": {"ping": {"url_variable": "HC"}},
    "timing.run_immediately": {"timing": LATER},
    "timing.run_later": {"timing": LATER},
    "timing.schedule": {"timing": DAILY},
    "timing.schedule.frequency": {"timing": HOURLY},
    "timing.schedule.interval": {"timing": HOURLY},
    "timing.schedule.days": {"timing": WEEKLY},
    "timing.schedule.day": {"timing": MONTHLY},
    "timing.schedule.expression": {"timing": CRON},
    "timing.schedule.repetitions": {
        "timing": {"schedule": {"frequency": "hourly", "start": "2026-01-01 00:00"}}
    },
    "timing.schedule.misfire_grace": {
        "timing": {"schedule": {**DAILY["schedule"], "misfire": "fire_once"}}
    },
}
"""The other keys that a valid document needs beside a key, by the longest matching path."""
SAID: dict[str, tuple[object, object]] = {
    "process.command": (["true"], ["false"]),
    "process.shell": ("true", "false"),
    "process.python": ("a.b:c", "a.b:d"),
    "process.group": (GROUP["group"], {"members": GROUP["group"]["members"][:1]}),
    "process.group.members": (GROUP["group"]["members"], GROUP["group"]["members"][:1]),
    "process.request": ("other", "another"),
    "process.secrets": (["PATH"], None),
    "process.if.command": (["true"], ["false"]),
    "process.if.shell": ("true", "false"),
    "process.run_as.user": ("root", "daemon"),
    "process.run_as.group": ("root", None),
    "process.retry.attempts": (3, 4),
    "on_success.request": ("other", "another"),
    "on_success": ({"request": "other"}, None),
    "on_failure.request": ("other", "another"),
    "on_failure": ({"request": "other"}, None),
    "on_failure.unschedule_after": (5, 6),
    "ping.url_variable": ("HC_BACKUP", "HC_OTHER"),
    "timing": (DAILY, None),
    "timing.run_later": (LATER["run_later"], {"start": "2031-01-01 00:00"}),
    "timing.schedule": (DAILY["schedule"], HOURLY["schedule"]),
    "timing.run_later.start": ("2030-12-24 18:00", "2031-01-01 00:00"),
    "timing.run_immediately": ({}, None),
    "timing.schedule.frequency": ("hourly", "minutely"),
    "timing.schedule.days": (["monday"], ["friday"]),
    "timing.schedule.day": (1, 2),
    "timing.schedule.at": ("01:00", "02:00"),
    "timing.schedule.expression": ("0 1 * * *", "0 2 * * *"),
    "timing.schedule.except": (["2027-12-25"], None),
    "timing.schedule.finish": ("2030-06-30", None),
}
"""Two values of a key that `show` must distinguish; None means no such key.

The default is the schema's example and None.
"""
OF_MEMBERS = {"process.scheduled"}
"""Keys that only a group's member can have."""
NOT_SHOWN = {
    "process": "it is shown by each of its keys",
    "name": "it is the argument of the command",
}


def paths(schema: Keys = SCHEMA, above: str = "") -> Iterator[tuple[str, object]]:
    """Yield the path of each key of a document, with the first example in the schema."""
    for key, value in schema["properties"].items():
        yield f"{above}{key}", value["examples"][0]
        inner = TIMING if key == "timing" else value
        if "properties" in inner:
            yield from paths(inner, f"{above}{key}.")


def document(path: str, value: object) -> Keys:
    """Return a valid document that has a value at a path; none if the value is None."""
    fitting = max(
        (known for known in WITHIN if f"{path}.".startswith(f"{known}.")), key=len, default=""
    )
    content = {"process": {"shell": "true"}, **deepcopy(WITHIN.get(fitting, {}))}
    *above, last = path.split(".")
    place = content
    for key in above:
        place = place.setdefault(key, {})
    if path in OF_MEMBERS:
        place = place["group"]["members"][0]
    if path == "timing.run_immediately" and value is not None:
        place.clear()  # instead of the other timing
    place.pop(last, None)
    if value is not None:
        place[last] = value
    return content


def shown(folder: Path, content: Keys) -> list[str]:
    """Return the output of `show` for a document, without the digest of its text."""
    jobs = folder / "jobs.d"
    (jobs / "shown.yaml").write_text(json.dumps(content))
    # Through the group: click would keep a help option without -h in a command run alone.
    done = CliRunner().invoke(
        cli, ["show", "shown", "--jobs", str(jobs), "--state", str(folder / "state")]
    )
    assert done.exit_code == 0, done.output
    assert "problems" not in done.stdout, done.stdout
    return [line for line in done.stdout.splitlines() if not line.startswith("request_sha256")]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TZ", "UTC")
    jobs = tmp_path / "jobs.d"
    jobs.mkdir()
    for name in ("other", "another"):
        (jobs / f"{name}.yaml").write_text(json.dumps({"process": {"shell": "true"}}))
    (jobs / "erp").mkdir()
    (jobs / "erp.env").write_text("")
    return tmp_path


@pytest.mark.parametrize(("path", "example"), list(paths()))
def test_show_leaves_out_no_key_that_a_request_can_have(
    folder: Path, path: str, example: object
) -> None:
    if path in NOT_SHOWN:
        return
    value, other = SAID.get(path, (example, None))
    assert shown(folder, document(path, value)) != shown(folder, document(path, other))
