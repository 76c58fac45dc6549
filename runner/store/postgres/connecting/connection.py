"""Opens connections to PostgreSQL, bounds their waits, and words errors for people."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import errors
from psycopg.abc import PQGen
from psycopg.conninfo import make_conninfo

from runner.errors import StoreError, StoreMissingError, StoreUnwritableError
from runner.store.postgres.connecting.address import Address

Result = TypeVar("Result")

CONNECT_S = 10
"""How long a connection may take to open, in seconds."""
STATEMENT_S = 15
"""How long a statement may run. The server ends it then."""
_ANSWER_S = STATEMENT_S + 5.0
"""How long an answer may take, if the server does not end its statement either."""
_SESSION = {
    "synchronous_commit": "on",
    "statement_timeout": f"{STATEMENT_S}s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "5s",
    "tcp_user_timeout": "8s",
    "client_encoding": "UTF8",
    "timezone": "UTC",
    "client_min_messages": "error",
}
_LIBPQ = {
    "connect_timeout": str(CONNECT_S),
    "tcp_user_timeout": "8000",
    "keepalives_idle": "3",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "application_name": "runner",
}


class Connection(psycopg.Connection[tuple[Any, ...]]):
    """A connection whose waits end. It is in autocommit mode: transactions are explicit."""

    is_pooled = False
    """Whether a connection pool lies between this program and the server."""

    def wait(
        self, gen: PQGen[Result], interval: float = 0.1, timeout: float | None = None
    ) -> Result:
        """Wait like psycopg, but raise OperationalError if the server does not answer."""
        try:
            return super().wait(gen, interval, _ANSWER_S if timeout is None else timeout)
        except errors._WaitTimeout:
            if timeout is not None:
                raise
            self.pgconn.finish()  # nobody knows what the server still does
            raise psycopg.OperationalError("the server does not answer") from None


def connect(address: Address, *, what: str = "runner") -> Connection:
    """Open a connection. `what` names it in the server's list of sessions.

    The name of the host is resolved here, which may take long. Raises StoreError.
    """
    with errors_in_words(address), ExitStack() as on_failure:
        connection = Connection.connect(conninfo_of(address, what), autocommit=True)
        on_failure.callback(connection.close)
        _look_for_pool(connection, address)
        on_failure.pop_all()
        return connection


def _look_for_pool(connection: Connection, address: Address) -> None:
    """Find out whether a connection pool lies before the server, and adapt to it.

    Raises StoreError if the pool drops the settings of the session: then the tables would
    be sought, or made, in another schema.
    """
    row = connection.execute(
        "SELECT pg_backend_pid(), current_setting('search_path')", prepare=False
    ).fetchone()
    assert row is not None
    pid, schema = row
    # PgBouncer gives each client a pid of its own.
    connection.is_pooled = pid != connection.info.backend_pid
    if schema != address.schema:
        raise StoreError(
            f"a connection pool such as PgBouncer lies before the store {address.words} and"
            " drops the settings of a session: connect to the server directly"
        )
    if connection.is_pooled:
        connection.prepare_threshold = None  # the next statement may go to another session


def conninfo_of(address: Address, what: str, *, is_durable: bool = True) -> str:
    """Return a connection string for libpq, with the settings of the session.

    Without `is_durable`, a crash of the database may lose the last commits of the session.
    """
    options = {"search_path": address.schema} | _SESSION
    if not is_durable:
        options["synchronous_commit"] = "off"
    parameters = _LIBPQ | address.parameters | {"application_name": what}
    given = parameters.pop("options", "")
    session = " ".join(f"-c {key}={value}" for key, value in options.items())
    return make_conninfo("", **parameters, options=f"{session} {given}".strip())


_UNWRITABLE: tuple[tuple[type[psycopg.Error], str], ...] = (
    (errors.DiskFull, "the disk of the database is full"),
    (errors.ReadOnlySqlTransaction, "the database is read-only, as a standby server is"),
    (errors.LockNotAvailable, "another session keeps a row locked"),
    (errors.QueryCanceled, "a statement took too long"),
    (errors.OutOfMemory, "the database has no memory left"),
    (errors.TooManyConnections, "the database has no connection left"),
    (errors.DeadlockDetected, "two sessions waited for each other"),
    (errors.SerializationFailure, "another session was faster"),
    (errors.IdleInTransactionSessionTimeout, "this program stood still during a transaction"),
    (errors.TransactionTimeout, "a transaction took too long"),
)
_ABSENT = (errors.UndefinedTable, errors.InvalidSchemaName, errors.UndefinedColumn)


@contextmanager
def errors_in_words(address: Address) -> Iterator[None]:
    """Turn errors about the environment into errors for people.

    Raises StoreUnwritableError if the problem may pass, StoreMissingError without tables,
    else StoreError. An error that is a bug passes through unchanged.
    """
    try:
        yield
    except _ABSENT as error:
        raise missing(address) from error
    except errors.InsufficientPrivilege as error:
        raise StoreError(
            f"the store {address.words}: {said(address, error)}; grant its role what the"
            " documentation of the fleet lists (`runner help operating`)"
        ) from error
    except (errors.InvalidAuthorizationSpecification, errors.InvalidCatalogName) as error:
        raise StoreError(f"the store {address.words}: {said(address, error)}") from error
    except psycopg.Error as error:
        for kind, words in _UNWRITABLE:
            if isinstance(error, kind):
                raise StoreUnwritableError(
                    f"the store {address.words} cannot be used: {words}"
                ) from error
        if "unsupported startup parameter" in str(error):
            raise StoreError(
                f"a connection pool such as PgBouncer lies before the store {address.words} and"
                " refuses the settings of a session: connect to the server directly"
            ) from error
        if isinstance(error, (psycopg.OperationalError, psycopg.InterfaceError)):
            raise StoreUnwritableError(
                f"the store {address.words} cannot be reached: {said(address, error)}"
            ) from error
        raise


def missing(address: Address) -> StoreMissingError:
    """Return the error for a database without the store's tables."""
    return StoreMissingError(
        f"there is no store in the schema {address.schema} of {address.words};"
        " `runner store migrate` or the first `runner start` creates it"
    )


def said(address: Address, error: psycopg.Error) -> str:
    """Return what the database said, in one line and without secrets."""
    text = address.without_secrets(error.diag.message_primary or str(error))
    return " ".join(text.split()) or type(error).__name__
