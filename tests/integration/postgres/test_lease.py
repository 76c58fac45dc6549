"""The lease goes to one node at a time, and no former holder can commit."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from threading import Thread

import pytest
from support.postgres import execute

from runner.store.postgres.connecting.address import address_of
from runner.store.postgres.connecting.connection import Connection, connect
from runner.store.postgres.fleet import lease, nodes
from runner.store.postgres.fleet.lease import Holder, Lease

ONE = Holder(instance="1", node="one", state_id="s1", pid=1)
TWO = Holder(instance="2", node="two", state_id="s2", pid=2)
EXPIRE = "UPDATE lease SET expires = clock_timestamp()"


@pytest.fixture
def connection(database_url: str) -> Iterator[Connection]:
    with closing(connect(address_of(database_url))) as connection:
        yield connection


def test_a_node_takes_the_lease_once_it_has_expired(
    connection: Connection, database_url: str
) -> None:
    assert lease.take(connection, ONE) == Lease(epoch=1, record=0, former_node=None)
    assert lease.take(connection, TWO) is None
    execute(database_url, EXPIRE)
    assert lease.view(connection).is_over
    assert lease.take(connection, TWO) == Lease(epoch=2, record=0, former_node="one")
    assert lease.view(connection)[:5] == ("two", "s2", 2, 2, False)


def test_a_node_takes_its_own_lease_but_not_that_of_a_namesake(connection: Connection) -> None:
    assert lease.take(connection, ONE)
    assert lease.take(connection, ONE._replace(state_id="another folder")) is None
    assert lease.take(connection, ONE._replace(instance="3")) == Lease(2, 0, "one")


def test_a_lease_that_is_given_up_is_free_at_once(connection: Connection) -> None:
    assert lease.take(connection, ONE)
    lease.give_up(connection, 1)
    assert lease.take(connection, TWO)
    lease.give_up(connection, 1)
    assert not lease.view(connection).is_over, "a former leader gives up nothing"


def test_a_node_that_led_was_last_seen_when_it_renewed_or_gave_up_its_lease(
    connection: Connection, database_url: str
) -> None:
    for name in ("one", "two"):
        execute(
            database_url,
            "INSERT INTO nodes (name, kind, machine, boot, state_id, instance, version, heartbeat)"
            f" VALUES ('{name}', 'start', 'm', 'b', 's{name}', 'i', '1',"
            " clock_timestamp() - interval '1 hour')",
        )
    one, two = ONE._replace(state_id="sone"), TWO._replace(state_id="stwo")

    def silences() -> list[float]:
        return [round(each.silent_s, -1) for each in nodes.fleet(connection).nodes]

    assert silences() == [3600.0, 3600.0]
    assert lease.take(connection, one)
    assert silences() == [0.0, 3600.0], "it leads"
    execute(database_url, "UPDATE lease SET expires = clock_timestamp() - interval '20 s'")
    assert silences() == [30.0, 3600.0], "nobody leads"
    assert lease.take(connection, two)
    assert silences() == [30.0, 0.0], "another node leads"
    lease.give_up(connection, 1)
    assert silences() == [30.0, 0.0], "a former leader gives up nothing"
    execute(database_url, "UPDATE lease SET expires = clock_timestamp() - interval '50 s'")
    lease.give_up(connection, 2)
    assert silences() == [30.0, 0.0], "who gives up is alive"
    assert lease.take(connection, one)
    assert silences() == [0.0, 0.0]


def test_a_former_leader_neither_commits_nor_renews(
    connection: Connection, database_url: str
) -> None:
    assert lease.take(connection, ONE)
    assert lease.advance(connection, 1, 1, 3) == 0
    assert lease.advance(connection, 1, 2, 2) == 3
    execute(database_url, EXPIRE)
    assert lease.renew(connection, 1), "nobody else has taken it"
    execute(database_url, EXPIRE)
    assert lease.take(connection, TWO) == Lease(2, 5, "one")
    assert lease.advance(connection, 1, 3, 1) is None
    assert not lease.renew(connection, 1)
    assert lease.advance(connection, 2, 1, 1) == 5


def test_a_batch_is_committed_once(connection: Connection) -> None:
    assert lease.take(connection, ONE)
    assert lease.advance(connection, 1, 1, 3) == 0
    assert lease.advance(connection, 1, 1, 3) is None


def test_of_many_nodes_exactly_one_takes_a_free_lease(database_url: str) -> None:
    taken: list[str] = []

    def try_it(number: int) -> None:
        holder = Holder(instance=str(number), node=f"n{number}", state_id=str(number), pid=number)
        with closing(connect(address_of(database_url))) as own:
            if lease.take(own, holder):
                taken.append(holder.node)

    threads = [Thread(target=try_it, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(taken) == 1
