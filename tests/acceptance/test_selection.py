"""Selections: one set of options that means the same requests in every command."""

from __future__ import annotations

import json

import pytest
from support.place import Place

DAILY = {"schedule": {"frequency": "daily", "at": "02:00", "timezone": "Europe/Madrid"}}
HOSTILE = {"a=b": "c=d", "note": "$(touch pwned) `id`; 'x' \"y\"", "esc": "\x1b[31m\nred", "e": ""}


@pytest.fixture
def team(place: Place) -> Place:
    """Two requests of a team, one of another, one with hostile labels and one without any."""
    finance = {"owner": "finance", "labels": {"team": "finance", "tier": "gold"}}
    place.declare("nightly-posting", "exit 3", DAILY, top=finance)
    place.declare("month-end", "true", DAILY, top=finance)
    place.declare("nightly-backup", "true", DAILY, top={"owner": "ops", "labels": {"team": "ops"}})
    place.declare("hostile", "true", DAILY, top={"owner": "-x *", "labels": HOSTILE})
    place.declare("plain", "true")
    return place


def _names(place: Place, *arguments: str) -> list[str]:
    return [item["request"] for item in place.items("ls", *arguments)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (["nightly-*"], ["nightly-backup", "nightly-posting"]),
        (["--label", "team=finance"], ["month-end", "nightly-posting"]),
        (["nightly-*", "--label", "team=finance"], ["nightly-posting"]),
        (["--owner", "ops", "--owner", "finance", "*-[be]*"], ["month-end", "nightly-backup"]),
        (["--status", "definition"], ["plain"]),
        (["--owner=-x *"], ["hostile"]),
        *((["--label", f"{key}={value}"], ["hostile"]) for key, value in HOSTILE.items()),
    ],
)
def test_ls_and_next_show_the_selected_requests(
    team: Place, selection: list[str], expected: list[str]
) -> None:
    assert _names(team, *selection) == expected
    fires = {item["request"] for item in team.items("next", "-n", "40", *selection)}
    assert fires == set(expected) - {"plain"}


def test_ls_gives_labels_and_owners_as_json(team: Place) -> None:
    found = {item["request"]: (item["owner"], item["labels"]) for item in team.items("ls")}
    assert found["hostile"] == ("-x *", HOSTILE)
    assert found["plain"] == (None, {})
    assert team.items("show", "month-end")[0]["labels"] == {"team": "finance", "tier": "gold"}


def test_failing_selects_by_the_last_result_also_after_a_restart(team: Place) -> None:
    shown = team.run("ls", "--failing")
    assert (shown.returncode, shown.stderr) == (0, "no selected request is failing\n")
    runner = team.start()
    for name in ("nightly-posting", "month-end"):
        team.run("exec", name)
    assert _names(team, "--failing") == ["nightly-posting"]
    runner.kill()
    runner.wait()
    assert team.stop(team.start()) == 0
    assert _names(team, "--failing") == ["nightly-posting"]
    assert {item["request"] for item in team.items("next", "--failing")} == {"nightly-posting"}


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (["--label", "taem=finance"], "did you mean 'team=finance'?"),
        (["--label", "region=eu"], r"the labels are a=b=c=d, e=, esc=\x1b[31m\x0ared, note=$("),
        (["--label", "team"], "--label takes KEY=VALUE"),
        (["--owner", "finanse"], "did you mean 'finance'?"),
        (["weekly-*"], "no request matches 'weekly-*'"),
        (["nightly-postign"], "did you mean 'nightly-posting'?"),
        (["--", "-x*"], "no request matches '-x*'"),
        (["plain", "--owner", "ops"], "no request meets all of: plain, --owner ops"),
    ],
)
def test_a_selection_that_no_request_can_meet_is_refused_like_an_unknown_name(
    team: Place, selection: list[str], words: str
) -> None:
    unknown = team.run("next", "no-such-request")
    for command in ("ls", "next"):
        done = team.run(command, *selection)
        assert words in done.stderr
        assert (done.returncode, done.stdout) == (unknown.returncode, "")
    assert "\x1b" not in done.stderr


def test_an_invalid_file_is_selected_by_status_and_keeps_the_labels_of_its_last_version(
    team: Place,
) -> None:
    runner = team.start()
    team.write("month-end.yaml", json.dumps({"process": {"shel": "true"}}))
    team.write("new.yaml", "process: 5\n")
    assert team.run("reload").returncode == 1
    assert _names(team, "--status", "invalid") == ["month-end", "new"]
    assert _names(team, "--label", "tier=gold") == ["month-end", "nightly-posting"]
    assert team.stop(runner) == 0
