"""Has many files of a jobs folder read at once, on all processors. Starts and ends processes.

The workers are fresh interpreters, never forks: the program may have threads. They share one socket, from which each
takes a message of places when it has time, and ends when there are no more: also when we were killed. What they have
no answer for, because they could not be started, or died, or were not worth it, is left to the caller.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import IO, TYPE_CHECKING

from runner.requests import worker

if TYPE_CHECKING:
    import socket

    from runner.requests.loading import Place
    from runner.requests.recollection import Entry

FEWEST = 1_000
"""Files from which on the workers are done sooner than they would be without."""
MOST_WORKERS = 8
_PLACES_AT_ONCE = 100


def read_elsewhere(places: Sequence[Place]) -> Iterator[tuple[str, Entry]]:
    """Yield what lies at `places`, by path relative to the jobs folder, in no order; not of all, perhaps of none."""
    count = min(_processors(), MOST_WORKERS)
    if len(places) < FEWEST or count < 2:
        return
    import socket

    with ExitStack() as resources:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        resources.enter_context(ours)
        with theirs:
            answers = [answer for _ in range(count) if (answer := _begun(theirs, resources)) is not None]
        yield from _answered(ours, answers, _messages(places))


def _processors() -> int:
    """Return how many processors we may use; 1 on a system that does not tell."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1


def _begun(orders: socket.socket, resources: ExitStack) -> IO[bytes] | None:
    """Start a worker and return what it answers; `resources` end it."""
    import subprocess

    try:
        process = subprocess.Popen(
            [sys.executable, "-P", worker.__file__],
            stdin=orders,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0,  # Ctrl-C is for us alone
        )
    except OSError:
        return None
    resources.enter_context(process)
    resources.callback(process.kill)
    return process.stdout


def _messages(places: Sequence[Place]) -> Iterator[bytes]:
    """Yield the places in parts; without those parts that are too large for a message."""
    parts = (places[first : first + _PLACES_AT_ONCE] for first in range(0, len(places), _PLACES_AT_ONCE))
    return (message for part in parts if len(message := pickle.dumps(part)) <= worker.LONGEST_MESSAGE)


def _answered(
    orders: socket.socket, answers: Sequence[IO[bytes]], messages: Iterator[bytes]
) -> Iterator[tuple[str, Entry]]:
    """Give out the messages as they are taken, and yield what is answered, until no worker is left."""
    import selectors

    with selectors.DefaultSelector() as selector:
        selector.register(orders, selectors.EVENT_WRITE)
        for answer in answers:
            selector.register(answer, selectors.EVENT_READ)
        left = len(answers)
        while left:
            for key, _ in selector.select():
                if key.fileobj is orders:
                    if not _sent(orders, messages):
                        selector.unregister(orders)
                        orders.close()
                    continue
                try:
                    yield from pickle.load(key.fileobj)
                except (EOFError, pickle.UnpicklingError):
                    selector.unregister(key.fileobj)
                    left -= 1


def _sent(orders: socket.socket, messages: Iterator[bytes]) -> bool:
    """Send the next message; tell whether there was one, and anybody to take it."""
    message = next(messages, None)
    with suppress(OSError):
        return message is not None and orders.send(message) > 0
    return False
