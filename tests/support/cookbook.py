"""The recipes of the cookbook, and a kitchen to try them in."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from support import fork_server
from support.clock_world import GivenClock, living
from support.documents import Block, blocks
from support.place import ROOT, Place, Record

BOOK = ROOT / "jobs.d/README.md"
_FOR_A_SHELL = set("|&;<>()$`*?[]{}~#!\\\n")
"""What a shell does not take as it is, besides quotes."""
_TITLE = re.compile(r"^### (How do I .+\?)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """A question and the blocks of its answer."""

    title: str
    blocks: Sequence[Block]

    @property
    def commands(self) -> list[str]:
        """The lines to type, in order."""
        shown = (block.text for block in self.blocks if block.language == "sh" and not block.file)
        return [line for text in shown for line in text.splitlines()]


def recipes() -> dict[str, Recipe]:
    """Return the recipes by their titles."""
    _, *parts = _TITLE.split(BOOK.read_text())
    pairs = zip(parts[::2], parts[1::2], strict=True)
    return {title: Recipe(title=title, blocks=tuple(blocks(text, BOOK))) for title, text in pairs}


def tries(title: str) -> Callable[[Any], Any]:
    """Mark a test that tries the recipe with that title; its kitchen has the files."""
    return pytest.mark.parametrize("kitchen", [title], indirect=True)


class Kitchen:
    """A folder that has the files of a recipe."""

    def __init__(self, place: Place, recipe: Recipe) -> None:
        self.place = place
        self.recipe = recipe
        self.folder = place.folder
        place.environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        for block in recipe.blocks:
            if block.file:
                block.write_in(self.folder)

    def type(self, command: str, *, exit_code: int = 0) -> str:
        """Type a command line in the folder that contains jobs.d; return all output.

        In a fleet, a runner acts on a command that says that there is none.
        """
        done = self._typed(command)
        if done.returncode == 4 != exit_code and self.place.is_in_fleet:
            with self.place.acted_on():
                return self.type(command, exit_code=exit_code)
        assert done.returncode == exit_code, done.stdout
        return done.stdout

    def _typed(self, command: str) -> subprocess.CompletedProcess[str]:
        if command.startswith("runner ") and not _FOR_A_SHELL & set(command):
            return self._forked(shlex.split(command)[1:])
        return subprocess.run(
            ["bash", "-c", command],
            cwd=self.folder,
            env=self.place.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            check=False,
        )

    def _forked(self, arguments: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a command of Runner with both outputs in one file, without a new interpreter."""
        with TemporaryFile("w+") as output, open(os.devnull, "rb") as empty:  # noqa: PTH123
            process = fork_server.start(
                arguments,
                environment=self.place.environment,
                folder=self.folder,
                streams=(empty.fileno(), output.fileno(), output.fileno()),
            )
            try:
                code = process.wait(timeout=60)
            finally:
                process.kill()
                process.wait()
            output.seek(0)
            return subprocess.CompletedProcess(arguments, code, output.read())

    def type_all(self) -> list[str]:
        """Type the commands of the recipe; return the output of each."""
        return [self.type(command) for command in self.recipe.commands]

    def fires(self, request: str, *, at: Sequence[str]) -> list[str]:
        """Run a runner through these wall times (UTC); return those at which the request ran.

        Its clock goes from the first time to the next one at once, and so on.
        """
        first, *others = (moment(text) for text in at)
        clock = GivenClock(first)
        with living(self.place, clock) as life:
            for instant in others:
                life.go_on(instant - clock.now())
        # Sorted, because executions that are caught up together may end in any order.
        return sorted(
            moment(record["scheduled_for"]).strftime("%F %H:%M")
            for record in self.place.finished(request, status="success")
        )

    def runs(self, request: str, **fields: object) -> Record:
        """Start a runner, and return the finished record of the request."""
        self.place.start()
        return self.place.await_finished(request, **fields)[0]  # type: ignore[arg-type]


def moment(text: str) -> datetime:
    """Return a time as an instant; without an offset it is in UTC."""
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)
