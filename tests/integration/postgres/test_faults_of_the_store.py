"""What a leader's store does when its lease, its connection or its server is gone."""

from __future__ import annotations

import os
import select
import signal
import tempfile
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest
from support.database_proxy import Cut, DatabaseProxy, proxied
from support.place import child, wait_until
from support.postgres import OwnServer, execute
from support.store_model import execution_row

from runner.errors import LeaseLostError, StoreError, StoreUnwritableError
from runner.store.opening import mailbox_of, own_store, owner_of, read_store
from runner.store.place import StorePlace
from runner.store.postgres import store as store_module
from runner.store.rows import Batch, CommandRow, CommandStatus, Mark

pytestmark = pytest.mark.timeout(600)
_EXPIRE = "UPDATE lease SET expires = clock_timestamp()"


def _command(command: str) -> CommandRow:
    return CommandRow(command, "reload", "{}", "ana", 2**62, CommandStatus.PENDING)


def _meta(place: StorePlace) -> dict[str, str]:
    with closing(read_store(place)) as reader:
        return reader.meta()


_COMMIT_ON_DEMAND = """
import sys
from pathlib import Path
from runner.errors import RunnerError
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import Batch
folder, url = sys.argv[1:]
store = own_store(StorePlace(folder=Path(folder), url=url), node="frozen")
print("owned", flush=True)
for line in sys.stdin:
    try:
        store.commit(Batch(meta={"by": line.strip()}, records=[line.encode()]))
        print("committed", flush=True)
    except RunnerError as error:
        print(type(error).__name__, flush=True)
"""


def test_an_owner_that_was_frozen_beyond_its_lease_writes_nothing(
    database_url: str, tmp_path: Path
) -> None:
    place = StorePlace(folder=tmp_path / "two", url=database_url)
    with child(_COMMIT_ON_DEMAND, tmp_path / "one", database_url) as frozen:
        assert frozen.stdin is not None
        assert frozen.stdout is not None

        def commits(text: str) -> str:
            assert frozen.stdin is not None
            assert frozen.stdout is not None
            frozen.stdin.write(f"{text}\n")
            frozen.stdin.flush()
            return frozen.stdout.readline()

        assert frozen.stdout.readline() == "owned\n"
        assert commits("first") == "committed\n"
        os.kill(frozen.pid, signal.SIGSTOP)
        execute(database_url, _EXPIRE)
        with closing(own_store(place, node="two")) as store:
            assert store.load().meta == {"by": "first"}
            os.kill(frozen.pid, signal.SIGCONT)
            assert commits("frozen") == "LeaseLostError\n"
            assert store.commit(Batch(records=[b"two\n"])) == ((2, b"two\n"),)
        assert commits("again") == "LeaseLostError\n"
    assert _meta(place) == {"by": "first"}


def test_an_expired_lease_that_nobody_took_is_renewed(database_url: str, tmp_path: Path) -> None:
    place = StorePlace(folder=tmp_path / "state", url=database_url)
    with closing(own_store(place)) as store:
        execute(database_url, _EXPIRE)
        assert owner_of(place) is None
        store.commit(Batch(meta={"a": "1"}))
        assert owner_of(place) is not None


def test_a_command_that_was_withdrawn_from_a_silent_owner_is_not_applied(
    database_url: str, tmp_path: Path
) -> None:
    place = StorePlace(folder=tmp_path / "state", url=database_url)
    with closing(own_store(place)) as store:
        mailbox_of(place).post(_command("c"))
        store.take_commands(0)
        execute(database_url, _EXPIRE)
        assert mailbox_of(place).withdraw("c")
        with pytest.raises(LeaseLostError):
            store.commit(Batch(answers={"c": "done"}, meta={"effect": "1"}))
    assert _meta(place) == {}


# A connection that breaks


@pytest.fixture
def by_proxy(database_url: str, tmp_path: Path) -> Iterator[tuple[DatabaseProxy, StorePlace]]:
    with (
        tempfile.TemporaryDirectory(dir="/tmp") as folder,
        proxied(database_url, Path(folder, "socket")) as proxy,
    ):
        yield proxy, StorePlace(folder=tmp_path / "state", url=proxy.url)


def test_a_commit_whose_answer_was_lost_is_not_repeated(
    by_proxy: tuple[DatabaseProxy, StorePlace],
) -> None:
    proxy, place = by_proxy
    with closing(own_store(place)) as store:
        proxy.cut_next(Cut.AFTER_COMMIT)
        batch = Batch(records=[b"a\n"], executions={"e": execution_row("e")})
        assert store.commit(batch) == ((1, b"a\n"),)
        assert not proxy.is_cut_pending
        assert store.commit(Batch(records=[b"b\n"])) == ((2, b"b\n"),)
        assert store.records_after(0, about_bytes=1000) == ((1, b"a\n"), (2, b"b\n"))


def test_a_commit_that_did_not_reach_the_server_may_be_repeated(
    by_proxy: tuple[DatabaseProxy, StorePlace],
) -> None:
    proxy, place = by_proxy
    with closing(own_store(place)) as store:
        proxy.cut_next(Cut.BEFORE_COMMIT)
        batch = Batch(records=[b"a\n"], executions={"e": execution_row("e")})
        with pytest.raises(StoreUnwritableError):
            store.commit(batch)
        assert store.commit(batch) == ((1, b"a\n"),)


def test_a_commit_that_turns_out_later_to_be_durable_makes_the_node_begin_anew(
    by_proxy: tuple[DatabaseProxy, StorePlace], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The loop has dropped what it decided, so it does not know of the claim."""
    proxy, place = by_proxy
    monkeypatch.setattr(store_module, "_UNANSWERED_S", 0.0)
    with closing(own_store(place)) as store:
        store.commit(Batch(meta={"before": "1"}))
        proxy.cut_next(Cut.AFTER_COMMIT)
        proxy.is_up = False
        with pytest.raises(StoreUnwritableError):
            store.commit(Batch(executions={"e": execution_row("e")}))
        with pytest.raises(StoreUnwritableError):
            store.commit(Batch(executions={"f": execution_row("f")}))
        proxy.is_up = True

        def is_lost() -> bool:
            with suppress(StoreUnwritableError):
                with pytest.raises(LeaseLostError, match="loads the store again"):
                    store.check()
                return True
            return False

        wait_until(is_lost, what="the answer")
    with closing(own_store(place)) as store:
        assert [row.id for row in store.load().executions] == ["e"]


def test_commands_whose_take_was_not_answered_are_taken_again(
    by_proxy: tuple[DatabaseProxy, StorePlace],
) -> None:
    proxy, place = by_proxy
    with closing(own_store(place)) as store:
        mailbox_of(place).post(_command("c"))
        proxy.cut_next(Cut.AFTER_COMMIT)
        with pytest.raises(StoreUnwritableError):
            store.take_commands(0)
        (taken,) = store.take_commands(0)
        assert taken.id == "c"
        assert store.take_commands(0) == ()
        store.commit(Batch(answers={"c": "done"}))
    assert mailbox_of(place).answer_to("c") == "done"


def test_the_descriptor_of_arrivals_survives_a_lost_connection(
    by_proxy: tuple[DatabaseProxy, StorePlace],
) -> None:
    proxy, place = by_proxy
    with closing(own_store(place)) as store:
        descriptor = store.listen()
        proxy.go_down()
        assert select.select([descriptor], [], [], 30)[0]
        store.clear_arrivals()
        assert not select.select([descriptor], [], [], 0)[0]
        proxy.is_up = True

        def is_woken() -> bool:
            with suppress(StoreError):
                store.check()
                row = CommandRow(
                    os.urandom(8).hex(), "reload", "{}", "a", 2**62, CommandStatus.PENDING
                )
                mailbox_of(place).post(row)
            return bool(select.select([descriptor], [], [], 0.2)[0])

        wait_until(is_woken, what="a notification")


def test_a_connection_pool_is_noticed_and_named(by_proxy: tuple[DatabaseProxy, StorePlace]) -> None:
    proxy, place = by_proxy
    with closing(own_store(place)) as store:
        store.listen()
        assert store.hindrance is None
        proxy.is_pool = True
        proxy.go_down()
        proxy.is_up = True

        def is_noticed() -> bool:
            with suppress(StoreError):
                store.clear_arrivals()
            return "PgBouncer" in (store.hindrance or "")

        wait_until(is_noticed, what="the pool")


# A server that restarts


def test_a_restart_of_the_server_loses_nothing(own_postgres: OwnServer, tmp_path: Path) -> None:
    with own_postgres.new_database() as url:
        place = StorePlace(folder=tmp_path / "state", url=url)
        with closing(own_store(place)) as store:
            store.commit(Batch(records=[b"a\n"]), appended=(0, Mark(1, 2)))
            own_postgres.stop()
            try:
                for _ in range(3):
                    with pytest.raises(StoreUnwritableError, match="cannot be"):
                        store.commit(Batch(records=[b"b\n"]))
                with pytest.raises(StoreUnwritableError):
                    store.check()
                with pytest.raises(StoreError):
                    read_store(place)
            finally:
                own_postgres.start()

            def is_committed() -> bool:
                with suppress(StoreUnwritableError):
                    return store.commit(Batch(records=[b"b\n"])) == ((2, b"b\n"),)
                return False

            wait_until(is_committed, what="a commit after the restart")
            assert store.load().outbox == range(1, 3)
            assert store.load().mark == Mark(1, 2)
