"""Commands on real files and between real processes: applied or withdrawn, never both."""

from __future__ import annotations

import json
import math
import os
import select
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, suppress
from pathlib import Path

import pytest
from support.place import Place, check_log, child, wait_until
from support.runner_inside import started

from runner.commands import Answer, CommandKind
from runner.errors import StoreError
from runner.store.opening import mailbox_of, own_store
from runner.store.place import StorePlace
from runner.store.protocol import DuplicateClaimError, Mailbox, Store
from runner.store.rows import Batch, CommandRow, CommandStatus, ExecutionRow, Phase
from runner.store.sqlite.connection import connect, database_path
from runner.store.sqlite.store import SqliteStore
from runner.store.sqlite.wake import drain_wake, open_wake
from runner.system.clock import SystemClock

_NOW = time.time_ns() // 1000
_MINUTE = 60 * 1_000_000
_ENDING = {CommandKind.RESTART, CommandKind.STOP, CommandKind.LEAVE}
"""The commands that end the program."""


def _mailbox(folder: Path) -> Mailbox:
    return mailbox_of(StorePlace(folder=folder))


def _command(command: str = "c1", *, deadline: int = _NOW + _MINUTE) -> CommandRow:
    return CommandRow(
        id=command,
        kind="unschedule",
        arguments='{"names": ["a"]}',
        requested_by="ana",
        deadline=deadline,
        status=CommandStatus.PENDING,
    )


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        yield store


@pytest.fixture
def wake(tmp_path: Path) -> Iterator[int]:
    descriptor = open_wake(tmp_path)
    yield descriptor
    os.close(descriptor)


def _is_readable(descriptor: int, *, within_s: float = 0) -> bool:
    return bool(select.select([descriptor], [], [], within_s)[0])


# Posted, taken, answered


def test_a_command_is_posted_taken_and_answered(store: Store, tmp_path: Path) -> None:
    _mailbox(tmp_path).post(_command())
    assert _mailbox(tmp_path).answer_to("c1") is None
    (taken,) = store.take_commands(_NOW)
    assert (taken.id, taken.kind, taken.arguments, taken.requested_by) == (
        "c1",
        "unschedule",
        '{"names": ["a"]}',
        "ana",
    )
    assert taken.status is CommandStatus.TAKEN
    assert _mailbox(tmp_path).answer_to("c1") is None
    store.commit(Batch(answers={"c1": '{"ok": true}'}))
    assert _mailbox(tmp_path).answer_to("c1") == '{"ok": true}'


def test_the_arguments_of_a_command_are_removed_once_it_is_answered_or_withdrawn(
    store: Store, tmp_path: Path
) -> None:
    for command in ("answered", "taken-back", "late", "taken"):
        deadline = _NOW - 1 if command == "late" else _NOW + _MINUTE
        _mailbox(tmp_path).post(_command(command, deadline=deadline))
    _mailbox(tmp_path).withdraw("taken-back")
    store.take_commands(_NOW)
    store.commit(Batch(answers={"answered": "{}"}))
    given = _arguments(tmp_path)
    assert given.pop("taken") == '{"names": ["a"]}'
    assert given == {"answered": "{}", "taken-back": "{}", "late": "{}"}
    store.close()
    own_store(StorePlace(folder=tmp_path)).close()
    assert _arguments(tmp_path)["taken"] == "{}"


def _arguments(folder: Path) -> dict[str, str]:
    with closing(connect(database_path(folder), "mode=ro")) as connection:
        return dict(connection.execute("SELECT id, arguments FROM commands"))


def test_commands_are_taken_once_and_in_the_order_they_were_posted(
    store: Store, tmp_path: Path
) -> None:
    for command in ("z", "a", "m"):
        _mailbox(tmp_path).post(_command(command))
    assert [command.id for command in store.take_commands(_NOW)] == ["z", "a", "m"]
    assert store.take_commands(_NOW) == ()


def test_the_name_of_a_user_may_be_invalid_utf_8(store: Store, tmp_path: Path) -> None:
    row = CommandRow(
        id="c1",
        kind="exec",
        arguments="\udcff",
        requested_by="añ\udcff",
        deadline=_NOW,
        status=CommandStatus.PENDING,
    )
    _mailbox(tmp_path).post(row)
    (taken,) = store.take_commands(_NOW)
    assert (taken.arguments, taken.requested_by) == (row.arguments, row.requested_by)
    store.commit(Batch(answers={"c1": "\udcff"}))
    assert _mailbox(tmp_path).answer_to("c1") == "\udcff"


def test_an_answer_is_written_with_all_of_its_batch_or_not_at_all(
    store: Store, tmp_path: Path
) -> None:
    claim = ExecutionRow(
        id="e1",
        request="a",
        generation=1,
        scheduled_for=0,
        attempt=1,
        sequence=0,
        phase=Phase.WAITING,
        pid=None,
        pid_started=None,
        body="{}",
    )
    _mailbox(tmp_path).post(_command())
    store.take_commands(_NOW)
    twice = {name: claim._replace(id=name) for name in ("e1", "e2")}
    with pytest.raises(DuplicateClaimError):
        store.commit(Batch(executions=twice, answers={"c1": "done"}))
    assert _mailbox(tmp_path).answer_to("c1") is None
    store.commit(Batch(answers={"c1": "refused"}))
    assert _mailbox(tmp_path).answer_to("c1") == "refused"


# Withdrawing


def test_a_withdrawn_command_is_never_taken(store: Store, tmp_path: Path) -> None:
    _mailbox(tmp_path).post(_command())
    assert _mailbox(tmp_path).withdraw("c1")
    assert store.take_commands(_NOW) == ()
    assert _mailbox(tmp_path).withdraw("c1")


def test_a_taken_command_cannot_be_withdrawn_and_is_answered(store: Store, tmp_path: Path) -> None:
    _mailbox(tmp_path).post(_command())
    store.take_commands(_NOW)
    assert not _mailbox(tmp_path).withdraw("c1")
    store.commit(Batch(answers={"c1": "done"}))
    assert not _mailbox(tmp_path).withdraw("c1")
    assert _mailbox(tmp_path).answer_to("c1") == "done"


def test_an_answer_does_not_revive_a_withdrawn_command(store: Store, tmp_path: Path) -> None:
    _mailbox(tmp_path).post(_command())
    _mailbox(tmp_path).withdraw("c1")
    store.commit(Batch(answers={"c1": "done"}))
    assert _mailbox(tmp_path).answer_to("c1") is None


def test_a_command_past_its_deadline_is_withdrawn_and_the_others_are_taken(
    store: Store, tmp_path: Path
) -> None:
    _mailbox(tmp_path).post(_command("late", deadline=_NOW - 1))
    _mailbox(tmp_path).post(_command("just", deadline=_NOW))
    assert [command.id for command in store.take_commands(_NOW)] == ["just"]
    assert _mailbox(tmp_path).withdraw("late")
    assert not _mailbox(tmp_path).withdraw("just")


_TAKE_AND_WAIT = """
import sys
from pathlib import Path
from runner.store.opening import own_store
from runner.store.place import StorePlace
store = own_store(StorePlace(folder=Path(sys.argv[1])))
print(*(command.id for command in store.take_commands(0)), flush=True)
sys.stdin.read()
"""

_POST_AND_WITHDRAW = """
import random, sys, time
from pathlib import Path
from runner.store.sqlite import connection
from runner.store.opening import mailbox_of
from runner.store.place import StorePlace
from runner.store.rows import CommandRow, CommandStatus
connection._BUSY_S = 60.0
folder, name, most, most_s = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
def ask(number, patience_s):
    command = f"{name}{number}"
    mailbox_of(StorePlace(folder=folder)).post(CommandRow(
        id=command, kind="x", arguments="{}", requested_by=name, deadline=2**60,
        status=CommandStatus.PENDING))
    until_s = time.monotonic() + patience_s
    mailbox = mailbox_of(StorePlace(folder=folder))
    while mailbox.answer_to(command) is None and time.monotonic() < until_s:
        pass
    print(command, "withdrawn" if mailbox.withdraw(command) else "left", flush=True)
ask(0, 0.0)
began_s = time.monotonic()
for number in range(1, most):
    if time.monotonic() > began_s + most_s:
        break
    ask(number, random.uniform(0, 0.004))
ask(most, 60.0)
print("done", flush=True)
"""


@pytest.mark.parametrize(
    "is_followed", [False, True], ids=["no runner follows", "a runner follows"]
)
def test_commands_that_a_dead_runner_took_count_as_withdrawn(
    is_followed: bool, tmp_path: Path
) -> None:
    own_store(StorePlace(folder=tmp_path)).close()
    _mailbox(tmp_path).post(_command())
    with child(_TAKE_AND_WAIT, tmp_path) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "c1\n"
        assert not _mailbox(tmp_path).withdraw("c1")
        owner.send_signal(signal.SIGKILL)
        owner.wait()
    with ExitStack() as resources:
        if is_followed:
            follower = resources.enter_context(closing(own_store(StorePlace(folder=tmp_path))))
            assert follower.take_commands(_NOW) == ()
        assert _mailbox(tmp_path).withdraw("c1")
        assert _mailbox(tmp_path).withdraw("c1")


def test_of_many_commands_each_is_applied_or_withdrawn_never_both(
    store: Store, wake: int, tmp_path: Path
) -> None:
    # On a stalled machine, another program may hold the store for longer than a person
    # waits.
    assert isinstance(store, SqliteStore)
    store._database.connection.execute("PRAGMA busy_timeout = 60000")
    applied: list[str] = []
    with ExitStack() as resources:
        posters = [
            resources.enter_context(child(_POST_AND_WITHDRAW, tmp_path, name, 100, 8))
            for name in "ab"
        ]
        outcomes = [
            _line_of(poster) for poster in posters
        ]  # before any is taken; the last command of each thread waits for its answer
        while any(poster.poll() is None for poster in posters):
            if _is_readable(wake, within_s=0.05):
                drain_wake(wake)
            taken = [command.id for command in store.take_commands(_NOW)]
            store.commit(Batch(answers=dict.fromkeys(taken, "done")))
            applied += taken
        outcomes += [line.split() for poster in posters for line in poster.stdout or ()]
    assert outcomes.count(["done"]) == 2
    fates = dict(outcome for outcome in outcomes if outcome != ["done"])
    assert len(fates) == len(outcomes) - 2
    assert [fates[command] for command in ("a0", "a100", "b0", "b100")] == ["withdrawn", "left"] * 2
    assert sorted(applied) == sorted(command for command, fate in fates.items() if fate == "left")
    assert all(_mailbox(tmp_path).answer_to(command) == "done" for command in applied[:20])


def _line_of(process: subprocess.Popen[str]) -> list[str]:
    assert process.stdout is not None
    return process.stdout.readline().split()


# The FIFO


def test_a_post_wakes_the_runner_and_a_drained_fifo_is_quiet_without_writers(
    store: Store, wake: int, tmp_path: Path
) -> None:
    assert not _is_readable(wake)
    for command in ("c1", "c2"):
        _mailbox(tmp_path).post(_command(command))
    assert _is_readable(wake)
    drain_wake(wake)
    poll = select.poll()
    poll.register(wake, select.POLLIN)
    assert poll.poll(0) == []
    drain_wake(wake)


def test_a_full_fifo_does_not_stop_posting(store: Store, wake: int, tmp_path: Path) -> None:
    with pytest.raises(BlockingIOError):
        while True:
            os.write(wake, b"\0" * 4096)
    with pytest.raises(BlockingIOError):
        while True:
            os.write(wake, b"\0")
    _mailbox(tmp_path).post(_command())
    assert len(store.take_commands(_NOW)) == 1
    drain_wake(wake)
    assert not _is_readable(wake)


@pytest.mark.parametrize("has_fifo", [False, True])
def test_posting_works_without_a_reader(has_fifo: bool, store: Store, tmp_path: Path) -> None:
    if has_fifo:
        os.close(open_wake(tmp_path))
    _mailbox(tmp_path).post(_command())
    assert len(store.take_commands(_NOW)) == 1


def test_the_fifo_is_private_to_its_owner_and_serves_the_next_runner(tmp_path: Path) -> None:
    os.close(open_wake(tmp_path))
    assert (tmp_path / "wake").stat().st_mode & 0o777 == 0o600
    os.close(open_wake(tmp_path))


def test_a_file_at_the_path_of_the_fifo_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "wake").write_text("mine")
    with pytest.raises(StoreError, match="is not a FIFO; remove it"):
        open_wake(tmp_path)
    assert (tmp_path / "wake").read_text() == "mine"


def test_a_fifo_that_cannot_be_made_says_why(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="cannot be used: No such file or directory"):
        open_wake(tmp_path / "missing")


# Missing stores and pruned commands


def test_without_a_store_nothing_is_posted_or_created(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"there is no store .*; start a runner first"):
        _mailbox(tmp_path).post(_command())
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_store_is_not_posted_to(tmp_path: Path) -> None:
    (tmp_path / "store.sqlite3").write_bytes(b"something else entirely" * 99)
    with pytest.raises(StoreError, match="is not an SQLite file"):
        _mailbox(tmp_path).post(_command())


def test_a_runner_that_is_never_restarted_prunes_commands(store: Store, tmp_path: Path) -> None:
    old = time.time_ns() // 1000 - 25 * 60 * _MINUTE
    for number in range(3):
        _mailbox(tmp_path).post(_command(f"old-{number}", deadline=old))
    _mailbox(tmp_path).post(_command("new", deadline=old + 2 * 60 * _MINUTE))
    store.take_commands(old)
    for number in range(50):
        store.commit(Batch(meta={"number": str(number)}))
    store.tidy()
    assert list(_arguments(tmp_path)) == ["new"]


def test_commands_are_pruned_a_day_after_their_deadline(tmp_path: Path) -> None:
    hour, now = 60 * _MINUTE, time.time_ns() // 1000  # not _NOW: the suite may have begun long ago
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        _mailbox(tmp_path).post(_command("old", deadline=now - 25 * hour))
        _mailbox(tmp_path).post(_command("new", deadline=now - 23 * hour))
        store.take_commands(now - 48 * hour)
        store.commit(Batch(answers={"old": "done", "new": "done"}))
    own_store(StorePlace(folder=tmp_path)).close()
    assert _mailbox(tmp_path).answer_to("new") == "done"
    with pytest.raises(StoreError, match="there is no command old in the store"):
        _mailbox(tmp_path).withdraw("old")


# Rows that no `runner` wrote

_VALUES: tuple[object, ...] = (
    None,
    -1,
    0,
    2**62,
    -(2**63),
    1.5,
    float("inf"),
    "",
    "abc",
    "\0",
    "x" * 2_000_000,
    "\x1b[31m\n\u202e",
    b"",
    b"\xff\xfe\0",
    b"\xed\xb3\xbf",
    b"x" * 2_000_000,
    "{",
    "[]",
    "null",
    "[" * 100_000,
)
_ARGUMENTS: tuple[object, ...] = (
    None,
    1,
    "a",
    [],
    {},
    ["a"],
    ["a", "a"],
    ["a", 1],
    [["a"]],
    [{}],
    {"a": 1},
    {"a b": 1},
    {"p": "\0"},
    {"p": "\ud800"},
    "9999-12-31T23:59:59-12:00",
    "9999-12-31T23:59:59Z",
    "2026-01-01T00:00:00",
    ["2026-01-02T00:00:00Z", "2026-01-01T00:00:00Z"],
    ["2026-01-01T00:00:00Z"] * 2,
    {"p": math.nan},
    {"p": math.inf},
    {"\ud800": 1},
    {"": 1},
    {"p": 10**400},
    {"p": json.loads("[" * 900 + "]" * 900)},
    "x" * 500_000,
    ["x" * 500_000],
    True,
)
_GOOD = {
    "targets": ["a"],
    "is_for_all": False,
    "allow_empty": False,
    "params": {},
    "reason": "why",
    "until": None,
    "fires": [],
}
_COLUMNS = ("id", "kind", "arguments", "requested_by", "deadline", "status", "answer")


def _hostile_rows() -> Iterator[dict[str, object]]:
    """Yield rows with each kind of value in each column, and with each kind of argument
    of each command.
    """
    good = {
        "kind": "exec",
        "arguments": json.dumps(_GOOD),
        "requested_by": "ana",
        "deadline": _NOW + 99 * _MINUTE,
    }
    for column in _COLUMNS:
        yield from (good | {column: value} for value in _VALUES)
        yield from (good | {column: sqlite3.Binary(str(value).encode())} for value in _VALUES[:4])
    # A well-formed `restart` would stop the runner of the test.
    for kind in (
        *(each for each in CommandKind if each not in _ENDING),
        "no-such-kind",
    ):
        yield from (
            good | {"kind": kind, "arguments": text}
            for text in ("{}", "[]", "1", "null", "{", "[" * 100_000)
        )
        for name in _GOOD:
            yield good | {
                "kind": kind,
                "arguments": json.dumps({k: v for k, v in _GOOD.items() if k != name}),
            }
            yield from (
                good | {"kind": kind, "arguments": json.dumps(_GOOD | {name: value})}
                for value in _ARGUMENTS
            )


def test_a_malformed_row_is_refused_and_the_runner_continues(place: Place) -> None:
    place.declare("a", "true")
    with started(place.jobs, SystemClock(), state=place.state) as runner:

        def go_on_until(condition: Callable[[], object], what: str) -> None:
            def turn() -> object:
                runner.turn()
                runner.wait(at_most_s=0.02)
                return condition()

            wait_until(turn, within_s=120, what=what)

        with closing(connect(database_path(place.state), "mode=rw")) as connection:
            count = 0
            for count, row in enumerate(_hostile_rows(), 1):
                row = {"id": f"h{count}", "status": "pending"} | row
                names = ", ".join(row)
                with suppress(
                    sqlite3.IntegrityError
                ):  # NULL where the table refuses it, or a duplicate id
                    connection.execute(
                        f"INSERT INTO commands ({names}) VALUES ({', '.join('?' * len(row))})",
                        [*row.values()],
                    )
            assert count > 500
            pending = "SELECT count(*) FROM commands WHERE status = 'pending'"
            go_on_until(lambda: connection.execute(pending).fetchone() == (0,), "no row is pending")
        soon = (
            time.time_ns() // 1000 + 99 * _MINUTE
        )  # not by _NOW: the suite may have begun long ago
        _mailbox(place.state).post(
            _command("last", deadline=soon)._replace(kind="exec", arguments=json.dumps(_GOOD))
        )
        go_on_until(lambda: _mailbox(place.state).answer_to("last"), "an answer")
        go_on_until(lambda: not runner.is_executing, "the end of all executions")
        answer = Answer.read(_mailbox(place.state).answer_to("last") or "")
        assert answer.is_done
    statuses = {record["execution"]: record["status"] for record in place.finished("a")}
    assert statuses[answer.data["execution"]] == "success"
    # A well-formed `kill` among the rows ends the executions of its own turn.
    assert set(statuses.values()) <= {"success", "killed"}
    check_log(place.log)


def test_a_malformed_row_is_answered_with_a_message(store: Store, tmp_path: Path) -> None:
    with closing(connect(database_path(tmp_path), "mode=rw")) as connection:
        row = ("bad", "exec", b"\xff", "ana", _NOW + _MINUTE, "pending")
        connection.execute("INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?, NULL)", row)
    assert store.take_commands(_NOW) == ()
    answer = Answer.read(_mailbox(tmp_path).answer_to("bad") or "")
    assert (answer.is_done, answer.lines) == (False, ("the command in the store is malformed",))


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "{}", '{"is_done": 1, "lines": [], "data": {}}', "[" * 100_000]
)
def test_an_answer_that_no_runner_wrote_is_reported_with_a_message(text: str) -> None:
    with pytest.raises(StoreError, match="cannot be read"):
        Answer.read(text)
