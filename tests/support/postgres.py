"""PostgreSQL for tests: one server for all test processes of a run, and a fresh database
with the tables for each test.

The server lies in a folder of its own under /tmp, and `postgres_keeper` ends it.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import IO
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest
from support.place import wait_until
from support.postgres_keeper import Cluster

from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import connect
from runner.store.postgres.migrating import migrate

_KEEPER = Path(__file__).with_name("postgres_keeper.py")
_TEMPLATE = "template_runner"


def url_in(folder: Path, database: str, *, user: str = "postgres") -> str:
    """Return the URL of a database of the server in a folder."""
    return f"postgresql://{user}@/{database}?host={quote(str(folder), safe='')}"


def execute(url: str, *statements: str) -> list[tuple[object, ...]]:
    """Execute statements in the schema of a store; return the rows of the last one."""
    with closing(connect(address_of(url))) as connection:
        for statement in statements:
            cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else []


class PostgresServer:
    """The server in a folder, with the template of the tests' databases."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def url(self, database: str, *, user: str = "postgres") -> str:
        """Return the URL of a database."""
        return url_in(self.folder, database, user=user)

    def await_start(self) -> None:
        """Wait until the server takes connections."""
        log = self.folder / "keeper.log"

        def is_ready() -> bool:
            assert not log.is_file() or not log.read_text(), log.read_text()
            with suppress(psycopg.OperationalError):
                psycopg.connect(self.url("postgres")).close()
                return True
            return False

        wait_until(is_ready, within_s=120, what="a PostgreSQL server")

    def create_template(self) -> None:
        """Create the database that `new_database` copies."""
        self._administer(f"CREATE DATABASE {_TEMPLATE}")
        address = address_of(self.url(_TEMPLATE))
        with closing(connect(address)) as connection:
            migrate(connection, address)

    @contextmanager
    def new_database(self, *, is_empty: bool = False) -> Iterator[str]:
        """Create a database with the tables, or an empty one; yield its URL, and drop it."""
        name = f"test_{uuid4().hex}"
        source = "template0" if is_empty else _TEMPLATE
        self._administer(f"CREATE DATABASE {name} TEMPLATE {source} STRATEGY FILE_COPY")
        try:
            yield self.url(name)
        finally:
            self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, statement: str) -> None:
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


class OwnServer(PostgresServer):
    """A server of one test, which may stop it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cluster = Cluster(folder)
        self.start()
        self.create_template()

    def start(self) -> None:
        """Start the server, and wait until it takes connections."""
        self.cluster.start()
        self.await_start()

    def stop(self) -> None:
        """Stop the server as a crash does; it recovers at its next start."""
        self.cluster.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """Provide the server of this run; start it if it does not run yet."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with (shared / "postgres.lock").open("w") as lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)
        note = shared / "postgres.json"
        folder = Path(json.loads(note.read_text())) if note.is_file() else None
        users = None if folder is None else _joined(folder)
        if folder is None or users is None:
            folder, users = _started()
            note.write_text(json.dumps(str(folder)))
    with users:
        yield PostgresServer(folder)


def _joined(folder: Path) -> IO[str] | None:
    """Use the server in a folder; return None if it has ended or is about to."""
    with suppress(OSError):
        users = (folder / "users").open("r+")
        try:
            # Not inherited by forked processes, unlike a lock of flock.
            fcntl.lockf(users, fcntl.LOCK_SH | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(users.fileno()), (folder / "users").stat()):
                return users
        except OSError:
            pass
        users.close()
    return None


def _started() -> tuple[Path, IO[str]]:
    """Start a server, and return its folder with the lock that uses it."""
    folder = Path(tempfile.mkdtemp(prefix="runner-postgres-", dir="/tmp"))
    folder.chmod(0o755)
    users = (folder / "users").open("w+")
    fcntl.lockf(users, fcntl.LOCK_SH)
    log = os.open(folder / "keeper.log", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
    # In a session of its own, with nothing of the test's environment: it outlives this test.
    subprocess.run(
        [sys.executable, _KEEPER, folder],
        cwd="/", env={"PATH": os.defpath}, start_new_session=True,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=log, check=True,
    )  # fmt: skip
    os.close(log)
    server = PostgresServer(folder)
    server.await_start()
    server.create_template()
    return folder, users


@pytest.fixture
def database_url(postgres: PostgresServer) -> Iterator[str]:
    """Provide the URL of a fresh database with the tables of a store."""
    with postgres.new_database() as url:
        yield url


@pytest.fixture
def empty_database_url(postgres: PostgresServer) -> Iterator[str]:
    """Provide the URL of a fresh database without tables."""
    with postgres.new_database(is_empty=True) as url:
        yield url


@pytest.fixture(scope="module")
def own_postgres() -> Iterator[OwnServer]:
    """Provide a server that the tests of a module may stop; they start it again."""
    folder = Path(tempfile.mkdtemp(prefix="runner-postgres-", dir="/tmp"))
    folder.chmod(0o755)
    server = OwnServer(folder)
    try:
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)
