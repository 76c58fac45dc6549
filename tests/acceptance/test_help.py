"""The help texts, word for word: golden files in `help/`. UPDATE_HELP=1 writes them anew."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import click
import pytest

from runner.cli import _COMMANDS
from runner.cli.group import cli

GOLDEN = Path(__file__).parent / "help"
IS_UPDATING = os.environ.get("UPDATE_HELP") == "1"


def help_text(*command: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "runner", *command, "--help"],
        env={**os.environ, "COLUMNS": "80", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("command", ["runner", *_COMMANDS])
def test_help_is_as_the_golden_file_has_it(command: str) -> None:
    golden = GOLDEN / f"{command}.txt"
    text = help_text(*([] if command == "runner" else [command]))
    if IS_UPDATING:
        golden.write_text(text)
    assert text == golden.read_text()


def test_there_is_no_golden_file_of_a_command_that_is_gone() -> None:
    assert {path.stem for path in GOLDEN.iterdir()} == {"runner", *_COMMANDS}


@pytest.mark.parametrize("name", _COMMANDS)
def test_each_listed_command_can_be_loaded_and_bears_its_name(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    assert command.help
