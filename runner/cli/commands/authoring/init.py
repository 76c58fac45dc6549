"""`init`: a jobs folder with commented examples."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

import click

from runner.cli.output.tables import echo
from runner.errors import UsageError
from runner.system.regular_files import is_folder, is_there

_SETTINGS = """\
# yaml-language-server: $schema=schemas/runner.schema.json
# Settings of the runner of jobs.d. `runner help settings` lists all of them.
state: state        # the runner's state for this jobs folder, and the outputs of executions
# timezone: Europe/Madrid
# max_running: 8
"""


@click.command("init")
@click.argument(
    "folder", metavar="[DIR]", type=click.Path(readable=False, path_type=Path), default=Path()
)
def init_command(folder: Path) -> None:
    """Create a jobs folder with commented examples in DIR (default: here), and a
    runner.yaml beside it.

    The runner.yaml gives the jobs folder a state folder of its own, which git ignores.
    DIR must be new or empty, apart from names that begin with a dot, such as .git.

    \b
    Example:
      runner init demo && cd demo && runner start
    """
    written: list[Path] = []
    try:
        _require_empty(folder)
        # The runner's own mode for it: the outputs in there may be confidential.
        (folder / "state").mkdir(mode=0o700, parents=True, exist_ok=True)
        for path, content in _initial_files(folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
            written.append(path)
    except OSError as error:
        raise UsageError(f"{folder} cannot be written: {error.strerror or error}") from None
    finally:
        for path in written:
            echo(f"wrote {path}")
    where = "" if folder == Path() else f"cd {shlex.quote(str(folder))} && "
    echo(err=True)
    echo(f"Next: {where}runner start", err=True)


def _require_empty(folder: Path) -> None:
    """Raise UsageError for a folder that is not empty, and OSError for one that cannot be read."""
    if not is_there(folder):
        return
    if not is_folder(folder):
        raise UsageError(f"{folder} is not a folder; nothing was written")
    if any(not path.name.startswith(".") for path in folder.iterdir()):
        shown = "this folder" if folder == Path() else folder
        raise UsageError(
            f"{shown} is not empty; nothing was written. `runner init DIR` makes a new folder"
        )


def _initial_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    from runner.requests.settings import NAME
    from runner.resources import example_files, schemas_folder

    for example in example_files():
        yield folder / "jobs.d" / example.name, example.read_bytes()
    # The first line of each example and of the settings names its schema, for editors.
    for name in ("process-request.schema.json", "runner.schema.json"):
        yield folder / "schemas" / name, (schemas_folder() / name).read_bytes()
    yield folder / NAME, _SETTINGS.encode()
    yield folder / "state" / ".gitignore", b"*\n"
