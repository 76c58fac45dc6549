"""Marked points: a process kills or stops itself before, amid or after a call of a function.

    python marked_points.py TARGET MOMENT COUNT SIGNAL ARGUMENTS…

runs a command of Runner with one mark. A program in a `listening` environment takes its
marks while it runs (`Order`).
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import reduce, wraps
from importlib import import_module
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

_ORDERS = "RUNNER_TEST_ORDERS"
_HEARD = "heard."
_LOOK_S = 0.05
_TESTS = Path(__file__).parents[1]
_serial = count()


class Point(NamedTuple):
    """A moment in the life of a program."""

    target: str
    """A function that its callers look up by this name: `module:name` or `module:Class.name`."""
    moment: str
    """`before` or `after` a call, or `halfway`: after a call with half of its last argument."""

    def __str__(self) -> str:
        return f"{self.moment} {self.target.rpartition(':')[2]}"

    def place(self) -> tuple[Any, str]:
        """Return the module or class of the function, and its name there."""
        module, _, path = self.target.partition(":")
        *classes, name = path.split(".")
        return reduce(getattr, classes, import_module(module)), name


def points(*targets: str, moments: Iterable[str] = ("before", "after")) -> list[Point]:
    """Return the points of some functions."""
    return [Point(target, moment) for target in targets for moment in moments]


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """What a process does to itself, and at which of its passages of a point."""

    point: Point
    count: int = 1
    number: int = signal.SIGKILL


def put(mark: Mark, is_wanted: Callable[[], bool] = lambda: True) -> None:
    """Put a mark into this process; at the point, `is_wanted` decides once whether it holds."""
    owner, name = mark.point.place()
    inner: Callable[..., Any] = getattr(owner, name)
    calls = count(1)

    def strike() -> None:
        if is_wanted():
            os.kill(os.getpid(), mark.number)

    @wraps(inner)
    def marked(*given: Any, **named: Any) -> Any:
        if next(calls) != mark.count:
            return inner(*given, **named)
        if mark.point.moment == "before":
            strike()
            return inner(*given, **named)
        if mark.point.moment == "halfway":
            *others, whole = given
            half = len(whole) // 2
            inner(*others, whole[:half], **named)
            strike()
            return inner(*others, whole[half:], **named)  # of a process that goes on
        result = inner(*given, **named)
        strike()
        return result

    setattr(owner, name, marked)


class Order:
    """A mark for a running program of a `listening` environment."""

    def __init__(self, folder: Path, pid: int, mark: Mark) -> None:
        self._file = folder / f"{pid}.{next(_serial)}"
        fresh = folder / ".fresh"
        fresh.write_text(json.dumps(asdict(mark)))
        fresh.rename(self._file)

    @property
    def is_heard(self) -> bool:
        """Whether the program has put the mark, so that it will not miss the point."""
        return self._file.with_name(f"{_HEARD}{self._file.name}").exists()

    @property
    def is_carried_out(self) -> bool:
        """Whether the program has reached the point, and killed or stopped itself."""
        return not self._file.exists()

    def withdraw(self) -> bool:
        """Take the order back; return False if it was carried out."""
        return _is_removed(self._file)


def listening(folder: Path) -> dict[str, str]:
    """Return the variables of programs that obey the orders in a folder."""
    folder.mkdir(exist_ok=True)
    path = (_TESTS / "support" / "listening", _TESTS)
    return {_ORDERS: str(folder), "PYTHONPATH": os.pathsep.join(map(str, path))}


def listen() -> None:
    """Obey the orders for this process, from now on."""
    if folder := os.environ.get(_ORDERS):
        # A signal is for the program's own threads.
        former = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        threading.Thread(target=_obey, args=(Path(folder),), daemon=True).start()
        signal.pthread_sigmask(signal.SIG_SETMASK, former)


def _obey(folder: Path) -> None:
    known: set[Path] = set()
    while True:
        for order in {*folder.glob(f"{os.getpid()}.*")} - known:
            known.add(order)
            with suppress(FileNotFoundError):  # it was withdrawn
                content = json.loads(order.read_text())
                mark = Mark(**content | {"point": Point(*content["point"])})
                put(mark, lambda order=order: _is_removed(order))  # type: ignore[misc]
                order.with_name(f"{_HEARD}{order.name}").touch()
        time.sleep(_LOOK_S)


def _is_removed(file: Path) -> bool:
    """Remove a file; return whether nobody has removed it before."""
    with suppress(FileNotFoundError):
        file.unlink()
        return True
    return False


def is_stopped(pid: int) -> bool:
    """Return whether a process stands still."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


if __name__ == "__main__":
    target, moment, number_of_call, number, *arguments = sys.argv[1:]
    put(
        Mark(
            point=Point(target, moment),
            count=int(number_of_call),
            number=signal.Signals(int(number)),
        )
    )
    sys.argv[1:] = arguments
    del sys.path[0]  # the modules beside this one
    from runner.cli import main

    main()
