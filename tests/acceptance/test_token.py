"""`runner token`: who may use the page; and `runner web` where its libraries are missing."""

from __future__ import annotations

import json
import stat
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from support.place import Place

from runner import installation
from runner.cli.group import cli
from runner.errors import RefusedError
from runner.values import parse_instant


def test_a_token_is_shown_once_listed_and_removed(place: Place) -> None:
    added = place.run(
        "token", "add", "maria", "--role", "operator", "--only-label", "team=finance",
        "--only-client", "acme", "--expires", "90d",
    )  # fmt: skip
    assert added.returncode == 0
    (secret,) = added.stdout.splitlines()
    assert "shown only now" in added.stderr
    assert place.run("token", "add", "grafana").returncode == 0
    listed = place.run("token", "list")
    assert [line.split()[:3] for line in listed.stdout.splitlines()] == [
        ["NAME", "ROLE", "SCOPE"],
        ["maria", "operator", "team=finance,"],
        ["grafana", "viewer", "everything"],
    ]
    maria, grafana = map(json.loads, place.run("token", "list", "-o", "json").stdout.splitlines())
    assert (maria["labels"], maria["client"]) == (["team=finance"], "acme")
    left = parse_instant(maria["expires"]) - datetime.now(UTC)
    assert timedelta(days=89, hours=23) < left <= timedelta(days=90)
    assert (grafana["role"], grafana["expires"]) == ("viewer", None)
    files = [path for path in place.state.rglob("*") if path.is_file()]
    assert not any(secret.encode() in path.read_bytes() for path in files)
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    assert place.run("token", "remove", "maria").stdout == "maria: removed\n"
    assert "maria" not in place.run("token", "list").stdout


def test_a_token_that_has_expired_is_listed_as_such(place: Place) -> None:
    assert place.run("token", "add", "old", "--expires", "0s").returncode == 0
    assert "expired" in place.run("token", "list").stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("add",), 2, "the name of a token"),
        (("list", "maria"), 2, "the name of a token"),
        (("remove",), 2, "the name of a token"),
        (("remove", "maria", "--role", "admin"), 2, "belong to `token add`"),
        (("add", "Maria B"), 2, "a token's name has small letters"),
        (("add", "maria", "--only-label", "finance"), 2, "KEY=VALUE"),
        (("add", "maria", "--expires", "soon"), 2, "--expires"),
        (("add", "maria", "--expires", "99999999d"), 2, "--expires"),
        (("add", "maria", "--role", "king"), 2, "'viewer', 'operator', 'admin'"),
        (("remove", "maria"), 1, "no token 'maria'"),
    ],
)
def test_a_command_that_makes_no_sense_makes_no_token(
    place: Place, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = place.run("token", *arguments)
    assert (done.returncode, words in done.stderr) == (code, True), done.stderr
    assert "there are no tokens" in place.run("token", "list").stderr


@pytest.mark.parametrize("command", [["web"], ["start", "--web"]])
def test_the_page_without_its_libraries_names_the_command_that_installs_them(
    place: Place, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.setattr(installation, "present_extras", lambda: ("alerts",))
    monkeypatch.chdir(place.folder)
    done = CliRunner().invoke(cli, [*command, "--state", str(place.state)])
    assert isinstance(done.exception, RefusedError)
    assert "the extra `web` is not installed" in str(done.exception)
    assert "[web]'" in str(done.exception)
    assert not place.state.exists(), "nothing was started"
