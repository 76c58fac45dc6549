"""The pipe from `runner start` to the stdin of a command beside it.

Its end says that nobody needs the command any more. A line in it names the program that is
to replace the one that reads it, in the same process. A later version of Runner writes to a
program of this one, so the lines stay as they are. Touches the pipe.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Self

_MOST_BYTES = 1 << 16
"""The room of a pipe on Linux: it takes a line in one piece."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HandedChild:
    """A command beside a runner, for the program that replaces the runner (execve(2))."""

    node: str
    """The name of this node of a fleet, which a worker has, too."""
    pid: int
    """It stays a child of the same process."""
    pipe: int
    """The descriptor of the pipe to its stdin, inherited by the new program."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Successor:
    """The program that is to replace a command in its process."""

    command: tuple[str, ...]
    variables: Mapping[str, str] = field(repr=False)
    """What is added to the environment of the command's own start. May have a password."""

    def send(self, pipe: int) -> None:
        """Write a line, without waiting for the command.

        If the pipe is full, the command has not read the lines before; one of them does, too.
        """
        os.set_blocking(pipe, False)
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(pipe, f"{json.dumps(asdict(self))}\n".encode())

    @classmethod
    def receive(cls, stdin: int) -> Self | None:
        """Return the newest successor in a readable pipe; None if the pipe has ended."""
        lines = os.read(stdin, _MOST_BYTES).splitlines()
        if not lines:
            return None
        content = json.loads(lines[-1])
        return cls(command=tuple(content["command"]), variables=content["variables"])
