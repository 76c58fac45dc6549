"""Other processes that read a share of very many files, so that more than one processor works. Starts processes.

They are only a help: what one of them does not deliver, for whatever reason, is read here.
"""

from __future__ import annotations

import os
import pickle
import select
import subprocess
import sys
import tempfile
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING

from runner import __version__
from runner.requests.entries import read_entry

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from runner.requests.loading import Place
    from runner.requests.recollection import Entry

_WORTH = 2_000
"""Files from which on a companion is worth its beginning, which takes a tenth of a second."""
_MOST = 3
_PIECE = 50
_WAIT_S = 0.001
_BEGIN = "import sys; sys.path[:] = sys.argv[1:]; from runner.requests.companions import serve; serve()"


def read_together(places: Iterable[Place], known: Mapping[str, Entry]) -> Iterator[tuple[Place, Entry] | None]:
    """Read files, each once, in no order. Yields what was read, and None after each millisecond of waiting.

    There are companions only where nothing is `known` yet: a reader's first task is its largest, and a program that has
    only just been started is still the one that lies on the disk.
    """
    shares = [] if known else _shares(list(places))
    left = iter(shares.pop(0) if shares else places)
    companions: list[_Companion] = []
    try:
        for share in shares:
            try:
                companions.append(_Companion(share))
            except OSError:  # there is no room for another process, or on the disk
                left = chain(left, share)
        while (place := next(left, None)) or companions:
            yield (place, read_entry(place, known.get(place.relative))) if place else None
            for companion in _ready(companions, 0 if place else _WAIT_S):
                if delivered := companion.delivered():
                    yield from delivered
                else:
                    companions.remove(companion)
                    companion.end()
                    left = chain(left, companion.left)
    finally:
        for companion in companions:
            companion.end()


def serve() -> None:
    """Be a companion: read the files that stdin tells of, and tell stdout what they hold."""
    from multiprocessing.connection import Connection

    version, places = pickle.load(sys.stdin.buffer)
    if version != __version__:  # the program on the disk is not the one any more that asks
        return
    with Connection(os.dup(sys.stdout.fileno()), readable=False) as answers:
        for begin in range(0, len(places), _PIECE):
            answers.send([read_entry(place) for place in places[begin : begin + _PIECE]])


def _shares(places: list[Place]) -> list[list[Place]]:
    processors = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count() or 1
    count = min(processors, 1 + _MOST) if len(places) >= _WORTH else 1
    return [places[number::count] for number in range(count)]


def _ready(companions: list[_Companion], wait_s: float) -> list[_Companion]:
    return select.select(companions, (), (), wait_s)[0] if companions else []


class _Companion:
    """A process that reads a share. `left` is what it has not delivered."""

    def __init__(self, share: list[Place]) -> None:
        """Raises OSError if it cannot be started."""
        from multiprocessing.connection import Pipe

        self.left = deque(share)
        self._answers, theirs = Pipe(duplex=False)
        with theirs, tempfile.TemporaryFile() as errand:
            pickle.dump((__version__, share), errand)
            errand.seek(0)
            self._process = subprocess.Popen(
                [sys.executable, "-c", _BEGIN, *sys.path],
                stdin=errand,
                stdout=theirs.fileno(),
                stderr=subprocess.DEVNULL,
            )

    def fileno(self) -> int:
        return self._answers.fileno()

    def delivered(self) -> list[tuple[Place, Entry]]:
        """Take a piece of what it has read; nothing if that was all, or it has ended early."""
        try:
            entries = self._answers.recv()
        except (EOFError, OSError, pickle.UnpicklingError):
            return []
        return [(self.left.popleft(), entry) for entry in entries]

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._answers.close()
