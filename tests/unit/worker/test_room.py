"""The places of a worker."""

from __future__ import annotations

from runner.worker.room import Room


def test_no_more_places_are_reserved_than_there_are() -> None:
    room, free = Room(2), list[bool]()
    room.when_free(lambda: free.append(True))
    assert [room.reserve() for _ in range(3)] == [True, True, False]
    room.give_back()
    assert free == [True]
    assert room.reserve()


def test_what_a_former_worker_started_occupies_places_beyond_the_limit() -> None:
    room = Room(1)
    room.occupy()
    room.occupy()
    room.give_back()
    assert not room.reserve()
    room.give_back()
    assert room.reserve()


def test_a_closed_room_gives_no_place() -> None:
    room = Room(1)
    room.close()
    assert not room.reserve()
