"""A node that stands by registers, copies the records into its log, and waits for the lease."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from threading import Thread

import pytest
from support.full_disk import full_at
from support.place import wait_until
from support.postgres import OwnServer, execute

from runner.errors import RefusedError, StoreInUseError, StoreUnwritableError
from runner.monitor.log import MonitorLog
from runner.service.fleet.clocks import clock_trouble
from runner.service.fleet.node_link import NodeLink
from runner.service.fleet.own_node import own_node
from runner.service.fleet.standby import Outcome, Standby
from runner.service.systemd import SILENT, Notifier
from runner.store.postgres.connecting.address import address_of
from runner.system.clock import SystemClock

OTHER = "UPDATE lease SET node = 'other', state_id = 's', epoch = 1, expires = 'infinity'"


@contextmanager
def linked(
    url: str, folder: Path, *, log: Path | None = None, offset_s: float = 0.0
) -> Iterator[NodeLink]:
    def now() -> datetime:
        return datetime.now(UTC) + timedelta(seconds=offset_s)

    place = log or folder / "monitor.jsonl"
    with own_node(folder, place, handed=None) as own:
        link = NodeLink(address_of(url), own, MonitorLog(place), now)
        try:
            yield link
        finally:
            link.close()


def record(number: int) -> str:
    return f'{{"id":{number}}}\n'


def commit_records(url: str, first: int, last: int) -> None:
    """Commit records as a leader does."""
    execute(
        url,
        f"INSERT INTO records (seq, line) SELECT n, '{{\"id\":' || n || E'}}\\n'"
        f" FROM generate_series({first}, {last}) n",
        f"UPDATE lease SET record = {last}",
    )


def text(first: int, last: int) -> str:
    return "".join(map(record, range(first, last + 1)))


def test_a_standby_copies_every_record_once_also_after_its_death(
    database_url: str, tmp_path: Path
) -> None:
    execute(database_url, OTHER)
    commit_records(database_url, 1, 3)
    log = tmp_path / "monitor.jsonl"
    with linked(database_url, tmp_path) as link:
        link.look()
        assert log.read_text() == text(1, 3)
        commit_records(database_url, 4, 1500)
        link.look()
        assert log.read_text() == text(1, 1500)
    commit_records(database_url, 1501, 1600)
    # The node died in the midst of an append, which it could not note.
    with log.open("a") as file:
        file.write(text(1501, 1550)[:-4])
    with linked(database_url, tmp_path) as link:
        link.look()
        assert log.read_text() == text(1, 1600)
    assert execute(database_url, "SELECT log_seq, kind FROM nodes") == [(1600, "start")]


def test_records_wait_for_a_log_that_cannot_be_written(database_url: str, tmp_path: Path) -> None:
    execute(database_url, OTHER)
    commit_records(database_url, 1, 3)
    log = tmp_path / "log" / "monitor.jsonl"
    log.mkdir(parents=True)
    with linked(database_url, tmp_path, log=log) as link:
        link.look()
        trouble = link.log_trouble
        log.rmdir()
        link.look()
        assert (bool(trouble), link.log_trouble) == (True, None)
    assert log.read_text() == text(1, 3)


@pytest.mark.parametrize("room", [0, 3, len(text(1, 50)), len(text(1, 50)) + 5])
@pytest.mark.parametrize("dies", [False, True])
def test_a_standby_on_a_full_disk_adds_each_record_once_when_there_is_room(
    database_url: str, tmp_path: Path, room: int, *, dies: bool
) -> None:
    execute(database_url, OTHER)
    commit_records(database_url, 1, 3)
    log = tmp_path / "monitor.jsonl"
    with linked(database_url, tmp_path) as link:
        link.look()
        commit_records(database_url, 4, 100)
        with full_at(log.stat().st_size + room):
            link.look()
        assert link.log_trouble is not None
        assert text(1, 100).startswith(log.read_text())
        if not dies:
            link.look()
            assert link.log_trouble is None
    with linked(database_url, tmp_path) as link:
        link.look()
        assert log.read_text() == text(1, 100)


def test_two_nodes_of_one_machine_have_names_and_keep_them(
    database_url: str, tmp_path: Path
) -> None:
    with (
        linked(database_url, tmp_path / "a") as one,
        linked(database_url, tmp_path / "b") as two,
    ):
        one.look()
        two.look()
        names = one.name, two.name
        assert names[1] is not None
        assert names[1].startswith(f"{names[0]}-")
    with linked(database_url, tmp_path / "b") as two:
        two.look()
        assert two.name == names[1]


def test_a_state_folder_or_a_log_of_another_node_is_refused(
    database_url: str, tmp_path: Path
) -> None:
    (tmp_path / "linked.jsonl").symlink_to(tmp_path / "monitor.jsonl")
    with linked(database_url, tmp_path / "a", log=tmp_path / "monitor.jsonl"):
        with pytest.raises(StoreInUseError), linked(database_url, tmp_path / "a"):
            pass
        with (
            pytest.raises(RefusedError, match="belongs to another node of a fleet"),
            linked(database_url, tmp_path / "b", log=tmp_path / "linked.jsonl"),
        ):
            pass


def test_a_copied_state_folder_is_refused_while_the_original_is_alive(
    database_url: str, tmp_path: Path
) -> None:
    with linked(database_url, tmp_path) as link:
        link.look()
    execute(database_url, "UPDATE nodes SET machine = 'another one'")
    with (
        linked(database_url, tmp_path) as link,
        pytest.raises(RefusedError, match="this state folder is a copy of its own"),
    ):
        link.look()
    execute(database_url, "UPDATE nodes SET heartbeat = heartbeat - interval '1 minute'")
    with linked(database_url, tmp_path) as link:
        link.look()


def standby_on(link: NodeLink) -> Standby:
    return Standby(
        link=link, clock=SystemClock(), children=(), joined=lambda _name: None, notifier=SILENT
    )


def test_a_standby_leads_as_soon_as_the_lease_is_given_up(
    database_url: str, tmp_path: Path
) -> None:
    execute(database_url, OTHER)
    with linked(database_url, tmp_path) as link:

        def give_up() -> None:
            wait_until(lambda: link.name)
            execute(database_url, "UPDATE lease SET expires = '-infinity'", "NOTIFY runner_lease")

        leader = Thread(target=give_up)
        leader.start()
        assert standby_on(link).run() is Outcome.LEAD
        leader.join()


def test_a_node_takes_its_own_lease_again_without_a_wait(database_url: str, tmp_path: Path) -> None:
    with linked(database_url, tmp_path) as link:
        link.look()
        execute(
            database_url,
            "UPDATE lease SET (node, state_id) = (SELECT name, state_id FROM nodes),"
            " expires = 'infinity'",
        )
        assert standby_on(link).run() is Outcome.LEAD


def outcome_of_stop(link: NodeLink) -> Outcome:
    """Stand by until a signal asks for a stop."""

    def stop_it() -> None:
        wait_until(lambda: signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGTERM)

    stop = Thread(target=stop_it)
    stop.start()
    outcome = standby_on(link).run()
    stop.join()
    return outcome


def test_a_standby_that_stops_notes_what_its_log_has_and_ends_its_session(
    database_url: str, tmp_path: Path
) -> None:
    execute(database_url, OTHER)
    commit_records(database_url, 1, 3)
    sessions = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'runner standby'"
    with linked(database_url, tmp_path) as link:
        link.look()
        commit_records(database_url, 4, 5)
        assert outcome_of_stop(link) is Outcome.STOP
        wait_until(
            lambda: execute(database_url, f"{sessions} AND datname = current_database()") == [(0,)]
        )
        ((noted,),) = execute(database_url, "SELECT log_seq FROM nodes")
        assert (tmp_path / "monitor.jsonl").read_text() == text(1, int(str(noted)))


def test_a_standby_stops_at_once_while_the_database_is_away(
    own_postgres: OwnServer, tmp_path: Path
) -> None:
    with own_postgres.new_database() as url, linked(url, tmp_path) as link:
        execute(url, OTHER)
        link.look()
        own_postgres.stop()
        try:
            with pytest.raises(StoreUnwritableError, match="cannot be reached"):
                link.look()
            assert outcome_of_stop(link) is Outcome.STOP
        finally:
            own_postgres.start()
        link.look()


@pytest.mark.parametrize(("offset_s", "may_lead"), [(59.0, True), (-61.0, False), (61.0, False)])
def test_a_node_whose_clock_is_wrong_does_not_lead(
    database_url: str, tmp_path: Path, offset_s: float, may_lead: bool
) -> None:
    with linked(database_url, tmp_path, offset_s=offset_s) as link:
        look = link.look()
        assert abs(look.clock_offset_s + offset_s) < 0.9
        assert standby_on(link)._may_lead(look) == may_lead


def test_a_wrong_clock_is_reported_in_words() -> None:
    assert clock_trouble(-1.9) is None
    assert clock_trouble(2.1) == "this machine's clock is 2.1 s behind that of the database"
    assert clock_trouble(-61.0) == (
        "this machine's clock is 61.0 s ahead of that of the database: this node does not lead"
    )


def test_a_standby_is_ready_for_the_service_manager_before_it_leads(
    database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a socket address has at most 107 bytes
    execute(database_url, OTHER)
    with (
        linked(database_url, tmp_path / "state") as link,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager,
    ):
        manager.bind("notify")
        manager.settimeout(60)
        clock = SystemClock()
        heard: list[str] = []

        def listen() -> None:
            while not any("leads" in each for each in heard):
                heard.append(manager.recv(4096).decode())
            execute(database_url, "UPDATE lease SET expires = '-infinity'", "NOTIFY runner_lease")

        manager_thread = Thread(target=listen)
        manager_thread.start()
        notifier = Notifier("notify", watchdog_s=10.0, clock=clock)
        standby = Standby(
            link=link, clock=clock, children=(), joined=lambda _name: None, notifier=notifier
        )
        assert standby.run() is Outcome.LEAD
        manager_thread.join()
    assert heard[0] == "READY=1"
    assert "WATCHDOG=1" in heard
    assert heard[-1] == "STATUS=standing by; other leads"
