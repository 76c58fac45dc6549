"""The places of a worker."""

from __future__ import annotations

from runner.worker.room import Room


def test_all_free_places_are_reserved_at_once() -> None:
    room, free = Room(3), list[bool]()
    room.when_free(lambda: free.append(True))
    assert (room.reserve(), room.reserve()) == (3, 0)
    room.give_back(2)
    assert free == [True]
    assert room.reserve() == 2


def test_what_a_former_worker_started_occupies_places_beyond_the_limit() -> None:
    room = Room(1)
    room.occupy(2)
    room.give_back()
    assert not room.reserve()
    room.give_back()
    assert room.reserve() == 1


def test_a_closed_room_gives_no_place() -> None:
    room = Room(1)
    room.close()
    assert not room.reserve()
