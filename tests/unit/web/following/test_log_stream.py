"""One follower of the log for all event streams."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path

from support.history_world import AT, finished_line
from support.place import wait_until

from runner.monitor.records import decode
from runner.web.following import log_stream
from runner.web.following.log_stream import LogStream, Subscriber, message_of


def write(log: Path, first: int, last: int) -> list[str]:
    """Append records; return their ids."""
    lines = [finished_line(AT + timedelta(seconds=number)) for number in range(first, last)]
    with log.open("ab") as file:
        file.write(b"".join(lines))
    return [str((decode(line) or {})["id"]) for line in lines]


async def followed(stream: LogStream, subscriber: Subscriber, count: int) -> list[str]:
    """Return the ids of the next records of a stream."""
    found: list[str] = []
    while len(found) < count:
        batch = await asyncio.wait_for(subscriber.batches.get(), 30)
        assert batch is not None
        found += [str(each.record["id"]) for each in batch]
    return found


def test_each_subscriber_gets_each_new_record_and_may_ask_for_former_ones(tmp_path: Path) -> None:
    log = tmp_path / "monitor.jsonl"
    old = write(log, 0, 5)
    stream = LogStream(log)

    async def look() -> None:
        with stream.subscribed() as first, stream.subscribed() as second:
            await stream.followed()
            log.rename(tmp_path / "monitor.jsonl.1")
            new = write(log, 5, 8)
            assert await followed(stream, first, 3) == new
            assert await followed(stream, second, 3) == new
            repeated = stream.since(old[2])
            assert repeated is not None
            assert [each.record["id"] for each in repeated] == [*old[3:], *new]
            assert stream.since(new[-1]) == []
            assert stream.since("unknown") is None

    asyncio.run(look())


def test_a_subscriber_that_does_not_keep_up_is_ended_in_bounded_memory(tmp_path: Path) -> None:
    message = message_of({"id": "1", "event": "execution.finished"})

    async def stall() -> int:
        subscriber = Subscriber(loop=asyncio.get_running_loop())
        for _ in range(10 * log_stream._MOST_WAITING):
            subscriber.put([message])
        count = 0
        while subscriber.batches.get_nowait() is not None:
            count += 1
        assert subscriber.batches.empty()
        return count

    assert asyncio.run(stall()) == log_stream._MOST_WAITING


def test_only_so_many_records_are_remembered(tmp_path: Path) -> None:
    log = tmp_path / "monitor.jsonl"
    log.touch()
    stream = LogStream(log)

    async def look() -> None:
        with stream.subscribed():
            await stream.followed()
            ids = write(log, 0, log_stream._MOST_REMEMBERED + 10)
            await asyncio.to_thread(wait_until, lambda: stream.since(ids[-1]) == [])
            assert stream.since(ids[9]) is None
            assert len(stream.since(ids[10]) or ()) == log_stream._MOST_REMEMBERED - 1

    asyncio.run(look())


def test_a_record_is_one_event_whatever_it_contains() -> None:
    hostile = {"id": "1\nid: 2", "event": "a\r\nevent: b", "message": "\n\ndata: x\n\n \ud800"}
    frame = message_of(hostile).frame
    assert frame.count(b"\n\n") == 1
    assert frame.endswith(b"\n\n")
    assert frame.count(b"\n") == 4
