"""What every mailbox promises: a command is applied or withdrawn, never both."""

from __future__ import annotations

import select
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing

import pytest
from support.place import child

from runner.errors import StoreError, StoreMissingError
from runner.store.opening import mailbox_of, own_store
from runner.store.place import StorePlace
from runner.store.protocol import Store
from runner.store.rows import Batch, CommandRow, CommandStatus

_NOW = time.time_ns() // 1000
_MINUTE = 60 * 1_000_000
_DAY = 24 * 60 * _MINUTE


def _command(command: str = "c1", *, deadline: int = _NOW + _DAY) -> CommandRow:
    return CommandRow(
        id=command,
        kind="unschedule",
        arguments='{"names": ["\udcff\\u0000"]}',
        requested_by="ana",
        deadline=deadline,
        status=CommandStatus.PENDING,
    )


@pytest.fixture
def store(store_place: StorePlace) -> Iterator[Store]:
    with closing(own_store(store_place)) as store:
        yield store


def test_a_command_is_posted_taken_and_answered(store: Store, store_place: StorePlace) -> None:
    mailbox = mailbox_of(store_place)
    mailbox.post(_command())
    assert mailbox.answer_to("c1") is None
    (taken,) = store.take_commands(_NOW)
    assert (taken.id, taken.kind, taken.arguments, taken.deadline, taken.status) == (
        "c1",
        "unschedule",
        _command().arguments,
        _NOW + _DAY,
        CommandStatus.TAKEN,
    )
    assert mailbox.answer_to("c1") is None
    store.commit(Batch(answers={"c1": '{"ok": "\udcff"}'}))
    assert mailbox.answer_to("c1") == '{"ok": "\udcff"}'


def test_the_requester_is_the_role_of_the_database_or_as_given(
    store: Store, store_place: StorePlace
) -> None:
    mailbox_of(store_place).post(_command())
    (taken,) = store.take_commands(_NOW)
    assert taken.requested_by == ("ana" if store_place.url is None else "postgres")


def test_a_command_of_the_page_keeps_the_name_of_its_token(
    store: Store, store_place: StorePlace
) -> None:
    mailbox_of(store_place).post(_command()._replace(requested_by="web:maria"))
    (taken,) = store.take_commands(_NOW)
    assert taken.requested_by == "web:maria"


def test_commands_are_taken_once_and_in_the_order_they_were_posted(
    store: Store, store_place: StorePlace
) -> None:
    for command in ("z", "a", "m"):
        mailbox_of(store_place).post(_command(command))
    assert [command.id for command in store.take_commands(_NOW)] == ["z", "a", "m"]
    assert store.take_commands(_NOW) == ()


def test_a_post_makes_the_descriptor_readable_until_it_is_cleared(
    store: Store, store_place: StorePlace
) -> None:
    descriptor = store.listen()
    mailbox_of(store_place).post(_command())
    assert _is_readable(descriptor, within_s=30)
    store.clear_arrivals()
    assert not _is_readable(descriptor)
    assert len(store.take_commands(_NOW)) == 1


def _is_readable(descriptor: int, *, within_s: float = 0) -> bool:
    return bool(select.select([descriptor], [], [], within_s)[0])


def test_a_pending_command_can_be_withdrawn_once_and_for_all(
    store: Store, store_place: StorePlace
) -> None:
    mailbox_of(store_place).post(_command())
    assert mailbox_of(store_place).withdraw("c1")
    assert store.take_commands(_NOW) == ()
    assert mailbox_of(store_place).withdraw("c1")


def test_a_taken_command_cannot_be_withdrawn_while_its_owner_is_there(
    store: Store, store_place: StorePlace
) -> None:
    mailbox_of(store_place).post(_command())
    store.take_commands(_NOW)
    assert not mailbox_of(store_place).withdraw("c1")
    store.commit(Batch(answers={"c1": "done"}))
    assert not mailbox_of(store_place).withdraw("c1")
    assert mailbox_of(store_place).answer_to("c1") == "done"


def test_a_command_past_its_deadline_is_withdrawn(store: Store, store_place: StorePlace) -> None:
    mailbox_of(store_place).post(_command("late", deadline=_NOW - 1))
    mailbox_of(store_place).post(_command("just", deadline=_NOW))
    assert [command.id for command in store.take_commands(_NOW)] == ["just"]
    assert mailbox_of(store_place).withdraw("late")


def test_a_malformed_command_is_refused_and_harms_no_other(
    store: Store, store_place: StorePlace
) -> None:
    mailbox_of(store_place).post(_command("x" * 101))
    mailbox_of(store_place).post(_command("large")._replace(arguments="x" * 2**21))
    mailbox_of(store_place).post(_command("good"))
    assert [command.id for command in store.take_commands(_NOW)] == ["good"]
    for refused in ("x" * 101, "large"):
        assert "malformed" in (mailbox_of(store_place).answer_to(refused) or "")


_TAKE_AND_WAIT = """
import sys, time
from pathlib import Path
from runner.store.opening import own_store
from runner.store.place import StorePlace
folder, url = sys.argv[1:]
store = own_store(StorePlace(folder=Path(folder), url=url or None))
print(len(store.take_commands(time.time_ns() // 1000)), flush=True)
sys.stdin.read()
"""


def test_a_command_that_a_killed_owner_took_is_withdrawn(store_place: StorePlace) -> None:
    own_store(store_place).close()
    mailbox = mailbox_of(store_place)
    for command in ("c1", "c2"):
        mailbox.post(_command(command))
    with child(_TAKE_AND_WAIT, store_place.folder, store_place.url or "") as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "2\n"
        assert mailbox.has_owner()
        assert not mailbox.withdraw("c1")
        owner.kill()
        owner.wait()
    assert not mailbox.has_owner()
    assert mailbox.withdraw("c1")
    with ExitStack() as resources:
        follower = resources.enter_context(closing(own_store(store_place)))
        assert follower.take_commands(_NOW) == ()
        assert mailbox.withdraw("c2")


def test_without_a_store_nothing_is_posted(store_place: StorePlace) -> None:
    if store_place.url is not None:
        pytest.skip("the database of the tests has its tables: see test_migrating")
    with pytest.raises(StoreMissingError, match="there is no store"):
        mailbox_of(store_place).post(_command())


def test_an_unknown_command_cannot_be_withdrawn(store: Store, store_place: StorePlace) -> None:
    with pytest.raises(StoreError, match="there is no command"):
        mailbox_of(store_place).withdraw("unknown")


def test_old_commands_are_forgotten(store_place: StorePlace) -> None:
    now = time.time_ns() // 1000
    with closing(own_store(store_place)) as store:
        mailbox_of(store_place).post(_command("old", deadline=now - 25 * 60 * _MINUTE))
        mailbox_of(store_place).post(_command("new", deadline=now - _DAY + _MINUTE))
        store.take_commands(0)
        store.commit(Batch(answers={"old": "done", "new": "done"}))
    own_store(store_place).close()
    assert mailbox_of(store_place).answer_to("new") == "done"
    with pytest.raises(StoreError, match="there is no command old"):
        mailbox_of(store_place).withdraw("old")
