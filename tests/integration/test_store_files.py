"""Other programs change the files of an open store: the runner notices at once and
repairs what loses nothing.
"""

from __future__ import annotations

import errno
import os
import resource
import shutil
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.place import SECONDLY, Place, check_log, child, wait_until
from support.runner_inside import GivenClock, started

from runner.errors import StoreUnwritableError
from runner.service.loop import STORE_LOOK_S
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.protocol import Store
from runner.store.rows import Batch
from runner.store.sqlite import database
from runner.store.sqlite.connection import database_path
from runner.store.sqlite.files import shared_of, wal_of

# Only a hang reaches this limit, not a disk that syncs slowly.
pytestmark = pytest.mark.timeout(600)
_CHECKPOINTS = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        for number in range(5):
            store.commit(Batch(meta={"number": str(number)}, records=[b"%d\n" % number]))
        yield store


def _replace(path: Path) -> None:
    new = path.with_name("new")
    shutil.copyfile(path, new)
    new.replace(path)


def _overwrite(path: Path) -> None:
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))


def _older_copy(path: Path) -> None:
    """Restore an older database in place, as `cp backup store.sqlite3` does."""
    with closing(sqlite3.connect(path.with_name("older"))) as older:
        older.execute("CREATE TABLE meta (key TEXT)")
        older.commit()
    shutil.copyfile(path.with_name("older"), path)


_DEEDS: dict[str, tuple[Callable[[Path], None], str]] = {
    "the database removed": (lambda path: path.unlink(), "was removed or replaced"),
    "the database replaced": (_replace, "was removed or replaced"),
    "the database truncated": (lambda path: os.truncate(path, 4096), "was truncated"),
    "the database emptied": (lambda path: os.truncate(path, 0), "was truncated"),
    "the database overwritten": (_overwrite, "was changed by another program"),
    "an older copy restored": (_older_copy, "by another program"),
    "the log replaced": (lambda path: _replace(wal_of(path)), "was removed or replaced"),
    "the log truncated": (lambda path: os.truncate(wal_of(path), 100), "-wal was truncated"),
    "the log overwritten": (lambda path: _overwrite(wal_of(path)), "-wal was overwritten"),
    "the index replaced": (lambda path: _replace(shared_of(path)), "was removed or replaced"),
    "the lock removed": (lambda path: path.with_name("lock").unlink(), "was removed or replaced"),
}


@pytest.mark.parametrize("deed", _DEEDS)
def test_a_change_of_a_store_file_by_another_program_is_noticed_at_once(
    deed: str, store: Store, tmp_path: Path
) -> None:
    store.tidy()
    store.commit(Batch(meta={"number": "last"}))
    store.check()
    act, message = _DEEDS[deed]
    act(database_path(tmp_path))
    for _ in range(2):
        with pytest.raises(StoreUnwritableError, match=message):
            store.check()
        with pytest.raises(StoreUnwritableError, match=message):
            store.commit(Batch(meta={"number": "more"}))


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ESTALE])
@pytest.mark.parametrize("which", ["every file", "only the log"])
def test_files_that_cannot_be_inspected_are_not_called_removed(
    store: Store, tmp_path: Path, number: int, which: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, closed = Path.stat, wal_of(database_path(tmp_path))

    def refuse(path: Path, **options: bool) -> os.stat_result:
        if which == "only the log" and path != closed:
            return real(path, **options)
        raise OSError(number, os.strerror(number), str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "stat", refuse)
        for act in (store.check, lambda: store.commit(Batch(meta={"number": "more"}))):
            with pytest.raises(StoreUnwritableError) as caught:
                act()
            assert f"cannot be reached: {os.strerror(number).lower()}" in str(caught.value)
    store.commit(Batch(meta={"number": "again"}))


@pytest.mark.parametrize("deed", ["replaced", "overwritten"])
def test_closing_leaves_files_of_another_program_alone(deed: str, tmp_path: Path) -> None:
    path = database_path(tmp_path)
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        store.commit(Batch(meta={"number": "1"}))
        if deed == "overwritten":
            _overwrite(path)
        else:
            for each in (path, wal_of(path), shared_of(path)):
                _replace(each)
        files = (path, wal_of(path), shared_of(path))
        before = [each.read_bytes() for each in files]
    assert [each.read_bytes() for each in files] == before


@pytest.mark.parametrize("names", [("-wal",), ("-wal", "-shm")], ids=" ".join)
def test_a_removed_wal_is_repaired_from_the_open_connection(
    names: tuple[str, ...], store: Store, tmp_path: Path
) -> None:
    path = database_path(tmp_path)
    for name in names:
        path.with_name(path.name + name).unlink()
    store.check()
    store.commit(Batch(meta={"more": "yes"}))
    with closing(sqlite3.connect(path)) as other:
        assert dict(other.execute("SELECT key, value FROM meta WHERE key <> ''")) == {
            "number": "4",
            "more": "yes",
        }
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    store.check()


def test_a_repair_that_finds_no_free_descriptor_is_completed_later(
    store: Store, tmp_path: Path
) -> None:
    path = database_path(tmp_path)
    wal_of(path).unlink()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        for _ in range(2):
            with pytest.raises(StoreUnwritableError):
                store.check()
            with pytest.raises(StoreUnwritableError):
                store.records_after(0, about_bytes=1)
            assert store.hindrance is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    store.commit(Batch(meta={"more": "yes"}))
    with closing(sqlite3.connect(path)) as other:
        assert dict(other.execute("SELECT key, value FROM meta WHERE key <> ''")) == {
            "number": "4",
            "more": "yes",
        }


def test_permitted_accesses_of_other_programs_are_not_reported(
    store: Store, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(database_path(tmp_path), isolation_level=None)) as other:
        for number in range(300):
            store.commit(Batch(meta={f"k{number}": "x" * 1000}))
            if number % 20 == 0:
                other.execute("UPDATE meta SET value = 'y' WHERE key = 'number'")
            if number % 50 == 25:
                other.execute(f"PRAGMA wal_checkpoint({_CHECKPOINTS[number // 75]})")
            if number % 30 == 0:
                store.tidy()
            store.check()
        other.execute("VACUUM")
        other.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        store.check()


_READ_AND_HOLD = """
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("BEGIN")
connection.execute("SELECT * FROM meta").fetchall()
print("open", flush=True)
sys.stdin.read()
"""


def test_a_reader_that_lets_the_wal_grow_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "GROWN_WAL", 4 * 2**20)
    assert store.hindrance is None
    with child(_READ_AND_HOLD, database_path(tmp_path)) as reader:
        assert reader.stdout is not None and reader.stdout.readline() == "open\n"
        for _ in range(50):
            store.commit(Batch(meta={"large": "x" * 100_000}))
        hindrance = str(store.hindrance)
    assert f"because process {reader.pid} (python" in hindrance
    assert "has grown to 4 MiB" in hindrance


def test_a_store_restored_from_an_older_copy_is_reported_at_the_next_start(tmp_path: Path) -> None:
    path = database_path(tmp_path)
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        assert store.notice is None
        store.commit(Batch(records=[b"1\n"]))
    shutil.copyfile(path, path.with_name("backup"))
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        assert store.notice is None
        store.commit(Batch(records=[b"2\n", b"3\n"]))
    shutil.copyfile(path.with_name("backup"), path)
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        assert "its last record is number 1, a former runner wrote number 3" in (store.notice or "")
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        assert store.notice is None


# Through the command line


def _wal(place: Place) -> Path:
    return wal_of(database_path(place.state))


def test_a_runner_whose_wal_was_removed_runs_nothing_twice_after_a_kill(
    place: Place,
) -> None:
    place.declare("once", "echo ran >> ../ran", "run_immediately")
    place.declare("tick", "true", SECONDLY)
    process = place.start()
    place.await_finished("once")
    _wal(place).unlink()
    wait_until(lambda: "was removed while the runner used it; nothing is lost" in place.console())
    place.await_finished("tick", count=len(place.finished("tick")) + 2)
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    process = place.start()
    place.await_finished("tick", count=len(place.finished("tick")) + 1)
    assert place.stop(process) == 0
    assert (place.folder / "ran").read_text() == "ran\n"
    started = [record["scheduled_for"] for record in place.events("execution.started", "tick")]
    assert len(started) == len(set(started))
    check_log(place.log)


def test_an_idle_runner_notices_within_a_moment_that_its_store_was_removed(place: Place) -> None:
    place.declare("a", "true")
    clock = GivenClock()
    with started(place.jobs, clock, state=place.state) as runner:
        runner.turn()
        database_path(place.state).rename(place.folder / "moved")
        clock.go_on(STORE_LOOK_S)
        runner.turn()
        assert "was removed or replaced" in (place.state / "trouble").read_text()
        (place.folder / "moved").rename(database_path(place.state))


def test_a_runner_whose_store_was_overwritten_stops_firing_and_says_so_everywhere(
    place: Place,
) -> None:
    place.declare("tick", "true", SECONDLY)
    process = place.start()
    place.await_finished("tick")
    path = database_path(place.state)
    _overwrite(path)
    wait_until(lambda: "was changed by another program" in place.console())
    wait_until(lambda: "changed by another program" in (place.state / "trouble").read_text())
    before = len(place.events("execution.started"))
    assert (
        "trouble   nothing fires: the store" in place.run("status").stdout
        or "changed" in place.run("status").stdout
    )
    assert "the runner does not fire" in place.run("doctor").stdout
    assert len(place.events("execution.started")) == before
    process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    for each in (path, _wal(place), shared_of(path)):
        each.unlink(missing_ok=True)
    process = place.start()
    assert "nothing fired any more when the former runner ended" in place.console()
    assert "was set back: its last record is number 0" in place.console()
    assert place.stop(process) == 0


def test_a_kill_right_after_the_removal_of_the_wal_is_reported(place: Place) -> None:
    place.declare("once", "true", "run_immediately")
    process = place.start()
    place.await_finished("once")
    for count in range(2, 4):  # after the first one, what was committed has moved into the database
        assert place.run("exec", "once").returncode == 0
        place.await_finished("once", count=count)
    with place.standing_still(process):
        for each in (_wal(place), shared_of(database_path(place.state))):
            each.unlink()
        process.send_signal(signal.SIGKILL)
    process.wait(timeout=60)
    process = place.start()
    assert "was set back" in place.console()
    assert place.stop(process) == 0
