"""Outputs that workers sent to the store: read from any machine, and deleted by retention."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from runner.access.outputs import has_output, members_with_output, open_output, open_stored
from runner.access.places import Places
from runner.service.stored_outputs import StoredOutputs
from runner.store.opening import own_store, read_store
from runner.store.place import StorePlace
from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import Connection, connect
from runner.store.postgres.fleet.worker_reports import OutputRow, output_written, send
from runner.values import new_id

LONE, GROUP = new_id(), new_id()
FIRST, SECOND, TENTH = (new_id() for _ in range(3))
PIECES = [b"one\ntwo", b"", b"\nthree\n"]
STARTED = "2026-03-01T12:00:00.000000Z"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    """Provide a store that has an output in pieces, and those of a group's members."""
    with closing(connect(address_of(database_url), what="test")) as connection:
        pieces = [OutputRow(LONE, LONE, number, data) for number, data in enumerate(PIECES, 1)]
        for member, place in ((TENTH, "10-1"), (SECOND, "2-1"), (FIRST, "1-2")):
            pieces.append(OutputRow(member, f"{GROUP}.{place}", 1, place.encode()))
        send(connection, "worker", pieces, [])
        yield connection


@pytest.fixture
def places(connection: Connection, database_url: str, tmp_path: Path) -> Places:
    """Provide the places of another machine, which has no files of these executions."""
    return Places(
        jobs=tmp_path, given_state=tmp_path, given_log=None, given_zone=None, given_url=database_url
    )


def record(execution: str, **more: Any) -> dict[str, Any]:
    return {"execution": execution, "started": STARTED, "output_file": None, **more}


def test_an_output_in_pieces_is_read_like_a_file(places: Places) -> None:
    whole = b"".join(PIECES)
    with open_output(places, record(LONE, output_bytes=len(whole))) as file:
        assert file.read() == whole
        assert file.seek(0, os.SEEK_END) == len(whole)
        for begin in range(len(whole) + 2):
            for length in (1, 4, 100):
                file.seek(begin)
                assert file.read(length) == whole[begin : begin + length]


def test_the_members_of_a_group_are_in_order(places: Places) -> None:
    assert members_with_output(places, GROUP) == [FIRST, SECOND, TENTH]
    assert members_with_output(places, LONE) == []


def test_an_empty_output_is_there_and_a_deleted_one_is_gone(places: Places) -> None:
    silent = record(new_id(), output_bytes=0)
    assert has_output(places, silent)
    with open_output(places, silent) as file:
        assert file.read() == b""
    with pytest.raises(FileNotFoundError):
        open_output(places, record(new_id(), output_bytes=7))
    assert not has_output(places, record(new_id(), started=None))


def test_a_worker_goes_on_after_the_last_piece_that_the_store_has(connection: Connection) -> None:
    assert output_written(connection, LONE) == (3, sum(map(len, PIECES)))
    assert output_written(connection, new_id()) == (0, 0)


def test_retention_finds_the_outputs_by_execution_and_deletes_them(
    places: Places, connection: Connection, tmp_path: Path
) -> None:
    with closing(own_store(places.store)) as store:
        outputs = StoredOutputs(store)
        for _ in outputs.look():
            pass
        sizes = {name: (each.size, each.files) for name, each in outputs.found.items()}
        assert sizes == {LONE: (14, 1), GROUP: (10, 3)}
        assert abs(outputs.found[LONE].written_s - int(LONE.replace("-", "")[:12], 16) / 1000) < 1
        outputs.remove(GROUP)
    assert members_with_output(places, GROUP) == []
    with open_stored(places, LONE) as file:
        assert file.read() == b"".join(PIECES)


def test_a_store_in_a_state_folder_has_outputs_in_files_alone(tmp_path: Path) -> None:
    place = StorePlace(folder=tmp_path)
    with closing(own_store(place)) as store:
        store.delete_outputs([LONE])
        assert not list(StoredOutputs(store).look())
    with closing(read_store(place)) as reader:
        assert reader.output_pieces(LONE) == () == reader.outputs_of_members(GROUP)
        assert reader.output_piece(LONE, 1) == b""
