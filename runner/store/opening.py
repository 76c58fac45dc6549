"""Opens a store: the one module that knows which database is behind it.

SQLite lies in the state folder. For a URL the modules of PostgreSQL are imported, which
need the extra `fleet`. Touches files and the database.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from runner.errors import StoreError
from runner.store import lock
from runner.store.place import StorePlace
from runner.store.sqlite.reader import SqliteReader
from runner.system.regular_files import is_read_only

if TYPE_CHECKING:
    from runner.store.postgres.checkup import DatabaseCondition
    from runner.store.postgres.commit_part import CommitPart
    from runner.store.postgres.connecting.address import Address
    from runner.store.protocol import Mailbox, Store, StoreReader


class Owner(NamedTuple):
    """The runner that owns a store now; in a fleet, its leader."""

    pid: int
    node: str | None = None
    """The node that leads; None if it uses this state folder."""


def own_store(
    place: StorePlace,
    *,
    handed: int | None = None,
    node: str | None = None,
    part: CommitPart | None = None,
) -> Store:
    """Create or open a store, and own it until `close`.

    `handed` is what `Store.hand_over` returned in a former program of this process. `node`
    and `part` are for a fleet: the name of this node, by default the host's, and what else
    each commit writes.

    Raises StoreInUseError with the owner, and StoreError for a newer version, a damaged
    file or an unusable place; nothing is overwritten then.
    """
    # Imported late: a command that only reads needs neither it nor its log messages.
    if place.url is not None:
        with needing_the_extra():
            from runner.store.postgres.store import PostgresStore

        return PostgresStore.own(
            address_of(place), place.folder, handed=handed, node=node, part=part
        )
    from runner.store.sqlite.store import SqliteStore

    return SqliteStore.own(place.folder, handed)


def read_store(place: StorePlace) -> StoreReader:
    """Return a view of a store. Raises StoreError."""
    if place.url is not None:
        with needing_the_extra():
            from runner.store.postgres.reader import PostgresReader

        return PostgresReader(address_of(place), place.folder)
    return SqliteReader(place.folder)


def mailbox_of(place: StorePlace) -> Mailbox:
    """Return the mailbox of a store. Raises StoreError."""
    if place.url is not None:
        with needing_the_extra():
            from runner.store.postgres.mailbox import PostgresMailbox

        return PostgresMailbox(address_of(place), lambda: owner_of(place) is not None)
    from runner.store.sqlite.mailbox import SqliteMailbox

    return SqliteMailbox(place.folder)


def owner_of(place: StorePlace) -> Owner | None:
    """Return the runner that owns a store now; None without one.

    Raises StoreError if this cannot be found out.
    """
    if place.url is not None:
        with needing_the_extra():
            from runner.store.postgres.owner import leader_of

        leader = leader_of(address_of(place), place.folder)
        return (
            None if leader is None else Owner(leader.pid, None if leader.is_here else leader.node)
        )
    pid = lock.owner_pid(place.folder)
    return None if pid is None else Owner(pid)


def is_store_read_only(place: StorePlace) -> bool:
    """Return whether the state folder is on a file system that is mounted read-only."""
    return is_read_only(lock.lock_path(place.folder))


def database_condition(place: StorePlace) -> DatabaseCondition:
    """Return the condition of a store in PostgreSQL, for `doctor`. Raises StoreError."""
    address = address_of(place)
    from runner.store.postgres.checkup import condition_of

    return condition_of(address)


def migrate_store(place: StorePlace) -> tuple[int, int]:
    """Create the tables of a store in PostgreSQL, or bring them to this version.

    Return the former version, 0 without tables, and the present one. Raises
    StoreInUseError while a node leads that has another version, and StoreError.
    """
    address = address_of(place)
    from runner.store.postgres.connecting.connection import connect, errors_in_words
    from runner.store.postgres.migrating import NEWEST, migrate

    with errors_in_words(address), closing(connect(address)) as connection:
        return migrate(connection, address), NEWEST


def address_of(place: StorePlace) -> Address:
    """Return the address of a store in PostgreSQL. Raises StoreError."""
    with needing_the_extra():
        from runner.store.postgres.connecting.address import address_of as read

    assert place.url is not None
    return read(place.url)


@contextmanager
def needing_the_extra() -> Iterator[None]:
    """Raise StoreError in words if the block imports a library of the extra `fleet`."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.startswith("runner"):
            raise
        from runner.installation import missing_extra

        raise StoreError(f"a store in PostgreSQL: {missing_extra('fleet')}") from error
