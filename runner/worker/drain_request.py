"""Asks a worker to finish and take nothing new. Touches the database."""

from __future__ import annotations

from contextlib import closing

from runner.errors import UsageError
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import connect, errors_in_words
from runner.store.postgres.fleet.worker_side import ask_to_drain, worker_names
from runner.values import counted, listed


def drain(url: str, name: str) -> str:
    """Ask a worker to drain; return what it still runs, in words.

    Raises UsageError for an unknown name, and StoreError.
    """
    address = address_of(url)
    with closing(connect(address, what="runner drain")) as connection, errors_in_words(address):
        running = ask_to_drain(connection, name)
        if running is None:
            names = listed(worker_names(connection), 10)
            raise UsageError(f"there is no worker {name!r}; the workers are: {names or 'none'}")
    left = f"it still has {counted(running, 'execution')}" if running else "it is idle"
    return f"{name} takes nothing new; {left}"
