"""The pipe from a runner to a command beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from runner.service.beside.child_pipe import Successor

OLD = Successor(command=("python", "work"), variables={"A": "1"})
NEW = Successor(command=("python3", "work", "--name=é"), variables={"URL": "postgresql://a:b@c/d"})


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """Provide a pipe: its end to read and its end to write."""
    ends = os.pipe()
    yield ends
    for each in ends:
        os.close(each)


def test_the_newest_successor_counts_until_the_pipe_ends(pipe: tuple[int, int]) -> None:
    stdin, end = pipe
    for each in (OLD, NEW):
        each.send(end)
    assert Successor.receive(stdin) == NEW
    OLD.send(end)
    assert Successor.receive(stdin) == OLD


def test_an_ended_pipe_has_no_successor() -> None:
    stdin, end = os.pipe()
    os.close(end)
    assert Successor.receive(stdin) is None
    os.close(stdin)


def test_a_runner_waits_for_no_command_that_reads_nothing_or_has_ended(
    pipe: tuple[int, int],
) -> None:
    stdin, end = pipe
    for _ in range(2000):  # more than the pipe has room for
        NEW.send(end)
    assert Successor.receive(stdin) == NEW
    others = os.pipe()
    os.close(others[0])
    NEW.send(others[1])
    os.close(others[1])


def test_the_password_is_in_no_representation() -> None:
    assert "a:b" not in repr(NEW)
