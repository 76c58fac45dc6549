"""Reads the `environment_file` of a process that is about to start. Touches files."""

from __future__ import annotations

from runner.execution.child.program import SpawnError
from runner.requests.files.bounded_read import Trouble, read_bounded
from runner.requests.files.environment_file import parse
from runner.system.trust import own_trust


def read(path: str) -> dict[str, str]:
    """Return the variables in a regular file of at most 1 MiB.

    Never wait for a pipe or a device. As root, refuse a file that another user may
    change: LD_PRELOAD in it would run that user's code. Raises SpawnError, whose text
    contains no value.
    """
    content = read_bounded(path, own_trust())
    if isinstance(content, Trouble):
        raise SpawnError(f"environment file {path!r}: {content.reason}{_hint(content)}")
    try:
        return parse(content[0].decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = content[0].count(b"\n", 0, error.start) + 1
        raise SpawnError(f"environment file {path!r}, line {line}: this is not UTF-8") from None
    except ValueError as error:
        raise SpawnError(f"environment file {path!r}, {error}") from None


def _hint(trouble: Trouble) -> str:
    return f" ({trouble.suggestion})" if trouble.suggestion else ""
