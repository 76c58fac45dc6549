"""A load for runners that are killed: requests of every kind, edits, commands, and a
ledger.

The executed processes write the ledger, so it is a witness that the runner cannot
influence.
"""

from __future__ import annotations

import hashlib
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from support import marked_points
from support.fork_server import Process
from support.place import Place, wait_until

from runner.errors import StoreError
from runner.store.opening import mailbox_of
from runner.store.place import StorePlace
from runner.store.rows import CommandRow, CommandStatus
from runner.values import new_id, to_microseconds


def ran(member: str = "-") -> str:
    """Return the shell line that adds a run to the ledger, as one write of a whole line.

    `member` is the name of the member as its request declares it, not as the runner
    reports it.
    """
    reported = (
        f"ran $RUNNER_EXECUTION_ID $RUNNER_REQUEST $RUNNER_SCHEDULED_FOR $RUNNER_ATTEMPT {member}"
    )
    return f'echo "{reported}" >> "$LEDGER"'


RAN = ran()


def alone(seconds: float, *, then: str = "true") -> str:
    """Return a shell line that reports a run, and any other unfinished run of its request.

    The kernel releases the lock of a shell that ends in whatever way. A folder as a mark
    would stay behind where a second signal reaches the process that removes it.
    """
    overlap = 'echo "overlap $RUNNER_EXECUTION_ID $RUNNER_REQUEST" >> "$LEDGER"'
    return (
        f"trap 'exit 7' TERM; exec 9>>\"$LEDGER.$RUNNER_REQUEST\"; "
        f"flock -n 9 || {{ {overlap}; exit 9; }}; {RAN} 9>&-; sleep {seconds} 9>&-; {then}"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a version of a file plans: every `interval_s` seconds, at `start`, or immediately."""

    interval_s: int | None = None
    start: datetime | None = None
    misfire: str = "skip"

    def fires(self, begin: datetime, until: datetime) -> list[datetime]:
        """Return the due fires of a generation from `begin` to `until`, by plain arithmetic."""
        if self.interval_s is None:
            return [fire for fire in [self.start or begin] if fire <= until]
        first = int(begin.timestamp()) // self.interval_s + 1
        last = int(until.timestamp()) // self.interval_s
        return [datetime.fromtimestamp(n * self.interval_s, UTC) for n in range(first, last + 1)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """A runner died between these two instants."""

    earliest: datetime
    latest: datetime


@dataclass(slots=True, kw_only=True)
class Load:
    """A place under load, with the history of what was done to it."""

    place: Place
    chance: random.Random
    versions: dict[str, Planned] = field(default_factory=dict)
    deaths: list[Death] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    posted: list[str] = field(default_factory=list)
    starts: dict[str, datetime] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    further_deeds: list[Callable[[], None]] = field(default_factory=list)
    _serial: int = 0

    def __post_init__(self) -> None:
        self.place.environment["LEDGER"] = str(self.ledger)

    @property
    def ledger(self) -> Path:
        return self.place.folder / "ledger"

    def write(
        self,
        name: str,
        planned: Planned,
        *,
        shell: str = RAN,
        grace: str | None = None,
        **more: Any,
    ) -> None:
        """Write a request. `more` are top-level keys.

        `guarded` stands for `prevent_concurrent`. `process` holds further keys of the
        process, or all of them with a `group`.
        """
        process = {
            "shell": shell,
            "prevent_concurrent": more.pop("guarded", False),
            **more.pop("process", {}),
        }
        if "group" in process:
            del process["shell"]
        content = json.dumps({"process": process, "timing": _timing(planned, grace), **more})
        self.names.add(name)
        self.versions[hashlib.sha256(content.encode()).hexdigest()] = planned
        self.place.write(f"{name}.yaml", content)

    def write_small(self) -> None:
        """Write a few requests, for runners that die at a given place."""
        self.write("tick", Planned(interval_s=1))
        self.write("caught-up", Planned(interval_s=1, misfire="fire_all"), grace="100ms")
        self.write("once-more", Planned(interval_s=1, misfire="fire_once"), grace="1ms")
        self.write("alone", Planned(interval_s=1), shell=alone(1.3), guarded=True)
        self.write("once", Planned())

    def write_large(self, *, sets: int = 4) -> None:
        """Write some fifteen requests, and six more per further set; most of them secondly."""
        for number, misfire in enumerate(["skip", "fire_once", "fire_all"] * sets):
            self.write(f"tick-{number}", Planned(interval_s=1 + number % 2, misfire=misfire))
            self.write(f"strict-{number}", Planned(interval_s=1, misfire=misfire), grace="300ms")
        for number, seconds in enumerate([0.2, 0.7, 1.5, 2.5]):
            self.write(f"alone-{number}", Planned(interval_s=1), shell=alone(seconds), guarded=True)
        for number in range(3):
            self.add_one_time()
            self.write(
                f"ruled-{number}",
                Planned(interval_s=1 + number, misfire="fire_once"),
                grace="300ms",
            )
            self.write(f"switched-{number}", Planned(interval_s=1))
        self.write("victim", Planned(interval_s=1), shell=f"{RAN}; sleep 1")
        self.place.write("asked.yaml", json.dumps({"process": {"shell": RAN}}))

    def launch(self, *arguments: str) -> Process:
        """Start a runner without waiting for anything."""
        return self._spawn("-m", "runner", "start", *arguments)

    def live_and_die(self, *arguments: str, at_most_s: float = 1.5) -> None:
        """Start a runner, change something now and then, and kill it after a random time.

        The time counts from its launch, so that it may die during its start, or from its
        first write to the log.
        """
        size = self._log_size()
        process = self.launch(*(arguments or self.chance.choice([(), (), ("--max-running", "5")])))
        if self.chance.random() < 0.5:
            wait_until(lambda: self._log_size() > size or process.poll() is not None, within_s=60)
        until_s = time.monotonic() + self.chance.uniform(0, at_most_s)
        while (left_s := until_s - time.monotonic()) > 0:
            time.sleep(min(left_s, self.chance.uniform(0.05, 0.5)))
            self.disturb()
        assert process.poll() is None, self.place.console()
        self.kill(process)
        if self.chance.random() < 0.3:
            self.disturb()

    def kill(self, process: Process) -> None:
        """Kill a runner with SIGKILL."""
        earliest = datetime.now(UTC)
        process.send_signal(signal.SIGKILL)
        process.wait(timeout=60)
        self.deaths.append(Death(earliest=earliest, latest=datetime.now(UTC)))

    def doom(
        self, target: str, moment: str, count: int, *, within_s: float = 90.0, stop: bool = False
    ) -> bool:
        """Start a runner that kills itself; return whether it did.

        With `stop` it is asked to stop as soon as it works. A runner that never reaches
        the place is killed, which is a valid death too.
        """
        earliest = datetime.now(UTC)
        if stop:
            before = len(self.place.events("runner.started"))
        process = self._spawn(
            marked_points.__file__, target, moment, str(count), str(int(signal.SIGKILL)), "start"
        )
        until_s = time.monotonic() + within_s
        while process.poll() is None and time.monotonic() < until_s:
            if stop and len(self.place.events("runner.started")) > before:
                process.terminate()
                stop = False
            time.sleep(0.01)
        if process.poll() is None:
            self.kill(process)
            return False
        assert process.returncode == -signal.SIGKILL, (
            f"{process.returncode}: {self.place.console()}"
        )
        self.deaths.append(Death(earliest=earliest, latest=datetime.now(UTC)))
        return True

    def disturb(self) -> None:
        """Change a file or give a command, chosen at random."""
        deeds: list[Callable[[], None]] = [
            self.add_one_time, self._edit, self._rule, self._switch, self._vanish, self._press,
            self._break, self._order, self._order, self._ask, self._rotate, *self.further_deeds,
        ]  # fmt: skip
        if self.chance.random() < 0.5:
            self.chance.choice(deeds)()

    def add_one_time(self) -> None:
        """Add two requests that run once: one now, one soon."""
        number = self._next()
        start = self.now().replace(microsecond=0) + timedelta(seconds=self.chance.randrange(4))
        self.write(f"once-{number}", Planned())
        grace = self.chance.choice(["200ms", "60s"])
        self.starts[f"later-{number}"] = start
        self.write(f"later-{number}", Planned(start=start, misfire="fire_once"), grace=grace)

    def join_logs(self) -> None:
        """Join the rotated files into one log, once no runner is alive."""
        whole = b"".join(
            path.read_bytes() for path in (*self.place.rotated, self.place.log) if path.exists()
        )
        self.place.log.write_bytes(whole)
        self.place.rotated.clear()

    def order(self, kind: str, *targets: str, **more: object) -> None:
        """Post a command without waiting for its answer."""
        with suppress(StoreError):
            place = StorePlace(folder=self.place.state)
            self.posted.append(post(place, kind, *targets, now=self.now(), **more))

    def _spawn(self, *arguments: str) -> Process:
        self.place._consoles += 1  # each console has its own file; the place shows the latest
        with self.place._console_path.open("w") as console:
            process = subprocess.Popen(
                [sys.executable, *arguments],
                env=self.place.environment,
                cwd=self.place.folder,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                text=True,
            )
        self.place.running.append(process)
        return process

    def _next(self) -> int:
        self._serial += 1
        return self._serial

    def _log_size(self) -> int:
        return sum(
            path.stat().st_size for path in (*self.place.rotated, self.place.log) if path.exists()
        )

    def _rotate(self) -> None:
        """Rename the log, within its folder or into another one."""
        log = self.place.log
        target = log.parent / self.chance.choice(["old/monitor", "archive"])
        target = target.with_name(f"{target.name}-{self._next()}.log")
        target.parent.mkdir(exist_ok=True)
        if log.exists():
            self.place.rotated.append(log.rename(target))

    def _edit(self) -> None:
        number = self.chance.randrange(2)
        self.write(f"tick-{number}", Planned(interval_s=1), description=f"version {self._next()}")

    def _rule(self) -> None:
        planned = Planned(interval_s=self.chance.randrange(1, 4), misfire="fire_once")
        self.write(f"ruled-{self.chance.randrange(3)}", planned, grace="300ms")

    def _switch(self) -> None:
        self.write("switched-0", Planned(interval_s=1), scheduled=self.chance.random() < 0.5)

    def _vanish(self) -> None:
        path = self.place.jobs / "switched-1.yaml"
        if path.exists():
            path.unlink()
        else:
            self.write("switched-1", Planned(interval_s=1))

    def _press(self) -> None:
        self.write("again", Planned(), reschedule=self._next())
        self.write("pressed", Planned(interval_s=1), reschedule=self._next())

    def _break(self) -> None:
        self.place.write("switched-2.yaml", "process: {shell: [")

    def _order(self) -> None:
        self.order(
            self.chance.choice(["schedule", "unschedule", "reschedule"]), "tick-2", "strict-2"
        )

    def pause(self) -> None:
        """Pause some requests or all, with an end or until a resume."""
        names = self.chance.choice(
            [("tick-1",), ("strict-1", "alone-1"), ("ruled-1", "tick-2"), ()]
        )
        end = self.now() + timedelta(seconds=self.chance.uniform(0.2, 3))
        has_end = not names or self.chance.random() < 0.5
        until = end.isoformat() if has_end else None
        self.order("pause", *names, is_for_all=not names, reason="a trial", until=until)

    def resume(self) -> None:
        """End all pauses."""
        self.order("resume", is_for_all=True)

    def _ask(self) -> None:
        kind, target = self.chance.choice(
            [("exec", "asked"), ("kill", "victim"), ("kill", "chain"), ("exec", "nobody")]
        )
        self.order(kind, target)


def post(place: StorePlace, kind: str, *targets: str, now: datetime, **more: object) -> str:
    """Post a command that has 10 s; return its id. Raises StoreError."""
    arguments = {"targets": targets, "is_for_all": False, "allow_empty": False, **more}
    row = CommandRow(
        id=new_id(),
        kind=kind,
        arguments=json.dumps(arguments),
        requested_by="tester",
        deadline=to_microseconds(now) + 10_000_000,
        status=CommandStatus.PENDING,
    )
    mailbox_of(place).post(row)
    return row.id


def _timing(planned: Planned, grace: str | None) -> object:
    more = {"misfire_grace": grace} if grace else {}
    if planned.interval_s is not None:
        schedule = {
            "frequency": "secondly",
            "interval": planned.interval_s,
            "misfire": planned.misfire,
        }
        return {"schedule": schedule | more}
    if planned.start is not None:
        return {
            "run_later": {"start": f"{planned.start:%Y-%m-%d %H:%M:%S}", "misfire": planned.misfire}
            | more
        }
    return "run_immediately"
