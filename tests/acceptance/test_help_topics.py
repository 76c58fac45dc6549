"""`runner help`: the documentation in the terminal."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.place import Place

from runner.cli.documentation.topics import TOPICS

PAGER = "#!/bin/sh\necho paged\ncat\n"


def test_help_without_a_topic_lists_all_topics(place: Place) -> None:
    done = place.run("help")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()] == list(TOPICS)
    assert "runner help TOPIC" in done.stderr


@pytest.mark.parametrize("topic", ["schedules", "cron", "log", "misfire"])
def test_a_topic_shows_its_section_as_text(place: Place, topic: str) -> None:
    done = place.run("help", topic)
    assert done.returncode == 0
    first = done.stdout.splitlines()[0]
    assert first == (TOPICS[topic].heading or first)
    assert "<!--" not in done.stdout
    assert "\n|" not in done.stdout


def test_a_topic_that_is_also_a_command_says_where_the_command_is_explained(place: Place) -> None:
    assert place.run("help", "log").stdout.endswith("`runner log --help` explains the command.\n")


def test_the_name_of_a_command_shows_the_help_of_the_command(place: Place) -> None:
    assert place.run("help", "next").stdout == place.run("next", "--help").stdout


@pytest.mark.parametrize(
    ("unknown", "hint"),
    [
        ("clock", "did you mean `runner help clocks`?"),
        ("strat", "did you mean `runner help start`?"),
        ("zzz", "`runner help` lists the topics"),
    ],
)
def test_an_unknown_topic_is_refused_with_the_nearest_one(
    place: Place, unknown: str, hint: str
) -> None:
    done = place.run("help", unknown)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"there is no topic '{unknown}'; {hint}" in done.stderr


def test_only_a_terminal_gets_a_pager(place: Place, tmp_path: Path) -> None:
    pager = tmp_path / "pager"
    pager.write_text(PAGER)
    pager.chmod(0o755)
    place.environment["PAGER"] = str(pager)
    place.environment["TERM"] = "xterm"
    assert "paged" not in place.run("help", "cron").stdout
    assert "paged" not in place.shown_on_terminal("help", "cron"), "stdin is no terminal"
    assert place.shown_on_terminal("help", "cron", has_input=True).startswith("paged\n")
