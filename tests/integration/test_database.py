"""The store on real files: commits are durable and whole after kills and disk errors."""

from __future__ import annotations

import os
import random
import resource
import shutil
import signal
import sqlite3
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from support.place import child
from support.store_model import execution_row, request_row

from runner.errors import StoreError, StoreInUseError, StoreUnwritableError
from runner.store.lock import owner_pid
from runner.store.opening import own_store, read_store
from runner.store.place import StorePlace
from runner.store.protocol import DuplicateClaimError, Store
from runner.store.rows import (
    Batch,
    ExecutionRow,
    Mark,
    Snapshot,
)
from runner.store.sqlite import connection, schema
from runner.store.sqlite.store import SqliteStore

# Only a hang reaches this limit, not a disk that syncs slowly.
pytestmark = pytest.mark.timeout(600)

_MARK = Mark(file=2**64 - 1, offset=17)  # inodes are unsigned


@contextmanager
def _owned(folder: Path) -> Iterator[Store]:
    with closing(own_store(StorePlace(folder=folder))) as store:
        yield store


def _read(folder: Path) -> Snapshot:
    with closing(read_store(StorePlace(folder=folder))) as reader:
        return reader.snapshot()


def _waiting(store: Store) -> list[tuple[int, bytes]]:
    """Return the records that the log may lack."""
    return list(store.records_after(0, about_bytes=2**40))


def test_every_connection_that_writes_syncs_each_commit(tmp_path: Path) -> None:
    own_store(StorePlace(folder=tmp_path)).close()
    with closing(connection.connect(tmp_path / "store.sqlite3", "mode=rw")) as opened:
        assert opened.execute("PRAGMA synchronous").fetchone() == (2,)
        assert opened.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_checkpoint_moves_all_into_the_file_and_the_wal_stops_growing(
    tmp_path: Path,
) -> None:
    log = tmp_path / "store.sqlite3-wal"
    with _owned(tmp_path) as store:
        store.commit(Batch(requests={"a": request_row("a")}))
        assert log.stat().st_size < 2**20
        store.tidy()
        length = log.stat().st_size
        assert length > 2**20
        with closing(
            connection.connect(tmp_path / "store.sqlite3", "mode=ro&immutable=1")
        ) as file_alone:
            assert file_alone.execute("SELECT name FROM requests").fetchall() == [("a",)]
            assert file_alone.execute("SELECT count(*) FROM meta").fetchone() == (0,)
        for number in range(120):
            store.commit(Batch(meta={"number": str(number)}))
            store.tidy()
        assert log.stat().st_size == length
        assert store.load().meta == {"number": "119"}


def test_an_empty_commit_writes_nothing(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        before = (tmp_path / "store.sqlite3-wal").stat()
        assert store.commit(Batch()) == ()
        after = (tmp_path / "store.sqlite3-wal").stat()
        assert (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns)


# One owner


_HOLD = """
import sys
from pathlib import Path
from runner.store.opening import own_store
from runner.store.place import StorePlace
store = own_store(StorePlace(folder=Path(sys.argv[1])))
print("owned", flush=True)
sys.stdin.read()
"""


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def test_a_second_owner_learns_who_the_first_is_and_a_dead_owner_holds_no_lock(
    tmp_path: Path,
) -> None:
    with child(_HOLD, tmp_path) as other:
        assert _line(other) == "owned"
        assert owner_pid(tmp_path) == other.pid
        with pytest.raises(
            StoreInUseError, match=rf"in use by another runner \(process {other.pid}\)"
        ):
            own_store(StorePlace(folder=tmp_path))
        other.send_signal(signal.SIGKILL)
        other.wait()
        assert owner_pid(tmp_path) is None
        with _owned(tmp_path):
            assert owner_pid(tmp_path) == os.getpid()
    assert owner_pid(tmp_path) is None


def test_a_missing_store_has_no_owner(tmp_path: Path) -> None:
    assert owner_pid(tmp_path / "missing") is None
    assert owner_pid(tmp_path) is None


def test_asking_for_the_owner_never_blocks_a_new_owner(tmp_path: Path) -> None:
    done = threading.Event()

    def ask() -> None:
        while not done.is_set():
            owner_pid(tmp_path)

    asking = threading.Thread(target=ask)
    asking.start()
    try:
        for _ in range(50):
            own_store(StorePlace(folder=tmp_path)).close()
    finally:
        done.set()
        asking.join()


def test_processes_of_the_owner_do_not_inherit_the_lock(tmp_path: Path) -> None:
    store = own_store(StorePlace(folder=tmp_path))
    with subprocess.Popen(["cat"], stdin=subprocess.PIPE, close_fds=False) as spawned:
        store.close()
        assert spawned.poll() is None
        assert owner_pid(tmp_path) is None


def test_a_state_folder_is_private_to_its_owner(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "state"
    with _owned(folder) as store:
        store.commit(Batch(meta={"a": "b"}))
        modes = {
            path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())
        }
    files = ("lock", "store.sqlite3", "store.sqlite3-shm", "store.sqlite3-wal")
    assert modes == {"state": 0o700} | dict.fromkeys(files, 0o600)


# Files that are no store of Runner


def _foreign(path: Path, *statements: str) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement in statements:
            database.execute(statement)


def _damage(path: Path) -> None:
    rows = {f"r{number}": request_row(f"r{number}", definition="x" * 3000) for number in range(100)}
    with _owned(path.parent) as store:
        store.commit(Batch(requests=rows))
    with path.open("r+b") as file:
        file.seek(4096 * 2)
        file.write(random.Random(1).randbytes(4096 * 20))


def _truncate(path: Path) -> None:
    _damage(path)
    os.truncate(path, 4096 * 3)


def _miscount(path: Path) -> None:
    own_store(StorePlace(folder=path.parent)).close()
    with path.open("r+b") as file:
        file.seek(36)  # the number of free pages, which no reader of rows uses
        file.write((7).to_bytes(4, "big"))


_UNUSABLE = {
    "is not an SQLite file": lambda path: path.write_bytes(
        b"name: nightly\nprocess: {shell: true}\n" * 40
    ),
    "belongs to another application": lambda path: _foreign(path, "CREATE TABLE moz_places (id)"),
    "is damaged": _damage,
    "is damaged (*** in database main ***": _miscount,
    "is damaged (database disk image is malformed)": _truncate,
}


@pytest.mark.parametrize("what", _UNUSABLE)
def test_a_file_that_is_no_store_is_left_alone_and_the_advised_command_works(
    what: str, tmp_path: Path
) -> None:
    path = tmp_path / "it's state" / "store.sqlite3"
    path.parent.mkdir()
    _UNUSABLE[what](path)
    before = path.read_bytes()
    with pytest.raises(StoreError) as caught:
        own_store(StorePlace(folder=path.parent))
    assert what in str(caught.value)
    assert path.read_bytes() == before
    assert owner_pid(path.parent) is None
    way_out = (
        str(caught.value).partition("start again: ")[2].partition(". The monitor log stays")[0]
    )
    subprocess.run(["/bin/sh", "-c", way_out], check=True)
    with _owned(path.parent) as store:
        assert store.load().requests == ()
    assert (path.parent / "set-aside" / "store.sqlite3").read_bytes() == before


@pytest.mark.parametrize("opened", [own_store, read_store])
def test_a_newer_store_is_refused_with_its_version(opened: type, tmp_path: Path) -> None:
    own_store(StorePlace(folder=tmp_path)).close()
    newer = len(schema.MIGRATIONS) + 1
    _foreign(tmp_path / "store.sqlite3", f"PRAGMA user_version = {newer}")
    before = (tmp_path / "store.sqlite3").read_bytes()
    with pytest.raises(
        StoreError,
        match=f"has version {newer}, this runner knows up to {newer - 1}; install the newer",
    ):
        opened(StorePlace(folder=tmp_path))
    assert (tmp_path / "store.sqlite3").read_bytes() == before


def test_an_older_store_is_brought_up_to_date_by_its_owner_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with _owned(tmp_path) as store:
        store.commit(Batch(requests={"a": request_row("a")}))
    version = len(schema.MIGRATIONS)
    later = (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "INSERT INTO later VALUES (1)"))
    monkeypatch.setattr(schema, "MIGRATIONS", later)
    with pytest.raises(
        StoreError, match=f"has version {version}, this program writes {version + 1}; restart its"
    ):
        read_store(StorePlace(folder=tmp_path))
    with _owned(tmp_path) as store:
        assert store.load().requests == (request_row("a"),)
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as database:
        assert database.execute("SELECT x FROM later").fetchall() == [(1,)]
    assert _read(tmp_path).requests == (request_row("a"),)


def test_an_execution_of_an_older_store_is_of_the_default_queue(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    without_queues = schema.MIGRATIONS[:4]
    columns = ", ".join(ExecutionRow._fields[:-1])
    with monkeypatch.context() as patch:
        patch.setattr(schema, "MIGRATIONS", without_queues)
        own_store(StorePlace(folder=tmp_path)).close()
    with closing(sqlite3.connect(tmp_path / "store.sqlite3")) as database, database:
        database.execute(
            f"INSERT INTO executions ({columns}) VALUES ({', '.join('?' * 16)})",
            execution_row("e")[:-1],
        )
    with _owned(tmp_path) as store:
        assert store.load().executions == (execution_row("e", queue="default"),)


def test_a_claim_is_unique_within_its_group(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        store.commit(Batch(executions={"e": execution_row("e")}))
        with pytest.raises(DuplicateClaimError):
            store.commit(Batch(executions={"f": execution_row("f")}))
        store.commit(Batch(executions={"m1": execution_row("m1", group_id="g")}))
        with pytest.raises(DuplicateClaimError):
            store.commit(Batch(executions={"m2": execution_row("m2", group_id="g")}))
        direct = [execution_row(name, generation=None) for name in ("d1", "d2")]
        store.commit(Batch(executions={each.id: each for each in direct}))
        assert [each.id for each in store.load().executions] == ["d1", "d2", "e", "m1"]


def test_a_migration_that_fails_leaves_the_former_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own_store(StorePlace(folder=tmp_path)).close()
    with monkeypatch.context() as patch:
        patch.setattr(
            schema, "MIGRATIONS", (*schema.MIGRATIONS, ("CREATE TABLE later (x)", "no SQL"))
        )
        with pytest.raises(sqlite3.OperationalError):
            own_store(StorePlace(folder=tmp_path))
    own_store(StorePlace(folder=tmp_path)).close()


def test_a_file_at_the_path_of_the_state_folder_gets_a_clear_message(tmp_path: Path) -> None:
    (tmp_path / "state").touch()
    for folder in (tmp_path / "state", tmp_path / "state" / "below"):
        with pytest.raises(StoreError, match=r"is not a folder; choose another state folder"):
            own_store(StorePlace(folder=folder))


# Disks that fail


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    with _mounted(tmp_path / "disk", "size=1m") as disk:
        yield disk


@contextmanager
def _mounted(place: Path, options: str) -> Iterator[Path]:
    place.mkdir()
    mount = shutil.which("mount")
    if (
        not mount
        or subprocess.run(
            [mount, "-t", "tmpfs", "-o", options, "tmpfs", place], capture_output=True
        ).returncode
    ):
        pytest.skip("mounting needs root")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


_LARGE = Batch(
    requests={"b": request_row("b", definition="changed")},
    executions={"e2": execution_row("e2", scheduled_for=2)},
    ended=["e1"],
    records=[b"x" * 20_000] * 20,
)


def _begin(store: Store) -> Snapshot:
    store.commit(
        Batch(
            requests={"b": request_row("b")},
            executions={"e1": execution_row("e1")},
            records=[b"first\n"],
        )
    )
    return store.load()


def _expect_large(store: Store) -> None:
    assert [number for number, _ in store.commit(_LARGE)] == list(range(2, 22))
    snapshot = store.load()
    assert [row.id for row in snapshot.executions] == ["e2"]
    assert snapshot.requests == tuple(_LARGE.requests.values())
    assert [line for _, line in _waiting(store)] == [b"first\n", *_LARGE.records]


def test_a_commit_on_a_full_disk_writes_nothing_and_succeeds_once_there_is_room(
    small_disk: Path,
) -> None:
    with _owned(small_disk / "state") as store:
        before = _begin(store)
        filler = small_disk / "filler"
        with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(b"x" * 4096)
        for _ in range(3):
            with pytest.raises(StoreUnwritableError, match="the disk is full"):
                store.commit(_LARGE)
            assert store.load() == before
        filler.unlink()
        _expect_large(store)


def test_a_write_that_fails_halfway_commits_nothing(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        before = _begin(store)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
        try:
            with pytest.raises(
                StoreUnwritableError, match=r"the store .* cannot be used: the disk"
            ):
                store.commit(_LARGE)
            assert store.load() == before
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        _expect_large(store)


def test_a_database_lock_that_another_program_holds_is_reported_until_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "_BUSY_S", 0.05)
    with _owned(tmp_path) as store:
        before = _begin(store)
        with closing(sqlite3.connect(tmp_path / "store.sqlite3", isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreUnwritableError, match="another program keeps it locked"):
                store.commit(_LARGE)
            assert store.load() == before
        _expect_large(store)


def test_commits_to_a_removed_store_fail_and_succeed_once_it_is_back(
    tmp_path: Path,
) -> None:
    folder, away = tmp_path / "state", tmp_path / "away"
    with _owned(folder) as store:
        _begin(store)
        folder.rename(away)
        with pytest.raises(
            StoreUnwritableError, match=r"store.sqlite3 was removed or replaced; put it back"
        ):
            store.commit(_LARGE)
        with (
            _owned(folder) as usurper,
            pytest.raises(StoreUnwritableError, match="was removed or replaced"),
        ):
            usurper.commit(Batch(meta={"owner": "usurper"}))
            store.commit(_LARGE)
        shutil.rmtree(folder)
        away.rename(folder)
        _expect_large(store)


def test_an_owner_whose_lock_file_was_removed_commits_nothing(
    tmp_path: Path,
) -> None:
    with _owned(tmp_path) as store:
        (tmp_path / "lock").unlink()
        with pytest.raises(StoreUnwritableError, match=r"lock was removed or replaced"):
            store.commit(_LARGE)


@pytest.fixture
def read_only_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder with a store, without an owner, on a read-only disk."""
    with _mounted(tmp_path / "disk", "size=4m") as disk:
        with _owned(disk) as store:
            store.commit(Batch(requests={"a": request_row("a")}, meta={"k": "v"}))
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        yield disk


def test_a_store_in_a_read_only_folder_can_be_read_but_not_owned(read_only_folder: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used: Read-only file system"):
        own_store(StorePlace(folder=read_only_folder))
    assert _read(read_only_folder).requests == (request_row("a"),)


# Readers


def test_looking_up_an_execution_in_progress_reads_one_row(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        store.commit(Batch(executions={"e1": execution_row("e1")}))
        with closing(read_store(StorePlace(folder=tmp_path))) as reader:
            assert (reader.is_in_progress("e1"), reader.is_in_progress("e2")) == (True, False)
        assert isinstance(store, SqliteStore)
        (step,) = store._database.connection.execute(
            f"EXPLAIN QUERY PLAN {schema.HAS_EXECUTION}", ("e1",)
        ).fetchall()
        assert step[-1].startswith("SEARCH executions USING"), step


def test_a_missing_or_empty_store_reads_as_empty_and_nothing_is_created(
    tmp_path: Path,
) -> None:
    nothing = Snapshot(requests=(), executions=(), outbox=range(0), mark=None, meta={})
    assert _read(tmp_path / "missing") == nothing
    assert not (tmp_path / "missing").exists()
    (tmp_path / "store.sqlite3").touch()
    assert _read(tmp_path) == nothing
    assert (tmp_path / "store.sqlite3").stat().st_size == 0


def test_a_reader_sees_the_commits_before_it_began_and_none_after(
    tmp_path: Path,
) -> None:
    with _owned(tmp_path) as store:
        store.commit(
            Batch(
                requests={"a": request_row("a")},
                executions={"e1": execution_row("e1")},
                meta={"k": "1"},
            )
        )
        with closing(read_store(StorePlace(folder=tmp_path))) as reader:
            store.commit(Batch(requests={"b": request_row("b")}, ended=["e1"], meta={"k": "2"}))
            assert reader.snapshot().requests == (request_row("a"),)
            assert reader.executions() == (execution_row("e1"),)
            assert reader.snapshot().meta == {"k": "1"}
        with closing(read_store(StorePlace(folder=tmp_path))) as reader:
            assert reader.snapshot().requests == (request_row("a"), request_row("b"))
            assert reader.executions() == ()
            assert reader.snapshot().meta == {"k": "2"}


def test_a_reader_works_without_a_runner(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        store.commit(Batch(meta={"k": "v"}))
    assert not (tmp_path / "store.sqlite3-wal").exists()
    assert _read(tmp_path).meta == {"k": "v"}


@pytest.mark.parametrize("what", ["is not an SQLite file", "belongs to another application"])
def test_a_reader_reports_what_is_wrong_with_a_file(what: str, tmp_path: Path) -> None:
    _UNUSABLE[what](tmp_path / "store.sqlite3")
    with pytest.raises(StoreError, match=what):
        read_store(StorePlace(folder=tmp_path))


# kill -9


_COMMIT_FOR_EVER = """
import sys
from pathlib import Path
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import *
store = own_store(StorePlace(folder=Path(sys.argv[1])))
number = int(store.load().meta.get("number", "0"))
while True:
    number += 1
    batch = Batch(
        ended=[f"e{number - 10}"],
        records=[f"{number}.{part}\\n".encode() for part in range(3)])
    batch.meta["number"] = str(number)
    batch.requests["a"] = RequestRow(
        name="a", file=None, definition="x" * 4000 + str(number), generation=1,
        fired_through=number, state="{}")
    batch.executions[f"e{number}"] = ExecutionRow(
        id=f"e{number}", request="a", generation=1, scheduled_for=number, attempt=1, sequence=0,
        phase=Phase.STARTING, pid=None, pid_started=None, body="{}")
    store.commit(batch, appended=((number - 5) * 3, Mark(file=1, offset=number)))
    print(number, flush=True)
"""


def _kill_while_committing(folder: Path, chance: random.Random) -> None:
    with child(_COMMIT_FOR_EVER, folder) as process:
        acknowledged = [_line(process) for _ in range(chance.randrange(1, 120))]
        process.send_signal(signal.SIGKILL)
        assert process.stdout is not None
        acknowledged += process.stdout.read().split()
    with _owned(folder) as store:
        snapshot, waiting = store.load(), _waiting(store)
    number = int(snapshot.meta["number"])
    assert number - int(acknowledged[-1]) in (
        0,
        1,
    )  # an unacknowledged commit may be there, but only whole
    assert snapshot.mark == Mark(file=1, offset=number)
    assert [(row.fired_through, row.definition) for row in snapshot.requests] == [
        (number, "x" * 4000 + str(number))
    ]
    assert {row.id for row in snapshot.executions} == {
        f"e{kept}" for kept in range(max(1, number - 9), number + 1)
    }
    expected = [
        f"{kept}.{part}\n".encode()
        for kept in range(max(1, number - 4), number + 1)
        for part in range(3)
    ]
    assert [line for _, line in waiting] == expected
    assert [sequence for sequence, _ in waiting] == list(
        range(number * 3 - len(expected) + 1, number * 3 + 1)
    )
    assert snapshot.outbox == range(number * 3 - len(expected) + 1, number * 3 + 1)


def test_kill_9_loses_no_acknowledged_commit_and_leaves_none_half_done(
    tmp_path: Path,
) -> None:
    chance = random.Random()
    for _ in range(8):
        _kill_while_committing(tmp_path, chance)


@pytest.mark.campaign
@pytest.mark.timeout(600)
def test_kill_9_at_any_moment_two_hundred_times(tmp_path: Path) -> None:
    chance = random.Random()
    for _ in range(200):
        _kill_while_committing(tmp_path, chance)


def test_a_reader_sees_all_that_a_killed_owner_committed(tmp_path: Path) -> None:
    with child(_COMMIT_FOR_EVER, tmp_path) as process:
        acknowledged = [_line(process) for _ in range(20)]
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert (tmp_path / "store.sqlite3-wal").exists()
    assert int(_read(tmp_path).meta["number"]) >= int(acknowledged[-1])


def test_a_pruned_request_leaves_no_row_and_can_return(tmp_path: Path) -> None:
    with _owned(tmp_path) as store:
        store.commit(Batch(requests={name: request_row(name) for name in "ab"}))
        store.commit(Batch(pruned=["a"]))
        assert [row.name for row in store.load().requests] == ["b"]
        assert isinstance(store, SqliteStore)
        select = "SELECT count(*) FROM definitions"
        (definitions,) = store._database.connection.execute(select).fetchone()
        assert definitions == 1
        store.commit(Batch(requests={"a": request_row("a")}))
        assert store.load().requests == (request_row("a"), request_row("b"))
