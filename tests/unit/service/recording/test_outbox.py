"""The outbox: bounded memory and bounded batches, whatever the log takes and when."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import given, settings
from hypothesis import strategies as st

from runner.service.recording.outbox import BATCH_BYTES, Outbox
from runner.store.opening import own_store
from runner.store.place import StorePlace
from runner.store.rows import Batch

TURNS = st.lists(
    st.tuples(
        st.lists(st.integers(1, BATCH_BYTES // 3), max_size=6).map(tuple),
        st.booleans(),  # whether the log takes a batch in this turn
    ),
    max_size=12,
)


def line_of(number: int, length: int) -> bytes:
    return f"{number} ".encode().ljust(length - 1, b"x") + b"\n"


@settings(max_examples=40, deadline=None)
@given(TURNS)
def test_every_record_leaves_once_in_order_in_batches_of_at_most_a_mebibyte(
    turns: list[tuple[tuple[int, ...], bool]],
) -> None:
    committed: list[bytes] = []
    appended: list[bytes] = []
    with (
        TemporaryDirectory() as folder,
        closing(own_store(StorePlace(folder=Path(folder)))) as store,
    ):
        outbox = Outbox(store)

        def append() -> None:
            number, batch = outbox.batch()
            assert 0 < len(batch) <= BATCH_BYTES
            outbox.drop(number)
            appended.append(batch)

        for lengths, takes in turns:
            lines = [line_of(len(committed) + at, 12 + each) for at, each in enumerate(lengths)]
            committed += lines
            outbox.add(store.commit(Batch(records=lines)))
            assert outbox.kept_bytes <= BATCH_BYTES
            if takes and outbox:
                append()
        while outbox:
            append()
    assert b"".join(appended) == b"".join(committed)


def test_a_batch_stays_the_same_until_the_log_has_it(tmp_path: Path) -> None:
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        outbox = Outbox(store)
        outbox.add(store.commit(Batch(records=[line_of(0, 20)])))
        first = outbox.batch()
        outbox.add(store.commit(Batch(records=[line_of(1, 20)])))
        number, batch = outbox.batch()
        assert batch.startswith(first[1])
        outbox.drop(number)
        assert not outbox
        assert outbox.kept_bytes == 0


def test_records_that_somebody_deleted_from_the_store_do_not_stop_the_outbox(
    tmp_path: Path,
) -> None:
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        outbox = Outbox(store)
        outbox.resume(range(5, 8))
        assert len(outbox) == 3
        assert outbox.batch() == (7, b"")
        outbox.drop(7)
        assert not outbox


def test_an_outbox_may_read_records_before_it_learns_that_they_were_committed(
    tmp_path: Path,
) -> None:
    with closing(own_store(StorePlace(folder=tmp_path))) as store:
        outbox = Outbox(store)
        outbox.resume(range(1, 1))
        outbox.extend(1)
        store.commit(Batch(records=[line_of(number, 20) for number in range(3)]))
        number, _ = outbox.batch()
        outbox.drop(number)
        assert number == 3
        assert not outbox
        outbox.extend(2)
        assert not outbox
