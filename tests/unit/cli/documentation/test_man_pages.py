"""The manual pages, written from the commands."""

from __future__ import annotations

import re
import shutil
import subprocess

import click
import pytest

from runner.cli.command_table import COMMANDS
from runner.cli.documentation.man_pages import man_pages
from runner.cli.group import cli

NAMES = ["runner.1", *(f"runner-{name}.1" for name in COMMANDS)]
needs_groff = pytest.mark.skipif(shutil.which("groff") is None, reason="groff is not installed")


def shown(page: str) -> str:
    """Return a page as text; fail at a warning."""
    done = subprocess.run(
        ["groff", "-man", "-ww", "-Tutf8", "-P-cbou", "-rLL=200n"],
        input=page,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout


def test_there_is_a_page_for_the_program_and_for_each_command() -> None:
    assert list(man_pages()) == NAMES


@needs_groff
@pytest.mark.parametrize("name", NAMES)
def test_a_page_has_no_warning_and_shows_every_option(name: str) -> None:
    text = shown(man_pages()[name])
    command: click.Command = cli
    if name != "runner.1":
        found = cli.get_command(click.Context(cli), name[len("runner-") : -len(".1")])
        assert found is not None
        command = found
    for option in command.params:
        if isinstance(option, click.Option):
            assert all(each in text for each in option.opts)


@needs_groff
def test_a_page_keeps_examples_and_characters_as_they_are_typed() -> None:
    text = shown(man_pages()["runner.1"])
    assert "runner init demo && cd demo && runner start" in text
    assert "`exec` returns the exit code of the process" in text
    assert re.search(r"^ +runner monitor -f$", text, re.MULTILINE)


@needs_groff
@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_man_shows_a_page(tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("man") / "runner-next.1"
    path.write_text(man_pages()["runner-next.1"])
    done = subprocess.run(
        ["man", "--warnings=w", "-l", path], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr == ""
    assert "List upcoming fires" in done.stdout
