"""What every store promises its owner and its readers (`runner.store.protocol`)."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.place import child
from support.store_model import STEPS, Model, execution_row, request_row
from support.store_places import NewPlace

from runner.errors import StoreInUseError
from runner.store.opening import own_store, owner_of, read_store
from runner.store.place import StorePlace
from runner.store.protocol import DuplicateClaimError, Store
from runner.store.rows import AlertRow, Batch, Coming, Mark, Phase, ResultRow, Snapshot
from runner.values import from_microseconds

pytestmark = pytest.mark.timeout(600)
_MARK = Mark(file=2**64 - 1, offset=17)  # the number of a file has no sign
Steps = list[tuple[Batch, tuple[int, Mark] | None, bool]]


@contextmanager
def _owned(place: StorePlace) -> Iterator[Store]:
    with closing(own_store(place)) as store:
        yield store


def _read(place: StorePlace) -> Snapshot:
    with closing(read_store(place)) as reader:
        return reader.snapshot()


def _last_results(place: StorePlace) -> tuple[ResultRow, ...]:
    with closing(read_store(place)) as reader:
        return reader.last_results()


def _loaded(store: Store) -> Snapshot:
    snapshot = store.load()
    return Snapshot(
        requests=snapshot.requests,
        executions=snapshot.executions,
        outbox=snapshot.outbox,
        mark=snapshot.mark,
        meta=snapshot.meta,
        alerts=snapshot.alerts,
        notifications=snapshot.notifications,
    )


def _play(place: StorePlace, steps: Steps) -> None:
    """Compare the store with the model after each commit."""
    model, store = Model(), own_store(place)
    try:
        for batch, appended, is_reopened in steps:
            if appended:
                appended = (min(appended[0], model.last), appended[1])
            if model.claims_twice(batch):
                with pytest.raises(DuplicateClaimError):
                    store.commit(batch, appended=appended)
            else:
                expected = model.commit(batch, appended)
                assert list(store.commit(batch, appended=appended)) == expected
            assert _read(place) == model.snapshot()
            assert _last_results(place) == model.last_results()
            if is_reopened:
                store.close()
                store = own_store(place)
                assert _loaded(store) == model.snapshot()
    finally:
        store.close()


_SHARED = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)


@pytest.mark.parametrize("new_place", ["sqlite"], indirect=True)
@settings(_SHARED, max_examples=60)
@given(st.lists(STEPS, max_size=6))
def test_sqlite_holds_the_same_as_plain_dictionaries(new_place: NewPlace, steps: Steps) -> None:
    _play(new_place(), steps)


@pytest.mark.parametrize("new_place", ["postgres"], indirect=True)
@settings(_SHARED, max_examples=8)
@given(st.lists(STEPS, max_size=6))
def test_postgresql_holds_the_same_as_plain_dictionaries(new_place: NewPlace, steps: Steps) -> None:
    _play(new_place(), steps)


@pytest.mark.campaign
@pytest.mark.timeout(3600)
@settings(_SHARED, max_examples=1000)
@given(st.lists(STEPS, max_size=12))
def test_campaign_the_store_holds_the_same_as_plain_dictionaries(
    new_place: NewPlace, steps: Steps
) -> None:
    _play(new_place(), steps)


# Results and definitions


def test_a_result_of_the_turn_of_a_renaming_gets_the_new_name(store_place: StorePlace) -> None:
    """The execution ended while the request still had its former name."""
    result = ResultRow("e", "old", "direct", "success", None, 0, 1, None, 0, 0)
    with _owned(store_place) as store:
        store.commit(Batch(results=[result], renamed={"old": "new"}))
    assert _last_results(store_place) == (result._replace(request="new"),)


def test_results_are_read_from_the_newest_in_portions(store_place: StorePlace) -> None:
    rows = [
        ResultRow(f"e{n}", f"r{n % 3}", "direct", "success", None, 0, 1, None, n // 6, 0)
        for n in range(40)
    ]
    expected = sorted(rows, key=lambda row: (row.request, row.ended, row.execution), reverse=True)
    with _owned(store_place) as store:
        store.commit(Batch(results=rows))
        found: list[ResultRow] = []
        while portion := store.results_before(found[-1] if found else None, at_most=7):
            found += portion
    assert found == expected
    with closing(read_store(store_place)) as reader:
        assert list(reader.results_of("r1")) == [row for row in expected if row.request == "r1"]


def test_the_next_commit_writes_a_definition_whose_commit_failed(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(
            Batch(requests={"a": request_row("a")}, executions={"e1": execution_row("e1")})
        )
        changed = Batch(
            requests={"a": request_row("a", definition="changed")},
            executions={"e2": execution_row("e2")},
        )
        with pytest.raises(DuplicateClaimError):
            store.commit(changed)
        changed.executions.clear()
        store.commit(changed)
        assert store.load().requests == (request_row("a", definition="changed"),)


def test_a_pruned_request_loses_its_definition(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(Batch(requests={"a": request_row("a")}))
        store.commit(Batch(pruned=["a"]))
        store.commit(Batch(requests={"a": request_row("a", definition=None)}))
        assert store.load().requests == (request_row("a", definition=None),)


# Numbers and marks


def test_outbox_numbers_are_never_reused(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        assert store.commit(Batch(records=[b"a\n", b"b\n"])) == ((1, b"a\n"), (2, b"b\n"))
        store.commit(Batch(), appended=(2, _MARK))
        assert store.load().outbox == range(0)
    with _owned(store_place) as store:
        assert store.load().mark == _MARK
        assert store.commit(Batch(records=[b"c\n"])) == ((3, b"c\n"),)


def test_a_commit_of_a_mark_alone_removes_no_record(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(Batch(records=[b"a\n"]))
        store.commit(Batch(), appended=(0, _MARK))
    with _owned(store_place) as store:
        assert store.load().mark == _MARK
        assert store.load().outbox == range(1, 2)
        assert store.records_after(0, about_bytes=1000) == ((1, b"a\n"),)


def test_records_come_in_portions_of_about_the_given_size(store_place: StorePlace) -> None:
    lines = [b"%03d\n" % number for number in range(100)]
    with _owned(store_place) as store:
        store.commit(Batch(records=lines))
        found: list[tuple[int, bytes]] = []
        while portion := store.records_after(len(found), about_bytes=20):
            assert len(portion) <= 6
            found += portion
        assert found == list(enumerate(lines, 1))
    with closing(read_store(store_place)) as reader:
        assert list(reader.waiting_records()) == lines


def test_an_empty_commit_needs_no_number(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        assert store.commit(Batch()) == ()
        assert store.load().outbox == range(0)


# Claims


def test_a_second_claim_of_a_fire_is_a_bug_and_nothing_of_its_batch_is_written(
    store_place: StorePlace,
) -> None:
    with _owned(store_place) as store:
        store.commit(Batch(executions={"e1": execution_row("e1")}))
        before = store.load()
        second = Batch(
            requests={"a": request_row("a")},
            executions={"e2": execution_row("e2")},
            records=[b"x\n"],
        )
        with pytest.raises(DuplicateClaimError):
            store.commit(second, appended=(0, _MARK))
        assert store.load() == before
        second.executions = {"e2": execution_row("e2", attempt=2)}
        assert store.commit(second) == ((1, b"x\n"),)
        assert store.load().requests == (request_row("a"),)


def test_direct_executions_of_one_request_need_no_unique_claim(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(
            Batch(executions={name: execution_row(name, generation=None) for name in ("e1", "e2")})
        )
        assert len(store.load().executions) == 2


def test_an_execution_may_begin_and_end_in_one_commit(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(Batch(executions={"e1": execution_row("e1")}, ended=["e1"]))
        assert store.load().executions == ()


def test_the_latest_start_is_known_to_the_next_owner(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        latest = from_microseconds(store.load().latest_noted_start)
        assert latest.year in (1970, 9999)  # never an earlier start
        store.note_start(5)
        store.note_start(3)
    with _owned(store_place) as store:
        assert store.load().latest_noted_start == 5


# Readers


def test_a_reader_answers_without_a_store(store_place: StorePlace) -> None:
    with closing(read_store(store_place)) as reader:
        assert reader.snapshot() == Snapshot(
            requests=(), executions=(), outbox=range(0), mark=None, meta={}
        )
        assert (reader.coming(5), reader.statuses(), list(reader.waiting_records())) == ((), {}, [])
        assert reader.output_sizes() == {}
    assert owner_of(store_place) is None


def test_all_answers_of_a_reader_belong_to_one_moment(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(Batch(meta={"turn": "1"}, executions={"e1": execution_row("e1")}))
        with closing(read_store(store_place)) as reader:
            assert reader.meta() == {"turn": "1"}
            store.commit(Batch(meta={"turn": "2"}, ended=["e1"]))
            assert reader.is_in_progress("e1")
            assert [row.id for row in reader.executions()] == ["e1"]
    assert _read(store_place).meta == {"turn": "2"}


def test_a_reader_finds_statuses_fires_and_backfills_in_the_states(store_place: StorePlace) -> None:
    states = {
        "b": '{"status": "scheduled", "coming": [20, 5], "backfill": {"by": "\\u0000é"}}',
        "a": '{"status": "complete"}',
        "c": '{"status": "scheduled", "coming": [10, 30]}',
        "gone": '{"status": "scheduled", "coming": [1, 1]}',
    }
    rows = {
        name: request_row(name, state=state, file=None if name == "gone" else "f.yaml")
        for name, state in states.items()
    }
    with _owned(store_place) as store:
        store.commit(Batch(requests=rows))
        with closing(read_store(store_place)) as reader:
            assert list(reader.statuses().items()) == [("complete", 1), ("scheduled", 2)]
            assert reader.coming(5) == (Coming("c", 10, 30), Coming("b", 20, 5))
            assert reader.coming(1, by_due=True) == (Coming("b", 20, 5),)
            assert list(reader.backfills()) == ["b"]


def test_alerts_are_read_in_order_and_deleted_by_an_empty_state(store_place: StorePlace) -> None:
    rows = [AlertRow("b", "late", "{}"), AlertRow("a", "missed", "{}"), AlertRow("a", "late", "{}")]
    with _owned(store_place) as store:
        store.commit(Batch(alerts=rows))
        store.commit(Batch(alerts=[AlertRow("a", "late", "")]))
        with closing(read_store(store_place)) as reader:
            assert reader.alerts() == (rows[1], rows[0])


# One owner

_HOLD = """
import sys
from pathlib import Path
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import Batch
folder, url = sys.argv[1:]
store = own_store(StorePlace(folder=Path(folder), url=url or None))
store.commit(Batch(records=[b"by the first owner\\n"]))
print("owned", flush=True)
sys.stdin.read()
"""


def test_a_second_owner_is_refused_until_the_first_one_is_killed(store_place: StorePlace) -> None:
    with child(_HOLD, store_place.folder, store_place.url or "") as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "owned\n"
        owner = owner_of(store_place)
        assert owner is not None
        assert (owner.pid, owner.node) == (other.pid, None)
        with pytest.raises(StoreInUseError, match=str(other.pid)):
            own_store(store_place)
        other.kill()
        other.wait()
        assert owner_of(store_place) is None
        with _owned(store_place) as store:
            assert store.load().outbox == range(1, 2)
            owner = owner_of(store_place)
            assert owner is not None
            assert owner.pid == os.getpid()
    assert owner_of(store_place) is None


_COMPETE = """
import sys
from pathlib import Path
from runner.errors import StoreInUseError
from runner.store.opening import own_store
from runner.store.place import StorePlace
folder, url = sys.argv[1:]
print("ready", flush=True)
sys.stdin.readline()
try:
    store = own_store(StorePlace(folder=Path(folder), url=url or None))
    print("owned", flush=True)
except StoreInUseError:
    print("refused", flush=True)
sys.stdin.read()
"""


def test_of_owners_that_begin_at_once_exactly_one_succeeds(store_place: StorePlace) -> None:
    """On one machine they share the folder; the nodes of a fleet share only the database."""
    folders = [
        store_place.folder if store_place.url is None else store_place.folder / str(number)
        for number in range(3)
    ]
    with ExitStack() as stack:
        owners = [
            stack.enter_context(child(_COMPETE, folder, store_place.url or ""))
            for folder in folders
        ]
        pipes = [(owner.stdin, owner.stdout) for owner in owners]
        for _, output in pipes:
            assert output is not None
            assert output.readline() == "ready\n"
        for wish, _ in pipes:
            assert wish is not None
            wish.write("go\n")
            wish.flush()
        answers = [output.readline() for _, output in pipes if output is not None]
        assert sorted(answers) == ["owned\n", "refused\n", "refused\n"]


def test_a_closed_store_may_be_owned_again_and_closed_twice(store_place: StorePlace) -> None:
    store = own_store(store_place)
    store.close()
    store.close()
    with _owned(store_place):
        pass


def test_the_ownership_survives_in_a_handed_descriptor(store_place: StorePlace) -> None:
    store = own_store(store_place)
    handed = store.hand_over()
    store.close()
    try:
        with pytest.raises(StoreInUseError):
            own_store(store_place)
    finally:
        with suppress(StoreInUseError):
            next_store = own_store(store_place, handed=handed)
            next_store.commit(Batch(meta={"goes": "on"}))
            next_store.close()
    assert _read(store_place).meta == {"goes": "on"}


def test_checking_and_tidying_an_idle_store_changes_nothing(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        store.commit(
            Batch(records=[b"a\n"], executions={"e": execution_row("e", phase=Phase.WAITING)})
        )
        before = store.load()
        for _ in range(60):
            store.check()
            store.tidy()
        assert store.load() == before
        assert store.notice is None
        assert store.hindrance is None


def test_the_descriptor_of_arrivals_is_quiet_without_commands(store_place: StorePlace) -> None:
    with _owned(store_place) as store:
        descriptor = store.listen()
        assert store.listen() == descriptor
        store.clear_arrivals()
        assert not wait_readable(descriptor, within_s=0)


def wait_readable(descriptor: int, *, within_s: float) -> bool:
    """Return whether a descriptor becomes readable."""
    return bool(select.select([descriptor], [], [], within_s)[0])
