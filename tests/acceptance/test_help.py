"""The help texts equal the golden files in `help/`. UPDATE_HELP=1 rewrites them."""

from __future__ import annotations

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from support.place import ROOT

from runner import __version__
from runner.cli.command_table import COMMANDS
from runner.cli.documentation import help_text
from runner.cli.group import cli

GOLDEN = Path(__file__).parent / "help"
IS_UPDATING = os.environ.get("UPDATE_HELP") == "1"


def help_by_click(*command: str, columns: int = 80) -> str:
    # click leaves two columns free at the right.
    done = CliRunner().invoke(
        cli, [*command, "--help"], prog_name="runner", terminal_width=columns - 2
    )
    assert (done.exit_code, done.stderr) == (0, "")
    return done.stdout


def printed(*arguments: str, columns: int = 80) -> str:
    """Return what the command prints in a new process."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "runner", *arguments],
        env={**os.environ, "COLUMNS": str(columns), "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    has_imported_click = "click.core" in done.stderr
    assert has_imported_click == (columns < 80 or "--version" in arguments)
    return done.stdout


@pytest.mark.skipif(
    tuple(map(int, version("click").split(".")[:2])) < (8, 4),
    reason="older versions of click word a few lines otherwise",
)
@pytest.mark.parametrize("command", ["runner", *COMMANDS])
def test_help_equals_its_golden_file(command: str) -> None:
    golden = GOLDEN / f"{command}.txt"
    text = help_by_click(*([] if command == "runner" else [command]))
    if IS_UPDATING:
        golden.write_text(text)
    assert text == golden.read_text()


def test_the_help_that_is_printed_without_click_equals_that_of_click() -> None:
    text = help_by_click()
    if IS_UPDATING:
        place = Path(help_text.__file__)
        docstring, _, _ = place.read_text().partition("HELP = ")
        place.write_text(f'{docstring}HELP = """\\\n{text}"""\n')
        help_text.HELP = text
    assert text == help_text.HELP
    assert printed("--help") == printed("-h") == text


def test_a_narrow_terminal_gets_its_own_help() -> None:
    assert printed("--help", columns=60) == help_by_click(columns=60) != help_text.HELP


def test_the_version_is_that_of_the_installed_distribution() -> None:
    first, second = printed("--version").splitlines()
    assert first == f"runner {__version__}" == f"runner {version('yaml-job-runner')}"
    assert second.startswith(f"installed from the clone {ROOT}, editable; extras: ")


def test_each_golden_file_belongs_to_a_command() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {"runner", *COMMANDS}


@pytest.mark.parametrize("name", COMMANDS)
def test_each_listed_command_can_be_loaded_and_has_its_name(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help


def test_runner_without_a_command_shows_the_help_as_readable_lines() -> None:
    done = CliRunner().invoke(cli, [], prog_name="runner", terminal_width=78)
    assert (done.exit_code, done.stderr.rstrip()) == (2, help_by_click().rstrip())
