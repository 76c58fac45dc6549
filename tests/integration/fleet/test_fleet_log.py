"""The copy of the fleet's records on a machine where no node runs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.place import ROOT
from support.postgres import OwnServer, PostgresServer, execute

from runner.access import fleet_log as copying
from runner.access.fleet_log import FleetLog, fleet_log
from runner.errors import StoreError
from runner.store.place import StorePlace


def record(url: str, *lines: str) -> None:
    """Add records to the store, as a leader's commit does."""
    for line in lines:
        execute(
            url,
            "UPDATE lease SET record = record + 1",
            f"INSERT INTO records (seq, line) SELECT record, '{line}' || chr(10) FROM lease",
        )


def lines_in(log: FleetLog) -> list[str]:
    """Return the lines of the copy, the former file's first."""
    log.up_to_date()
    files = (log.folder / "monitor.jsonl.1", log.path)
    return [line for file in files if file.exists() for line in file.read_text().splitlines()]


@pytest.fixture
def store(database_url: str, tmp_path: Path) -> StorePlace:
    """Provide a store in PostgreSQL, for a machine with a state folder and no node."""
    return StorePlace(folder=tmp_path, url=database_url)


@pytest.fixture
def log(store: StorePlace) -> Iterator[FleetLog]:
    """Provide a copy."""
    with closing(FleetLog(store, store.folder / "fleet-log")) as made:
        yield made


def test_a_copy_goes_on_where_another_process_stopped(
    log: FleetLog, store: StorePlace, database_url: str
) -> None:
    record(database_url, "one", "two")
    assert lines_in(log) == ["one", "two"]
    file = log.path.stat()
    record(database_url, "three")
    with closing(FleetLog(store, log.folder)) as other:
        assert lines_in(other) == ["one", "two", "three"]
    record(database_url, "four")
    assert lines_in(log) == ["one", "two", "three", "four"]
    assert log.path.stat().st_ino == file.st_ino


def test_a_copy_without_news_stays_untouched(log: FleetLog, database_url: str) -> None:
    record(database_url, "one")
    before = (log.up_to_date().stat(), (log.folder / "mark").stat())
    assert ((log.up_to_date().stat()), (log.folder / "mark").stat()) == before


@pytest.mark.parametrize("torn", ["tw", "two\n", "two\nthree\nfo"])
def test_what_a_killed_process_wrote_without_a_mark_is_written_once(
    log: FleetLog, database_url: str, torn: str
) -> None:
    record(database_url, "one")
    log.up_to_date()
    with log.path.open("a") as file:
        file.write(torn)
    record(database_url, "two", "three")
    assert lines_in(log) == ["one", "two", "three"]


@pytest.mark.parametrize("mark", ["", "x", "1", "1 9999", "9 4", "2 1", "2 0"])
def test_a_copy_that_does_not_fit_its_mark_is_begun_anew(
    log: FleetLog, database_url: str, mark: str
) -> None:
    record(database_url, "one", "two")
    log.up_to_date()
    (log.folder / "mark").write_text(mark)
    assert lines_in(log) == ["one", "two"]


def test_a_copy_of_another_store_is_begun_anew(
    log: FleetLog, store: StorePlace, database_url: str, postgres: PostgresServer
) -> None:
    record(database_url, "one", "two")
    log.up_to_date()
    with postgres.new_database() as url:
        record(url, "other", "store", "has more")
        place = StorePlace(folder=store.folder, url=url)
        with closing(FleetLog(place, log.folder)) as other:
            assert lines_in(other) == ["other", "store", "has more"]


def test_a_copy_keeps_what_the_store_has_pruned(log: FleetLog, database_url: str) -> None:
    record(database_url, "one", "two")
    log.up_to_date()
    record(database_url, "three")
    execute(database_url, "DELETE FROM records WHERE seq < 3")
    assert lines_in(log) == ["one", "two", "three"]
    execute(database_url, "DELETE FROM records")
    assert lines_in(log) == ["one", "two", "three"]


def test_a_large_file_is_rotated(
    log: FleetLog, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_LARGEST", 8)
    record(database_url, "one", "two")
    assert lines_in(log) == ["one", "two"]
    record(database_url, "three")  # 14 bytes
    assert lines_in(log) == ["one", "two", "three"]
    assert log.path.read_text() == ""
    assert lines_in(log) == ["one", "two", "three"]
    record(database_url, "four")
    assert lines_in(log) == ["one", "two", "three", "four"]
    record(database_url, "five and six")
    assert lines_in(log) == ["four", "five and six"]


def test_a_new_copy_begins_with_the_newest_records(
    log: FleetLog, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copying, "_MOST", 2)
    record(database_url, "one", "two", "three")
    assert lines_in(log) == ["two", "three"]


def test_a_copy_connects_again_after_an_outage(own_postgres: OwnServer, tmp_path: Path) -> None:
    with own_postgres.new_database() as url:
        record(url, "one")
        place = StorePlace(folder=tmp_path, url=url)
        with closing(FleetLog(place, tmp_path / "fleet-log")) as log:
            assert lines_in(log) == ["one"]
            own_postgres.stop()
            try:
                with pytest.raises(StoreError, match="cannot be reached"):
                    log.up_to_date()
            finally:
                own_postgres.start()
            record(url, "two")
            assert lines_in(log) == ["one", "two"]


def test_a_database_without_tables_has_no_records(empty_database_url: str, tmp_path: Path) -> None:
    place = StorePlace(folder=tmp_path, url=empty_database_url)
    with closing(FleetLog(place, tmp_path / "fleet-log")) as log:
        assert lines_in(log) == []


def test_two_processes_copy_at_the_same_time(
    log: FleetLog, store: StorePlace, database_url: str
) -> None:
    execute(
        database_url,
        "INSERT INTO records (seq, line) SELECT n, n || chr(10) FROM generate_series(1, 20000) n",
        "UPDATE lease SET record = 20000",
    )
    program = (
        "import sys; from pathlib import Path; from runner.access.fleet_log import FleetLog;"
        "from runner.store.place import StorePlace; folder, url = sys.argv[1:];"
        "place = StorePlace(folder=Path(folder), url=url);"
        "FleetLog(place, Path(folder) / 'fleet-log').up_to_date()"
    )
    command = [sys.executable, "-c", program, str(store.folder), database_url]
    processes = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0, 0]
    assert lines_in(log) == [str(number) for number in range(1, 20_001)]


def test_without_a_state_folder_of_ones_own_the_copy_ends_with_the_process(
    database_url: str, tmp_path: Path
) -> None:
    program = (
        "import sys; from pathlib import Path; from runner.access.fleet_log import fleet_log;"
        "from runner.store.place import StorePlace; folder, url = sys.argv[1:];"
        "place = StorePlace(folder=Path(folder), url=url);"
        "log = fleet_log(place); print(log.up_to_date()); print(log.path.read_text())"
    )
    record(database_url, "one")
    missing = tmp_path / "missing"
    command = [sys.executable, "-c", program, str(missing), database_url]
    environment = os.environ | {"TMPDIR": str(tmp_path)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    path, line = done.stdout.split()
    assert line == "one"
    assert tmp_path in Path(path).parents
    assert not missing.exists()
    assert [*tmp_path.iterdir()] == []


def test_a_process_has_one_copy_of_a_store(store: StorePlace) -> None:
    assert fleet_log(store) is fleet_log(StorePlace(folder=store.folder, url=store.url))
