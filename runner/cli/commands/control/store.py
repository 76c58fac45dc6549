"""`store`: the store in PostgreSQL of a fleet. Needs the extra `fleet`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

import click

from runner.access.places import Places
from runner.cli.options import place_options
from runner.cli.output.tables import echo
from runner.errors import UsageError

if TYPE_CHECKING:
    from runner.store.copying import Copied


@click.command("store")
@click.argument("action", type=click.Choice(["migrate", "copy"]))
@place_options
def store_command(action: str, places: Places) -> None:
    """Create a store in PostgreSQL, or move one there.

    `migrate` creates the tables, or brings them to this version, while no node leads. The
    first `runner start` does the same, if its database role may.

    `copy` moves the SQLite store of the state folder into the empty database: states,
    results, what runs and waits with its guards, and the records of the monitor log. No
    runner may run meanwhile. Afterwards the SQLite store is refused.

    RUNNER_STORE or --store-file names the database.

    \b
    Examples:
      runner store migrate --store-file /etc/runner/store.url
      runner store copy --store-file /etc/runner/store.url
    """
    if places.store.url is None:
        raise UsageError("name the database in RUNNER_STORE, or in a file with --store-file")
    if action == "migrate":
        from runner.store.opening import migrate_store

        former, newest = migrate_store(places.store)
        echo(_migrated(former, newest))
    else:
        from runner.store.copying import copy_store
        from runner.store.state_folder import require_trusted_state

        require_trusted_state(places.state)
        echo(_words(copy_store(places.store, _lines_of(places.monitor_log))))


def _migrated(former: int, newest: int) -> str:
    if former == newest:
        return f"the store has version {newest} already"
    return (
        f"created the store, version {newest}"
        if former == 0
        else (f"brought the store from version {former} to {newest}")
    )


def _words(copied: Copied) -> str:
    return (
        f"copied {copied.requests} requests, {copied.executions} executions in progress,"
        f" {copied.results} results and {copied.records} records; the SQLite store is marked as"
        " moved"
    )


def _lines_of(log: Path) -> Iterator[bytes]:
    """Yield the lines of a monitor log and of its rotated files, oldest first."""
    from runner.history.building.contents import Content
    from runner.history.building.log_parts import parts_of

    for path in parts_of(log, {}):
        with closing(Content(path)) as content:
            rest = b""
            while found := content.read():
                *lines, rest = (rest + found).split(b"\n")
                yield from (line + b"\n" for line in lines if line)
