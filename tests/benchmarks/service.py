"""A real `runner start` in its own folder, observed from outside. Starts and ends processes."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

Record = dict[str, Any]
Found = TypeVar("Found")

RUNNER = (sys.executable, "-m", "runner")
_LOOK_EVERY_S = 0.001
_END_WITHIN_S = 60


class Service:
    """A jobs folder with its state. Nothing outside `folder` is written."""

    def __init__(self, folder: Path) -> None:
        self.jobs = folder / "jobs.d"
        self.state = folder / "state"
        self.log = self.state / "monitor.jsonl"
        self.jobs.mkdir()
        self.environment = os.environ | {
            "RUNNER_JOBS": str(self.jobs),
            "RUNNER_STATE": str(self.state),
            "RUNNER_MONITOR_LOG": str(self.log),
            "RUNNER_TIMEZONE": "UTC",
        }
        self._console = folder / "console"

    def write(self, name: str, text: str) -> None:
        """Write a request file atomically, by rename."""
        new = self.jobs / f".{name}.new"
        new.write_text(text)
        new.rename(self.jobs / f"{name}.yaml")

    def write_idle(self, count: int) -> None:
        """Write that many daily requests, spread over the twelve hours that are
        farthest from now.
        """
        begin = time.gmtime().tm_hour * 60 + 6 * 60
        for number in range(count):
            hour, minute = divmod((begin + number % (12 * 60)) % (24 * 60), 60)
            self.write(f"idle-{number:06}", daily(f"{hour:02}:{minute:02}"))

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """Run a runner inside the block; it is ready at the beginning and has ended
        afterwards.
        """
        before = self.log.stat().st_size if self.log.exists() else 0
        with self._console.open("ab") as console:
            process = subprocess.Popen(
                [*RUNNER, "start", *arguments],
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
            )
        try:
            self.wait_for(
                process, lambda: self.records("runner.started", since=before), within_s=300
            )
            yield process
        finally:
            end(process)

    def wait_for(
        self,
        process: subprocess.Popen[bytes],
        found: Callable[[], Found],
        *,
        within_s: float,
        every_s: float = _LOOK_EVERY_S,
    ) -> Found:
        """Return the first true result of `found`, called `every_s`.

        Raises TimeoutError, ChildProcessError.
        """
        until_s = time.monotonic() + within_s
        while not (value := found()):
            if process.poll() is not None:
                raise ChildProcessError(
                    f"the runner has ended: {self._console.read_text()[-2000:]}"
                )
            if time.monotonic() > until_s:
                raise TimeoutError(f"not within {within_s} s: {self._console.read_text()[-2000:]}")
            time.sleep(every_s)
        return value

    def records(self, event: str, *, since: int = 0) -> list[Record]:
        """Return the records of an event from a position of the log on. Only lines that
        name it are parsed.
        """
        if not self.log.exists() or self.log.stat().st_size <= since:
            return []
        with self.log.open("rb") as log:
            log.seek(since)
            text = log.read()
        needle = f'"event":"{event}"'.encode()
        return [
            json.loads(line)
            for line in text[: text.rfind(b"\n") + 1].splitlines()
            if needle in line
        ]


def daily(at: str) -> str:
    """Return a request that runs every day."""
    return (
        f"process: {{command: [/bin/true]}}\ntiming: "
        f'{{schedule: {{frequency: daily, at: "{at}"}}}}\n'
    )


def end(process: subprocess.Popen[Any]) -> None:
    """End a process of the benchmark: SIGTERM, then SIGKILL."""
    process.terminate()
    try:
        process.wait(timeout=_END_WITHIN_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def epoch_s(text: str) -> float:
    """Return the epoch seconds of a record's instant."""
    return datetime.fromisoformat(text).timestamp()


def wall_s(arguments: Sequence[str | Path], *, environment: dict[str, str] | None = None) -> float:
    """Run a command and return how long it took. Raises CalledProcessError if it fails."""
    begun_s = time.perf_counter()
    subprocess.run(
        arguments,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=True,
        timeout=600,
    )
    return time.perf_counter() - begun_s


def processor_s(
    arguments: Sequence[str | Path], *, environment: dict[str, str] | None = None
) -> float:
    """Run a command and return its processor time, user and system. Raises CalledProcessError.

    Nothing else may run as a child of this process meanwhile.
    """
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    wall_s(arguments, environment=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def processor_s_of(pids: Iterable[int]) -> float:
    """Return the processor time of processes and of their children that have ended.

    /proc counts hundredths of seconds.
    """
    fields = (Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids)
    return sum(sum(map(int, each[11:15])) for each in fields) / os.sysconf("SC_CLK_TCK")
